"""The answers to the exercises: each runs where its exercise stands, as if a reader had typed it there.

check_notebook.py asks the kernel that has executed the notebook up to that place. An answer works on a copy
of the notebook's names, and what it draws at random is put back: for the cells after it, it never ran.
"""

import contextlib
import io
import re

import figures

FOLDED = re.compile(r"<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>", re.S)
# What must hold after each answer, besides what the exercise's metadata says of any seed: expressions in the
# names that the reader has then, and in `printed`.
CHECKS = {
    "exercise-seed": [
        "first != second", "in_both == len(set(first) & set(second))",
        r"printed == f'{in_both} of {len(first)}\n'"],
    "exercise-abs": ["absolute.equal(x.abs())", "x.min() < 0 < x.max()"],
    "exercise-count": ["counted == by_formula == 50_890", "1.9 < counted / n_parameters < 2",
                       r"printed == '50,890\n'"],
    "exercise-top-two": [
        "top_two(torch.tensor([[2, 1, 0], [1, 0, 2], [2, 0, 1]]), torch.tensor([0, 0, 1])) == 2 / 3",
        r"printed == f'{among_two:.4f}\n'"],
    "exercise-learning-rate": [r"printed.endswith('hidden values above zero: 0\n')"],
    "exercise-one-batch": [
        "printed.startswith(f'MnistModel: accuracy 1.00 first after {first_right[0]} steps, loss 0.0')",
        r"printed.splitlines()[1].startswith('SoftmaxModel: accuracy ')",
        r"printed.endswith(f', loss {one_batch_losses[1]:.4f}\n')"],
    "exercise-steady": [
        "sorted(steady_losses) not in (steady_losses, steady_losses[::-1])",
        "steady_metrics[-1] < fine_metrics[-1]"],
    "exercise-gradients": [
        "gradients.shape == (784,)", "gradients.max() > 0", "(xb.flatten(1).amax(dim=0) == 0).any()",
        "(gradients[xb.cpu().flatten(1).amax(dim=0) == 0] == 0).all()",
        r"printed == '72 pixels without ink, weights unchanged: True\n'",
        # Every other pixel's weights have changed.
        "(trial.linear1.weight != model.linear1.weight).any(dim=0).cpu().equal(~no_ink)"],
    "exercise-zeros": [
        "[line.split()[0] for line in printed.splitlines() if line.endswith(' True')] == ['linear2.bias']"],
    "exercise-sigmoid": ["values[1] > 0.85"],
    "exercise-adam": ["len(printed.splitlines()) == 4"],
    "exercise-best-images": [
        "values[best].equal(values.sort(descending=True).values[:8])",
        "model.linear1(to_device(dataset.data[val_indices][best].flatten(1) / 255, device))[:, 0].cpu()"
        ".allclose(values[best])"],
    "exercise-calibration": [
        "0 < promised < n_sure_wrong", "sure.sum() > 9000", "printed.split()[0] == str(n_sure_wrong)"],
    "exercise-few-images": [
        "by_number == sorted(by_number)", "by_number[0] > 0.5",
        "[line.split(': ')[1] for line in printed.splitlines()] == ['480 steps'] * 4"],
    "exercise-vote": [
        "together > max(singles)", "len(set(singles)) == 3",
        r"printed.endswith(f' together {together:.4f}\n')"],
    "exercise-convolution": [
        "0.91 < convolution_scores['ours, 256 units'] < 0.92",
        "0.95 < convolution_scores['convolutional'] < 0.96",
        "[line.split(', acc')[0] for line in printed.splitlines()] == "
        "['ours, 256 units: 203,530 parameters', 'convolutional: 4,266 parameters']",
        "trial(xb[:2]).shape == (2, 10)"],
    "exercise-cifar": [
        "BatchedCIFAR10(cifar)[[3, 1]][0].equal(torch.tensor(cifar.data[[3, 1]]).permute(0, 3, 1, 2) / 255)",
        "BatchedCIFAR10(cifar)[[3, 1]][1].tolist() == [cifar.targets[3], cifar.targets[1]]",
        "[sum(len(yb) for xb, yb in loader) for loader in (cifar_dl, cifar_valid_dl)] == [200, 50]",
        "(cifar_model.linear1.in_features, cifar_model.linear2.out_features) == (3072, 10)",
        "printed.count('epoch 5 of 5') == 2", "len(printed.splitlines()) == 10"],
}


def answer(text):
    """The code of an exercise's answer."""
    folded = dict(FOLDED.findall(text))
    return "\n".join(re.findall(r"```python\n(.*?)```", folded["Answer"], re.S))


def question(cell, expressions):
    """Code that runs an exercise's answer, and prints expressions' values after it (figures.evaluate)."""
    return f"__import__('answers').run({cell.id!r}, {answer(cell.source)!r}, {expressions!r}, globals())"


def run(cell_id, code, expressions, names):
    import matplotlib.pyplot as plt
    import torch

    state, show = torch.get_rng_state(), plt.show
    names, printed = dict(names), io.StringIO()
    plt.show = lambda: plt.close("all")
    try:
        with contextlib.ExitStack() as stack:
            if cell_id == "exercise-cifar":
                from small_cifar import small_cifar
                names["data_root"] = stack.enter_context(small_cifar())
            stack.enter_context(plt.rc_context())
            with contextlib.redirect_stdout(printed):
                exec(compile(code, f"<answer to {cell_id}>", "exec"), names)
            figures.evaluate(expressions, names | {"printed": printed.getvalue()})
    finally:
        plt.show = show
        torch.set_rng_state(state)
