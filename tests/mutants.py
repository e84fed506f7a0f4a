"""Change the notebook's code in small ways, one at a time: does a check notice? `make mutants` calls this.

    python tests/mutants.py           every mutant; goes on where it was stopped; writes tests/README.md
                                      (to start afresh, delete build/mutants.json)
    python tests/mutants.py sample    the small sample that continuous integration runs

A mutant that no check notices is a gap in the checks, or equivalent: it does what the original does. Those
are listed in equivalent_mutants.toml, each with its reason.
"""

import concurrent.futures
import datetime
import difflib
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import cosmic_ray.plugins  # noqa: E402
import nbformat  # noqa: E402
from cosmic_ray.mutating import mutate_code  # noqa: E402
from tqdm import tqdm  # noqa: E402

from cells import BUILD, NOTEBOOK, ROOT, code_cells, has_tag, read  # noqa: E402
from marked import write_part  # noqa: E402
from sandbox import copy_project  # noqa: E402

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

# What goes wrong in this field: cell, what stands there, what it becomes.
BY_HAND = [
    ("loss-batch", "        opt.zero_grad()\n", ""),
    ("loss-batch", "        loss.backward()\n", ""),
    ("loss-batch", "        opt.step()\n", ""),
    ("loss-batch", "if opt is not None", "if opt is None"),
    ("loss-batch", "loss.item(), len(xb)", "loss.item(), 1"),
    ("loss-batch", "metric(outputs, yb)", "metric(outputs, yb.roll(1))"),
    ("mnist-model", "F.relu(self.linear1(xb))", "self.linear1(xb)"),
    ("mnist-model", "F.relu(", "F.leaky_relu("),
    ("mnist-model", "return self.linear2(hidden)", "return F.softmax(self.linear2(hidden), dim=1)"),
    ("mnist-model", "return self.linear2(hidden)", "return F.relu(self.linear2(hidden))"),
    ("mnist-model", "return self.linear2(hidden)", "return F.log_softmax(self.linear2(hidden), dim=1)"),
    ("split-indices", "shuffled[n_val:], shuffled[:n_val]", "shuffled[n_val - 1:], shuffled[:n_val]"),
    ("split-indices", "shuffled[n_val:], shuffled[:n_val]", "shuffled[:n_val], shuffled[n_val:]"),
    ("split-indices", "shuffled[n_val:], shuffled[:n_val]", "shuffled, shuffled[:n_val]"),
    ("split-indices", "torch.randperm(n)", "torch.arange(n)"),
    ("plain-loader", "sampler=train_sampler", "shuffle=True"),
    ("loaders", "batched_dataset, batch_size, train_sampler", "batched_dataset, batch_size"),
    ("loaders", "batched_dataset, batch_size, train_sampler", "batched_dataset, batch_size, val_sampler"),
    ("samplers", "SubsetRandomSampler(val_indices)", "SubsetRandomSampler(train_indices)"),
    ("batched-mnist", "self.labels.index_select(0, indices)", "self.labels.index_select(0, indices).roll(1)"),
    ("batched-mnist", "/ 255", "/ 256"),
    ("batched-mnist", ".unsqueeze(1)", ".transpose(1, 2).unsqueeze(1)"),
    ("batched-loaders", "sampler=sampler,", "sampler=sampler, drop_last=True,"),
    ("evaluate", "loss * size", "loss"),
    ("evaluate", "value * size", "value"),
    ("evaluate", "with torch.no_grad():", "with torch.enable_grad():"),
    ("evaluate", "    model.eval()\n", ""),
    ("evaluate", "n += size", "n += 1"),
    ("fit", "        model.train()\n", ""),
    ("fit", "for xb, yb in train_dl:", "for xb, yb in valid_dl:"),
    ("fit", "evaluate(model, loss_func, valid_dl, metric)", "evaluate(model, loss_func, train_dl, metric)"),
    ("fit", "torch.optim.SGD)(model.parameters(), lr=lr)", "torch.optim.SGD)(model.parameters(), lr=lr / 2)"),
    ("fit", "loss_batch(model, loss_func, xb, yb, opt)", "loss_batch(model, loss_func, xb, yb)"),
    ("fit", """        model.train()
        for xb, yb in train_dl:
            loss_batch(model, loss_func, xb, yb, opt)
        loss, _, value = evaluate(model, loss_func, valid_dl, metric)
""", """        loss, _, value = evaluate(model, loss_func, valid_dl, metric)
        model.train()
        for xb, yb in train_dl:
            loss_batch(model, loss_func, xb, yb, opt)
"""),
    ("accuracy", "argmax(dim=1)", "argmax(dim=0)"),
    ("accuracy", "argmax(dim=1)", "argmin(dim=1)"),
    ("accuracy", "/ len(labels)", "/ 100"),
    ("device-data-loader", "yield to_device(batch, self.device)", "yield batch"),
    ("to-device", "return data.to(device)", "return data"),
    ("to-device", "type(data)(", "list("),
    ("get-default-device", 'torch.device("cuda")', 'torch.device("cpu")'),
    ("parameters", "seed = 1 ", "seed = 2 "),
    ("parameters", "hidden_size = 32", "hidden_size = 33"),
    ("parameters", "lr = 0.5", "lr = 0.4"),
    ("parameters", "batch_size = 100", "batch_size = 50"),
    ("parameters", "fine_epochs = 5", "fine_epochs = 4"),
    ("precision", "else torch.float64", "else torch.float32"),
    ("split", "torch.manual_seed(seed)\n", ""),
    ("model-create", "torch.manual_seed(seed)\n", ""),
    ("first-fit", "torch.manual_seed(seed)\n", ""),
    ("second-fit", "fine_lr, model", "lr, model"),
    ("linear-model", "self.linear1(xb.flatten(start_dim=1))", "F.relu(self.linear1(xb.flatten(start_dim=1)))"),
    ("curves", "[start_loss] + losses", "[start_loss] + metrics"),
    ("curves", "ax.plot(all_metrics,", "ax.plot(all_losses,"),
    ("curves", 'title="Past 86 % at once"', 'title="Past 87 % at once"'),
    ("curves", "ax.axvline(epochs,", "ax.axvline(epochs + 0.1,"),
    ("confusion", "labels * 10 + predictions", "predictions * 10 + labels"),
    ("confident-mistakes", "descending=True", "descending=False"),
    ("confident-mistakes-picture", "{labels[index]}, read as {predictions[index]}",
     "{predictions[index]}, read as {labels[index]}"),
    ("hidden-units", "model.linear1.weight", "-model.linear1.weight"),
    ("test-set", "train=False", "train=True"),
    ("drift", "torch.nextafter(nudged[0], torch.ones_like(nudged[0]))", "nudged[0] + 0.01"),
    ("drift", "distances(models)]\n    for", "[0.0] * copies]\n    for"),
    ("drift-run", "torch.float32", "torch.float64"),
    ("drift-picture", 'xlabel="epoch"', 'xlabel="batch"'),
    ("plain-time", "time.perf_counter() - start", "start - time.perf_counter()"),
    ("step-by-hand", "error -= F.one_hot(yb, num_classes=10)", "error += F.one_hot(yb, num_classes=10)"),
    ("step-by-hand", " * (hidden > 0)", ""),
    ("step-by-hand", "    b1 -= hidden_error.sum(dim=0)", "    pass"),
    ("epoch-by-hand", ".mul_(hidden.sign())", ""),
    ("epoch-by-hand", "step = lr / len(batch)", "step = lr / batch_size"),
    ("timed-epoch", "        opt.zero_grad()\n", ""),
    ("time-picture", "One epoch, part by part", "Two epochs, part by part"),
    ("compare-times", '"the step by hand": with_step_by_hand', '"the step by hand": with_autograd'),
    ("jovian-setting", "False", "True"),
    ("load", "reloaded.load_state_dict(state)", '"<All keys matched successfully>"'),
    ("zero-grad", "F.cross_entropy(trial(xb), yb).backward()\ntwice", "trial.zero_grad()\nF.cross_entropy(trial(xb), yb).backward()\ntwice"),
    ("recorded", "        place.copy_(order)\n", ""),
    ("recorded", "        graph.replay()", "        epoch(place)"),
    ("check-settings", "value < 1", "value < 0"),
    ("train-helper", "fit(1, rate,", "fit(1, rates[0],"),
    ("train-helper", "accuracy, opt_fn)", "accuracy)"),
    ("deep-model", "F.relu(layer(xb))", "layer(xb)"),
    ("deep-model", "self.layers[:-1]", "self.layers"),
    ("sizes-run", "torch.manual_seed(run)", "torch.manual_seed(seed)"),
    ("sizes-picture", "size_scores[:len(widths)]", "size_scores[-len(widths):]"),
    ("map-run", "[rate], map_dl", "[rate], train_dl"),
    ("map-picture", "map_scores.mean(dim=2)", "map_scores.amax(dim=2)"),
    ("momentum", "momentum=0.9", "momentum=0.8"),
    ("momentum", "nesterov=True", "nesterov=False"),
    ("few-run", "train_dl, opt_fn)", "train_dl)"),
    ("shifted-mnist", "torch.randint(3,", "torch.randint(2,"),
    ("shifted-mnist", "down, across].unsqueeze", "across, down].unsqueeze"),
    ("shifted-run", "evaluate(trial, F.cross_entropy, train_dl", "evaluate(trial, F.cross_entropy, dl"),
    ("push-test", "test_dl", "valid_dl"),
    ("seconds-per-step", "times[5:]", "times"),
    ("batched-cifar", "permute(0, 3, 1, 2)", "permute(0, 3, 2, 1)"),
    ("cifar-run", "3 * 32 * 32, hidden_size", "32 * 32, hidden_size"),
    ("get-mnist", "if sha256 != SHA256[file.name]", "if False"),
]


@dataclass(frozen=True)
class Mutant:
    """A cell with other code."""
    cell: str
    source: str
    made_by: str

    def key(self):
        return f"{self.cell}-{hashlib.sha256(self.source.encode()).hexdigest()[:12]}"

    def changes_a_check(self, original):
        """Whether the line that differs is itself a check: then there is nothing for a check to notice."""
        return all(line[1:].strip().startswith(("assert ", "if as_in_the_course"))
                   for line in self.difference(original).splitlines() if line.startswith("-"))

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
        found[mutant.key()] = mutant
    by_operator = {}
    for cell, source in sources.items():
        for name in OPERATORS:
            occurrence = 0
            operator = cosmic_ray.plugins.get_operator(name)()
            while (changed := mutate_code(source, operator, occurrence)) is not None:
                mutant = Mutant(cell, changed, name.removeprefix("core/"))
                if not mutant.changes_a_check(source):
                    by_operator[mutant.key()] = mutant
                occurrence += 1
    order = sorted(by_operator)
    random.Random(0).shuffle(order)
    # Numbers are by far the most frequent: the others first.
    order.sort(key=lambda key: by_operator[key].made_by == "NumberReplacer")
    return list(found.values()) + [by_operator[key] for key in order[:N_COSMIC_RAY] if key not in found]


def killed_by(mutant):
    """The first check that fails on a mutant, or None."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copy_project(copy)
        nb = read()
        cell = next(cell for cell in nb.cells if cell.id == mutant.cell)
        cell.source = mutant.source
        nbformat.write(nb, copy / NOTEBOOK.name)
        stages = [NOTEBOOK.name, "tests/test_prose.py"]
        if has_tag(cell, "definition"):
            stages.insert(0, "tests/test_jovian.py" if cell.id == "jovian-function" else "tests/test_functions.py")
        for stage in stages:
            try:
                status = subprocess.run([sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", stage],
                                        cwd=copy, capture_output=True, timeout=600,
                                        env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode
            except subprocess.TimeoutExpired:
                return f"{stage} (time ran out)"
            if status:
                return stage
    return None


def equivalents():
    """The listed equivalent mutants: (cell, difference) → reason."""
    listed = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("mutant", [])
    return {(entry["cell"], entry["difference"].strip()): entry["reason"] for entry in listed}


def main(sample):
    nb = read()
    sources = {cell.id: cell.source for cell in code_cells(nb)}
    todo = mutants(nb)
    if sample:
        todo = random.Random(0).sample(todo, SAMPLE)
    # A mutant that was noticed stays so until its cell changes; one that was not is tried again.
    done = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    left = [mutant for mutant in todo if done.get(mutant.key()) is None]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, stage in zip(left, tqdm(pool.map(killed_by, left), total=len(left), unit="mutant")):
            done[mutant.key()] = stage
            BUILD.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(done, indent=1))
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
