"""Change the notebook's code in small ways, one at a time: does a check notice? `make mutants` calls this.

    python tests/mutants.py           every mutant, on the whole notebook; goes on where it was stopped as long as no
                                      check has changed; writes tests/README.md
    python tests/mutants.py sample    a small sample, on the core: what `make everywhere` runs

First the unchanged notebook goes through the same checks: if it fails, that says nothing of mutants. A mutant that no check notices is a gap in the checks, or equivalent: it does what the original does. Those
are listed in equivalent_mutants.toml, each with its reason.
"""

import concurrent.futures
import copy
import datetime
import difflib
import functools
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import cosmic_ray.plugins
import nbformat
from cosmic_ray.mutating import mutate_code
from tqdm import tqdm

from cells import BUILD, NOTEBOOK, ROOT, code_cells, core, has_tag, read
from marked import write_part
from replacing import replace
from sandbox import copy_project

RESULTS = BUILD / "mutants.json"
EQUIVALENT = ROOT / "tests" / "equivalent_mutants.toml"
OPERATORS = [f"core/{name}" for name in (
    "ReplaceBinaryOperator_Add_Sub", "ReplaceBinaryOperator_Sub_Add", "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul", "ReplaceBinaryOperator_Pow_Mul", "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq", "ReplaceComparisonOperator_Lt_GtE", "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_LtE_Lt", "ReplaceComparisonOperator_GtE_Gt", "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is", "ReplaceUnaryOperator_USub_UAdd", "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd", "AddNot", "ExceptionReplacer",
    "NumberReplacer", "ZeroIterationForLoop")]
N_COSMIC_RAY, SAMPLE = 75, 5
# The checks that a mutant goes through until one fails. A function is first tested alone, which is quicker.
ALONE, JOVIAN = ["tests/test_functions.py", "tests/test_cells.py"], ["tests/test_jovian.py"]
OTHERS = ["tests/test_functions.py", "tests/test_cells.py", "tests/test_parameters.py", "tests/test_download.py",
          "tests/test_jovian.py", "tests/test_accelerator.py"]

# What goes wrong in this field: cell, what stands there, what it becomes.
BY_HAND = [
    # Settings
    ("parameters", "seed = 1 ", "seed = 2 "),
    ("parameters", "bits = 64 ", "bits = 32 "),
    ("parameters", "hidden_size = 32", "hidden_size = 33"),
    ("parameters", "lr = 0.5", "lr = 0.4"),
    ("parameters", "batch_size = 100", "batch_size = 50"),
    ("parameters", "fine_epochs = 5", "fine_epochs = 4"),
    ("set-up", "torch.float64 if bits == 64 else torch.float32", "torch.float32"),
    ("set-up", "torch.float64 if bits == 64 else torch.float32", "torch.float64"),
    ("set-up", "(32, 64)", "(16, 32, 64)"),
    ("set-up", "globals()[name] < 1", "globals()[name] < 0"),
    ("set-up", "0 <= seed < 2**32", "0 <= seed <= 2**32"),
    ("set-up", "plt.rcdefaults()\n", ""),
    ("set-up", "torch.set_num_threads(1)", "pass"),
    ("set-up", "tempfile.mkdtemp()", "'.'"),
    # Getting MNIST
    ("load-mnist", "if hashlib.sha256(numbers).hexdigest() != SHA256[train]:", "if False:"),
    ("load-mnist", "SHA256[train]:", "SHA256[True]:"),
    ("load-mnist", " + mnist.targets.numpy().tobytes()", ""),
    ("load-mnist", "download=True", "download=False"),
    ("load-mnist", "MNIST(root, train,", "MNIST(root, True,"),
    ("load-mnist", "(OSError, MemoryError)", "(PermissionError, MemoryError)"),
    ("load-mnist", '"Tried http" in str(reason)', "False"),
    ("load-mnist", "(ConnectionError, TimeoutError)", "ConnectionError"),
    ("load-mnist", ".expanduser()", ""),
    ("load-mnist", " from None", ""),
    ("load-mnist", '(folder.parent / "STAND-IN.txt").exists()', "False"),
    ("gallery", "dataset.targets == digit][:4]", "dataset.targets == digit][1:5]"),
    ("item", "dataset[0]", "dataset[1]"),
    ("item-picture", "image[0, 5:10, 12:17]", "image[0, 5:10, 13:18]"),
    ("item-picture", "5 + row, 12 + column", "12 + column, 5 + row"),
    # Batches
    ("split-indices", "[n_val, n - n_val]", "[n_val - 1, n - n_val + 1]"),
    ("split-indices", "val, train =", "train, val ="),
    ("split-indices", "train.tolist(), val.tolist()", "train.tolist() + val.tolist(), val.tolist()"),
    ("split-indices", "torch.randperm(n)", "torch.arange(n)"),
    ("split-indices", "round(n * val_pct)", "int(n * val_pct)"),
    ("split", "torch.manual_seed(seed)\n", ""),
    ("plain-loaders", "sampler=train_sampler", "shuffle=True"),
    ("plain-loaders", "sampler=val_indices", "sampler=train_indices"),
    ("make-loader", "self.images[index] / 255", "self.images[index] / 256"),
    ("make-loader", "index_select(0, index) / 255", "index_select(0, index) / 256"),
    ("make-loader", ".unsqueeze(1)", ".transpose(1, 2).unsqueeze(1)"),
    ("make-loader", ".unsqueeze(1)", ".unsqueeze(1).clone()"),
    ("make-loader", "self.labels.index_select(0, index)", "self.labels.index_select(0, index).roll(1)"),
    ("make-loader", ", dtype=torch.long", ""),   # an empty list would make numbers that are no indices
    ("make-loader", "return self[indices]", "return self[sorted(indices)]"),
    ("make-loader", "__getitems__", "getitems"),   # one image at a time
    ("make-loader", "if isinstance(fetched, list) else fetched", ""),
    ("make-loader", "default_collate(fetched) if", "fetched if"),
    ("make-loader", "if len(sampler) == 0:", "if False:"),
    ("make-loader", "sampler=sampler,", "shuffle=True,"),
    ("make-loader", "collate_fn=as_batch", "collate_fn=as_batch, drop_last=True"),
    ("fast-loaders", "batch_size, train_sampler", "batch_size, train_indices"),
    ("fast-loaders", "batch_size, val_indices", "batch_size, sorted(val_indices)"),
    ("fast-loaders", "len(train_indices) // 10", "len(train_indices) // 5"),
    ("fast-loaders", "sampler=tenth), train_dl)", "sampler=tenth), valid_dl)"),
    ("fast-loaders", "one pass: {10 * plain:.1f} s", "one pass: {plain:.1f} s"),
    ("fast-loaders", "{10 * plain / batched:.0f}", "{plain / batched:.0f}"),
    # The model
    ("two-linear", "layer2(layer1(inputs))", "layer2(F.relu(layer1(inputs)))"),
    ("two-linear", "inputs @ weight.T + bias", "inputs @ weight.T"),
    ("relu", "F.relu(x)", "F.leaky_relu(x)"),
    ("bends", "one.plot(x, F.relu(x)", "one.plot(x, F.leaky_relu(x)"),
    ("bends", "-2 * F.relu(x)", "-F.relu(x)"),
    ("bends", "sum(parts)", "parts[0]"),
    ("regions", "[nn.Identity(), nn.ReLU()]", "[nn.ReLU(), nn.Identity()]"),
    ("regions", "        opt.zero_grad()\n", ""),
    ("regions", "answers.T, 1", "answers, 1"),
    ("network-picture", '"pixels", 784', '"pixels", 748'),
    ("network-picture", "outs = torch.linspace(1, -1, 10)", "outs = torch.linspace(-1, 1, 10)"),
    ("mnist-model", "F.relu(self.linear1(xb))", "self.linear1(xb)"),
    ("mnist-model", "F.relu(", "F.leaky_relu("),
    ("mnist-model", "return self.linear2(hidden)", "return F.softmax(self.linear2(hidden), dim=1)"),
    ("mnist-model", "return self.linear2(hidden)", "return F.relu(self.linear2(hidden))"),
    ("mnist-model", "return self.linear2(hidden)", "return F.log_softmax(self.linear2(hidden), dim=1)"),
    ("model-create", "torch.manual_seed(seed)\n", ""),
    ("logits", "F.softmax(outputs, dim=1)", "F.softmax(outputs, dim=0)"),
    ("cross-entropy", ".log().mean()", ".log().sum()"),
    ("cross-entropy", "F.softmax(sure, dim=1).log()", "F.log_softmax(sure, dim=1)"),
    # Devices
    ("get-default-device", "return accelerator", 'return torch.device("cpu")'),
    ("get-default-device", "torch.ones(1, device=accelerator) + 1", "accelerator"),
    ("get-default-device", "(TypeError, RuntimeError)", "RuntimeError"),
    ("to-device", "        return data.to(device)\n", "        return data\n"),
    ("to-device", "type(data)(to_device(item, device) for", "list(to_device(item, device) for"),
    ("to-device", "type(data)(to_device(item, device) for", "type(data)(item for"),
    ("to-device", "isinstance(data, (list, tuple))", "isinstance(data, list)"),
    ("to-device", "isinstance(data, dict)", "False"),
    ("to-device", "{key: to_device(item, device)", "{key: item"),
    ("to-device", "yield to_device(batch, self.device)", "yield batch"),
    ("to-device", "return len(self.dl)", "return len(self.dl.dataset)"),
    ("wrap-loaders", "DeviceDataLoader(valid_dl, device)", "DeviceDataLoader(train_dl, device)"),
    # Training
    ("accuracy", "argmax(dim=1)", "argmax(dim=0)"),
    ("accuracy", "argmax(dim=1)", "argmin(dim=1)"),
    ("accuracy", "labels.view_as(outputs[:, 0])", "labels"),
    ("accuracy", "outputs.shape[1] > 1", "outputs.shape[1] > 0"),
    ("accuracy", "/ labels.numel()", "/ len(labels)"),
    ("accuracy", "/ labels.numel()", "/ 100"),
    ("loss-batch", "        opt.zero_grad()\n", ""),
    ("loss-batch", "        loss.backward()\n", ""),
    ("loss-batch", "        opt.step()\n", ""),
    ("loss-batch", "if opt is not None", "if opt is None"),
    ("loss-batch", "loss.item(), len(yb)", "loss.item(), 1"),
    ("loss-batch", "loss.item(), len(yb)", "loss.item(), len(xb)"),
    ("loss-batch", "loss.item(), len(yb)", "loss, len(yb)"),
    ("loss-batch", "metric(outputs, yb)", "metric(outputs, yb.roll(1))"),
    ("evaluate", "loss * size", "loss"),
    ("evaluate", "sum(v * size for v, size", "sum(v for v, size"),
    ("evaluate", "with torch.no_grad():", "with torch.enable_grad():"),
    ("evaluate", "    model.eval()\n", ""),
    ("evaluate", "    model.train(was_training)\n", ""),
    ("evaluate", "model.train(was_training)", "model.train()"),
    ("evaluate", "n = sum(sizes)", "n = len(sizes)"),
    ("fit", "        model.train()\n", ""),
    ("fit", "for xb, yb in train_dl:", "for xb, yb in valid_dl:"),
    ("fit", "evaluate(model, loss_func, valid_dl, metric)", "evaluate(model, loss_func, train_dl, metric)"),
    ("fit", "(model.parameters(), lr=lr)", "(model.parameters(), lr=lr / 2)"),
    ("fit", "loss_batch(model, loss_func, xb, yb, opt)", "loss_batch(model, loss_func, xb, yb)"),
    ("fit", "opt_fn=torch.optim.SGD", "opt_fn=torch.optim.Adam"),
    ("fit", "or torch.optim.SGD)", "or torch.optim.Adam)"),
    ("fit", "        report(line ", "    report(line "),
    ("fit", "        report(line ", "        print(line "),
    ("fit", """        model.train()
        for xb, yb in train_dl:
            loss_batch(model, loss_func, xb, yb, opt)
        loss, _, value = evaluate(model, loss_func, valid_dl, metric)
""", """        loss, _, value = evaluate(model, loss_func, valid_dl, metric)
        model.train()
        for xb, yb in train_dl:
            loss_batch(model, loss_func, xb, yb, opt)
"""),
    ("keep-weights", "module is model and ", ""),
    ("keep-weights", " and module.training", ""),
    ("keep-weights", "copy.deepcopy(module.state_dict())", "module.state_dict()"),
    ("keep-weights", "{0, *(", "{*("),
    ("keep-weights", "(epochs + fine_epochs)", "epochs"),
    ("keep-weights", "range(0, n_steps, len(train_dl))", "range(len(train_dl), n_steps, len(train_dl))"),
    ("keep-weights", "step in film_steps or ", ""),
    ("first-fit", "torch.manual_seed(seed)\n", ""),
    ("second-fit", "fine_epochs, fine_lr, model", "fine_epochs, lr, model"),
    ("linear-fit", "nn.Linear(784, hidden_size), nn.Linear", "nn.Linear(784, hidden_size), nn.ReLU(), nn.Linear"),
    ("linear-fit", "(fine_epochs, fine_lr)]", "(fine_epochs, lr)]"),
    ("accuracy-curves", "hook.remove()\n", ""),
    ("accuracy-curves", "[None] + linear_metrics", "linear_metrics"),
    ("accuracy-curves", "ax.axhline(part_three", "ax.axhline(part_three + 0.01"),
    ("accuracy-curves", 'xlabel="epoch"', 'xlabel="batch"'),
    ("loss-curves", "    kept_model.load_state_dict(state)\n", ""),
    ("loss-curves", "F.cross_entropy, train_dl)", "F.cross_entropy, valid_dl)"),
    ("loss-curves", " + [model.state_dict()]", ""),
    ("loss-curves", "[start_loss] + losses", "[start_loss] + metrics"),
    ("loss-curves", "ax.semilogy(train_losses,", "ax.semilogy(all_losses,"),
    ("loss-curves", "ax.axvline(epochs,", "ax.axvline(epochs + 0.1,"),
    ("error", "chances - F.one_hot", "chances + F.one_hot"),
    ("error", '"none").argmax()', '"none").argmin()'),
    ("nudge", "nudged[0, one_label] +=", "nudged[0] +="),
    ("nudge", "one_logits.clone()", "one_logits"),
    ("nudge", "change.item() / nudge", "change.item()"),
    ("way-back", "xb[hardest, 0]", "xb[0, 0]"),
    ("way-back", '(3.8, "error")', '(1.9, "error")'),
    ("way-back", "(end, -1.15), (start, -1.15)", "(start, -1.15), (end, -1.15)"),
    ("step-by-hand", "- F.one_hot(yb, num_classes=10)", "+ F.one_hot(yb, num_classes=10)"),
    ("step-by-hand", " * (hidden > 0)", ""),
    ("step-by-hand", "error / len(yb)", "error"),
    ("step-by-hand", "(error @ w2) *", "(error @ (w2 - lr * error.T @ hidden)) *"),   # the new weights
    ("step-by-hand", "w2_grad = error.T @ hidden", "w2_grad = error.T @ (x @ w1.T + b1)"),
    ("step-by-hand", "[w1_grad, b1_grad,", "[w1_grad, 0,"),
    ("step-by-hand", "b2_grad]", "0]"),
    ("step-by-hand", "weight -= lr * grad", "weight += lr * grad"),
    ("step-by-hand", "weight -= lr * grad", "weight = weight - lr * grad"),   # not in place
    ("by-hand-check", "copy.deepcopy(model)", "model"),
    ("by-hand-check", ".clone()", ""),
    ("zero-grad", "    F.cross_entropy(trial(xb), yb)", "    trial.zero_grad()\n    F.cross_entropy(trial(xb), yb)"),
    ("zero-grad", "copy.deepcopy(model)", "model"),
    # What it learned
    ("predict", "model.eval()\n", ""),
    ("predict", "with torch.no_grad():", "with torch.enable_grad():"),
    ("predict", "dataset.targets[val_indices]", "dataset.targets[train_indices[:len(val_indices)]]"),
    ("confusion", "valid_labels * 10 + predictions", "predictions * 10 + valid_labels"),
    ("confusion-picture", ".fill_diagonal_(0)", ""),
    ("confident-mistakes-picture", "descending=True", "descending=False"),
    ("confident-mistakes-picture", "predictions != valid_labels", "predictions == valid_labels"),
    ("confident-mistakes-picture", "{valid_labels[i]}, read as {predictions[i]}",
     "{predictions[i]}, read as {valid_labels[i]}"),
    ("hidden-units", "    filmed.load_state_dict(kept[step])\n", ""),
    ("hidden-units", "sorted(film_steps & kept.keys() | {n_steps})", "sorted(kept)"),
    ("hidden-units", "F.cross_entropy, valid_dl, accuracy", "F.cross_entropy, train_dl, accuracy"),
    ("hidden-units", 'kept[step]["linear1.weight"]', '-kept[step]["linear1.weight"]'),
    ("hidden-units", '"RdBu_r"', '"RdBu"'),
    ("hidden-units", "vmin=-limit", "vmin=0"),
    ("hidden-units", "frames[-1].save(", "frames[0].save("),
    ("why", "F.relu(w1 @ pixels + b1)", "(w1 @ pixels + b1)"),
    ("why", "* w2[answer]", "* w2[valid_labels[index]]"),
    ("why", "parts.abs().topk(min(5", "parts.topk(min(5"),
    ("why", "- parts[best].sum() + b2[answer]", "+ b2[answer]"),
    ("why", " + b2[answer]", ""),
    ("why", "most_confident[0]", "most_confident[1]"),
    ("why", "rival = second if answer == valid_labels[index] else valid_labels[index]", "rival = second"),
    ("why", "{parts[unit]:+.1f}", "{parts[best[0]]:+.1f}"),
    ("why", "ax.imshow(w1[unit]", "ax.imshow(-w1[unit]"),
    # A digit of the reader's own: as MNIST's were prepared, in Python and in the page, and by the model's weights
    ("prepare-digit", "    if not ink.any():\n", "    if False:\n"),
    ("prepare-digit", "28 / 20 * (", "("),
    ("prepare-digit", " + 1).max().item())", " + 1)[0].item())"),
    ("prepare-digit", "((inked + 0.5) *", "(inked *"),
    ("prepare-digit", "(centre - side * 14.5 / 28 + 0.5)", "(centre - side / 2 + 0.5)"),
    ("prepare-digit", "        ink = ink / 255\n", "        pass\n"),
    ("prepare-digit", "ink.reshape(ink.shape[-2:])", "ink.reshape(-1, ink.shape[-1])"),
    ("prepare-digit", " * ink[ink > 0][:, None]).sum(dim=0) / ink.sum()", ").mean(dim=0)"),
    ("prepare-digit", "left + side - ink.shape[1]", "left + side - ink.shape[0]"),
    ("prepare-digit", "[-left, left", "[-top, left"),
    ("prepare-digit", "F.pad(ink, [-left, left + side - ink.shape[1], -top, top + side - ink.shape[0]])",
     "F.pad(ink, [side] * 4)[top + side:, left + side:][:side, :side]"),   # the same, in much more memory
    ("prepare-digit", '28, mode="area")[0, 0]', '28, mode="nearest")[0, 0]'),
    ("draw-a-digit", "chance > 0.99", "chance > 1.99"),
    ("draw-a-digit", "[prepare_digit(seven), F.avg_pool2d(seven[None], 3)[0]]",
     "[F.avg_pool2d(seven[None], 3)[0], prepare_digit(seven)]"),
    ("draw-a-digit", "plt.imsave(file, images[0]", "plt.imsave(file, images[1]"),
    ("draw-a-digit", "(part / one).round()", "(part / one)"),
    ("draw-a-digit", ".nan_to_num()", ""),
    ("draw-a-digit", "/ 126:.3g}", "/ 120:.3g}"),
    ("draw-a-digit", "/ 126:.3g}", "/ 126}"),
    ("draw-a-digit", "torch.int32, 2**-16", "torch.int32, 2**-8"),
    ("draw-a-digit", "read as a {answers[0]}", "read as a {answers[1]}"),
    ("draw", "draw_a_digit(model, moments)", "draw_a_digit(model)"),
    ("hidden-units", "[:-1:2]", "[::2]"),
    ("digit-field", "n => n * one", "n => n"),
    ("digit-field", "w[i * x.length + j]", "w[j * b.length + i]"),
    ("digit-field", "Math.max(0, z)", "z"),
    ("digit-field", "left + 14 - mean", "left + 13 - mean"),
    ("digit-field", "Math.exp(logit - logits[best])", "Math.exp(logit)"),   # the answer's is to be 1
    ("digit-field", "centre.onchange = look; ", ""),
    ("save", "model.state_dict()", "model"),
    ("load", "reloaded.load_state_dict(", "tuple("),
    ("load", "weights_only=True", "weights_only=False"),
    ("load", "map_location=device", "map_location=None"),
    # Experiments
    ("train", "start_factor=1, end_factor=end", "start_factor=end, end_factor=1"),
    ("train", "total_iters=epochs - 1)", "total_iters=epochs)"),
    ("train", "        scheduler.step()\n", ""),
    ("train", "        scheduler.step()\n", "            scheduler.step()\n"),
    ("train", "        model.train()\n", ""),
    ("train", "nn.ReLU()]", "nn.Identity()]"),
    ("train", "layers[:-1]", "layers"),
    ("trials", "torch.manual_seed(trial_seed)", "torch.manual_seed(seeds[0])"),
    ("trials", "lr=lr, momentum=momentum)", "lr=lr)"),
    ("trials", "valid_dl, end)", "valid_dl)"),
    ("trials", "train_dl.device", '"cpu"'),
    ("sizes-run", "[seed, seed + 1, seed + 2]", "[seed, seed, seed]"),
    ("sizes-run", "[784, 32, 32, 10], ", "[784, 32, 10], "),
    ("sizes-run", "lr=0.05, momentum=0.9", "lr=0.05"),
    ("sizes-run", "lr=0.05,", "lr=0.5,"),
    ("sizes-picture", "scores.mean(dim=1)", "scores.amax(dim=1)"),
    ("sizes-picture", "size_scores[[1, 3, 4]]", "size_scores[[1, 4, 3]]"),
    ("map-run", "batched_dataset, size, map_sampler", "batched_dataset, batch_size, map_sampler"),
    ("map-run", "lr=rate)", "lr=map_rates[0])"),
    ("map-picture", "ax.plot(range(3), range(3)", "ax.plot(range(1, 4), range(3)"),
    ("few-run", '"momentum": (0.15, 0.9, 1)', '"momentum": (0.15, 0, 1)'),
    ("few-run", '"both": (0.15, 0.9, 0.02)', '"both": (0.15, 0.9, 1)'),
    ("few-picture", "finals.mean()", "finals.max()"),
    ("overfit-run", "train_indices[:n_overfit]", "train_indices"),
    ("overfit-run", "F.cross_entropy, overfit_dl, check_dl,", "F.cross_entropy, check_dl, overfit_dl,"),
    ("overfit-run", "evaluate(trial, F.cross_entropy, overfit_dl)", "evaluate(trial, F.cross_entropy, check_dl)"),
    ("overfit-picture", 'overfit_valid, "-"', 'overfit_train, "-"'),
    ("shifted-mnist", "torch.randint(-1, 2,", "torch.randint(-1, 1,"),
    ("shifted-mnist", "roll((down, across), dims=(-2, -1))", "roll((across, down), dims=(-2, -1))"),
    ("shifted-mnist", "roll((down, across), dims=(-2, -1))", "roll(down, dims=-2)"),
    ("shifted-run", '("with shifts", ShiftedMNIST(dataset))', '("with shifts", batched_dataset)'),
    ("small-digits", "/ 16", "/ 255"),
    ("small-digits", "split_indices(len(small_dataset), 0.2)", "split_indices(len(small_dataset), 0.5)"),
    ("small-digits", "SubsetRandomSampler(small_train)", "SubsetRandomSampler(small_valid)"),
    ("enlarged", "for digit in larger]", "for digit in small_images]"),
    ("enlarged", "prepare_digit(digit[0]) for", "F.interpolate(digit[None], 28)[0, 0] for"),
    ("enlarged-picture", "[small_images, filling, prepared]", "[small_images, prepared, filling]"),
    ("best-run", "end=0.01", "end=1"),
    ("best-run", "batch_size, train_sampler", "batch_size, val_indices"),
    ("best-run", "ShiftedMNIST(dataset)", "batched_dataset"),
    ("test-set", "train=False", "train=True"),
    ("test-set", "(model, best_model)", "(best_model, model)"),
    # Where the time goes: what a timed function does, and which of its times is kept
    ("compare-times", "copy.deepcopy(model)", "model"),
    ("compare-times", "pixels.index_select(0, part) / 255", "pixels.index_select(0, part)"),
    ("compare-times", "targets.index_select(0, part)", "targets[:len(part)]"),
    ("compare-times", "(w1 @ x.T @ x).sum()", "(w1 @ x.T).sum()"),
    ("compare-times", "    w1.cpu() ", "    pass "),
    ("compare-times", "products.cpu()", "pass"),
    ("compare-times", "for batch in train_dl:", "for batch in valid_dl:"),
    ("compare-times", "for xb, yb in train_dl:", "for xb, yb in valid_dl:"),
    ("compare-times", "min(timeit.repeat(loop,", "max(timeit.repeat(loop,"),
    ("compare-times", "timeit.repeat(loop,", "timeit.repeat(two_products,"),
    ("steps", "xb[:100].float()", "xb[:100]"),
    ("steps", "MnistModel(784, width, 10)", "MnistModel(784, hidden_size, 10)"),
    ("steps", ".float().to(place)", ".to(place)"),
    ("steps", "1000 * min(seconds)", "1000 * max(seconds)"),
    ("steps", "yb[:100]], place)", "yb[:100]], device)"),
    ("steps-picture", "ax.loglog(step_widths, times", "ax.loglog(step_widths, times[::-1]"),
    ("steps-picture", "milliseconds per step", "seconds per step"),
    # Rounding
    ("drift", "torch.nextafter(weight, weight + 1)", "weight + 0.01"),
    ("drift", "enumerate(models[1:])", "enumerate(models)"),
    ("drift", ".abs().amax(dim=1)", ".abs().mean(dim=1)"),
    ("drift", "zip(models, opts)", "zip(models[:1], opts)"),
    ("drift-picture", "10).float()", "10).double()"),
    ("drift-picture", "copy.deepcopy(first_model).double(), 1", "first_model, 1"),
    ("drift-picture", "2 * torch.arange(len(drift32))", "torch.arange(len(drift32))"),
    ("drift-picture", "drift32, color=ORANGE", "drift32.flip(0), color=ORANGE"),
    ("drift-picture", "drift64, color=BLUE", "drift32[:, :1], color=BLUE"),
    ("drift-picture", "epochs_so_far, drift64", "2 * epochs_so_far, drift64"),
    ("drift-picture", "(answers != read[0])", "(answers == read[0])"),
    ("drift", "return torch.stack(history), models", "return torch.stack(history), models[1:]"),
    ("drift-picture", 'xlabel="epoch"', 'xlabel="batch"'),
    ("jovian", "commit_to_jovian = False", "commit_to_jovian = True"),
]


@functools.cache
def checks():
    """The text of everything that decides whether a mutant is noticed."""
    files = [ROOT / "conftest.py", ROOT / "pyproject.toml", *sorted((ROOT / "tools").glob("*.py")),
             *sorted((ROOT / "tests").glob("*.py"))]
    return b"".join(file.name.encode() + file.read_bytes() for file in files)


@dataclass(frozen=True)
class Mutant:
    """A cell with other code."""
    cell: str
    source: str
    made_by: str

    def name(self):
        return f"{self.cell}-{hashlib.sha256(self.source.encode()).hexdigest()[:12]}"

    def key(self):
        """The same as long as the mutant and the checks are the same."""
        return f"{self.name()}-{hashlib.sha256(checks()).hexdigest()[:12]}"

    def changes_a_check(self, original):
        """Whether the line that differs is itself a check: then there is nothing for a check to notice."""
        return all(line[1:].strip().startswith("assert ") for line in self.difference(original).splitlines()
                   if line.startswith("-"))

    def difference(self, original):
        """The lines that differ, with - and + before them."""
        lines = difflib.unified_diff(original.splitlines(), self.source.splitlines(), lineterm="", n=0)
        return "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))


def mutants(nb):
    """Every mutant: those by hand, and a fixed random choice of cosmic-ray's."""
    sources = {cell.id: cell.source for cell in code_cells(nb)}
    found = {}
    for cell, was, becomes in BY_HAND:
        if was not in sources[cell]:
            sys.exit(f"{cell} has no {was!r} to change: mend BY_HAND in tests/mutants.py.")
        mutant = Mutant(cell, sources[cell].replace(was, becomes, 1), "by hand")
        found[mutant.name()] = mutant
    by_operator = {}
    for cell, source in sources.items():
        for name in OPERATORS:
            occurrence = 0
            operator = cosmic_ray.plugins.get_operator(name)()
            while (changed := mutate_code(source, operator, occurrence)) is not None:
                mutant = Mutant(cell, changed, name.removeprefix("core/"))
                if not mutant.changes_a_check(source):
                    by_operator[mutant.name()] = mutant
                occurrence += 1
    order = sorted(by_operator)
    random.Random(0).shuffle(order)
    # Numbers are by far the most frequent: the others first.
    order.sort(key=lambda key: by_operator[key].made_by == "NumberReplacer")
    return list(found.values()) + [by_operator[key] for key in order[:N_COSMIC_RAY] if key not in found]


def first_noticed(mutant, part):
    """The first check that fails on a mutant, or None; `part` is what of the notebook is executed.

    A mutant without a cell is the control, the notebook as it is. Raises RuntimeError if pytest ends in another
    way than with passed or failed tests.
    """
    nb = read()
    stages = [[NOTEBOOK.name], OTHERS]
    for cell in code_cells(nb):
        if cell.id == mutant.cell:
            cell.source = mutant.source
            if has_tag(cell, "definition"):
                stages.insert(0, ALONE)
            elif cell.id == "jovian":   # before the notebook's run: changed, it might commit
                stages.insert(0, JOVIAN)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        copy_project(project)
        for stage in stages:
            nbformat.write(part(nb) if stage == [NOTEBOOK.name] else nb, project / NOTEBOOK.name)
            command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
            if part is core and stage == [NOTEBOOK.name]:
                command += ["-k", "not figure"]   # those in the core's text may be of later sections
            try:
                done = subprocess.run(command + stage, cwd=project, capture_output=True, text=True, timeout=900,
                                      env=os.environ | {"OMP_NUM_THREADS": "1"})
            except subprocess.TimeoutExpired:
                return f"{stage[0]} (time ran out)"
            if done.returncode == 1:
                failed = re.search(r"^(?:FAILED|ERROR) ([\w./-]+)", done.stdout, re.M)
                return failed[1] if failed else stage[0]
            if done.returncode:
                raise RuntimeError(f"pytest {' '.join(stage)} ended with status {done.returncode} on {mutant.cell}:\n"
                                   + done.stdout + done.stderr)
    return None


def equivalents():
    """The listed equivalent mutants: (cell, difference) → reason."""
    listed = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("mutant", [])
    return {(entry["cell"], entry["difference"].strip()): entry["reason"] for entry in listed}


def main(sample):
    nb = read()
    part = core if sample else copy.deepcopy
    if (noticed := first_noticed(Mutant("", "", "control"), part)) is not None:
        sys.exit(f"The notebook as it is fails in {noticed}: mend that first, for no mutant would tell anything.")
    sources = {cell.id: cell.source for cell in code_cells(nb)}
    todo = mutants(nb)
    if sample:
        in_core = {cell.id for cell in core(nb).cells}
        todo = random.Random(0).sample([mutant for mutant in todo if mutant.cell in in_core], SAMPLE)
    # A mutant that was noticed stays so until a check changes; one that was not is tried again.
    done = json.loads(RESULTS.read_text()) if RESULTS.exists() and not sample else {}
    left = [mutant for mutant in todo if done.get(mutant.key()) is None]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda mutant: first_noticed(mutant, part), left)
        for mutant, stage in zip(left, tqdm(outcomes, total=len(left), unit="mutant")):
            done[mutant.key()] = stage
            if not sample:
                BUILD.mkdir(exist_ok=True)
                replace(RESULTS, json.dumps(done, indent=1))
    survivors = [mutant for mutant in todo if done[mutant.key()] is None]
    known = equivalents()
    gaps = [mutant for mutant in survivors if (mutant.cell, mutant.difference(sources[mutant.cell])) not in known]
    for mutant in gaps:
        print(f"not noticed, in {mutant.cell} ({mutant.made_by}):\n{mutant.difference(sources[mutant.cell])}\n")
    n_killed = len(todo) - len(survivors)
    n_equivalent = len(survivors) - len(gaps)
    score = n_killed / (len(todo) - n_equivalent)
    print(f"{len(todo)} mutants: {n_killed} killed, {n_equivalent} equivalent, {len(gaps)} not noticed; score {score:.1%}")
    if not sample:
        by_hand = [mutant for mutant in todo if mutant.made_by == "by hand"]
        stages = [done[mutant.key()] for mutant in todo]
        write_part(ROOT / "tests" / "README.md", "mutants", [
            f"On {datetime.date.today()}: {len(todo)} mutants, {len(by_hand)} of them by hand and the others a random "
            f"choice of cosmic-ray's. **{n_killed} killed, {n_equivalent} equivalent, {len(gaps)} not noticed: "
            f"a score of {score:.1%}.**", "",
            "| first noticed by | mutants |", "|---|---|",
            *(f"| `{stage}` | {stages.count(stage)} |" for stage in sorted(set(filter(None, stages))))])
    sys.exit(bool(gaps))


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["sample"]):
        sys.exit(__doc__)
    main(sample=bool(sys.argv[1:]))
