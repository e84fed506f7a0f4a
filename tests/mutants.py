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

import cosmic_ray.plugins  # noqa: E402
import nbformat  # noqa: E402
from cosmic_ray.mutating import mutate_code  # noqa: E402
from tqdm import tqdm  # noqa: E402

from cells import BUILD, NOTEBOOK, ROOT, code_cells, core, has_tag, read  # noqa: E402
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
# The checks that a mutant goes through until one fails. A function is first tested alone, which is quicker.
ALONE, JOVIAN = ["tests/test_functions.py", "tests/test_cells.py"], ["tests/test_jovian.py"]
OTHERS = ["tests/test_functions.py", "tests/test_cells.py", "tests/test_parameters.py", "tests/test_download.py",
          "tests/test_jovian.py", "tests/test_accelerator.py"]

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
    ("get-default-device", "return accelerator", 'return torch.device("cpu")'),
    ("get-default-device", "torch.ones(1, device=accelerator) + 1", "accelerator"),
    ("parameters", "seed = 1 ", "seed = 2 "),
    ("parameters", "hidden_size = 32", "hidden_size = 33"),
    ("parameters", "lr = 0.5", "lr = 0.4"),
    ("parameters", "batch_size = 100", "batch_size = 50"),
    ("parameters", "fine_epochs = 5", "fine_epochs = 4"),
    ("precision", "torch.float64", "torch.float32"),
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
    ("get-data", "    assert check_mnist(data_root) == 4\n", ""),
    ("load", "weights_only=True", "weights_only=False"),
    # What a picture of durations draws
    ("time-picture", "bars(parts", "bars({part: 0.1 for part in parts}"),
    ("compare-picture", "bars(loops", "bars(parts"),
    ("gpu-experiment-picture", "1000 * step for step in steps", "step for step in steps"),
    ("gpu-experiment-picture", "(cpu_steps, \"o-\"", "(sorted(cpu_steps, reverse=True), \"o-\""),
    ("drift-picture", "points32, drift32", "points32, drift32.flip(0)"),
    ("drift-picture", "points64, drift64", "points32, drift32[:, 0]"),
    # What a timed function does, and which of its times is kept
    ("seconds-for", "min(times)", "max(times)"),
    ("seconds-for", "        run()\n", ""),
    ("now", "torch.accelerator.synchronize()", "pass"),
    ("timed-epoch", "loading += loaded - start", "loading += forwarded - start"),
    ("timed-epoch", "        opt.step()\n", ""),
    ("arithmetic-alone", "        w1 @ x.T\n", ""),
    ("ways", "epoch_by_hand(fast_weights", "arithmetic_alone(fast_weights"),
    ("plain-seconds", "4 * seconds_per_pass", "2 * seconds_per_pass"),
    ("batched-seconds", "min(seconds_per_pass", "max(seconds_per_pass"),
    ("sizes-run", "time.perf_counter() - start", "time.perf_counter()"),
    ("seconds-per-step", ".median()", ".mean()"),
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

    def key(self):
        """The same as long as the mutant and the checks are the same."""
        return f"{self.cell}-{hashlib.sha256(self.source.encode() + checks()).hexdigest()[:12]}"

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
                stages.insert(0, JOVIAN if cell.id == "jovian-function" else ALONE)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        copy_project(project)
        for stage in stages:
            nbformat.write(part(nb) if stage == [NOTEBOOK.name] else nb, project / NOTEBOOK.name)
            command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
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
