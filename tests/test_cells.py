"""Cells that define nothing: what they time, and what only protects, which the notebook's own run can't show.

Each is executed after the definitions, with stand-ins for what earlier cells would have made.
"""

import json
import os
import pickle
from unittest import mock

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import SubsetRandomSampler

import answers
from cells import code_cells, read
from notebook_names import NAMES, BatchedMNIST, MnistModel, make_loader
from test_functions import Clock, tiny_mnist

pytestmark = pytest.mark.usefixtures("notebook_precision")
CPU, META = torch.device("cpu"), torch.device("meta")
STORED = read()
SOURCES = {cell.id: cell.source for cell in code_cells(STORED)}


def after(cell, **names):
    """Execute a cell. Returns the names that there are then."""
    names = NAMES | names
    exec(compile(SOURCES[cell], f"<cell {cell}>", "exec"), names)
    return names


def few_images(n=20):
    """What the cells of section 1 make, of n random images: the last five are to validate with."""
    torch.manual_seed(0)
    mnist = tiny_mnist(torch.randint(256, (n, 28, 28), dtype=torch.uint8), torch.arange(n) % 10)
    dataset = BatchedMNIST(mnist)
    train, val = list(range(n - 5)), list(range(n - 1, n - 6, -1))
    loaders = [make_loader(dataset, 4, SubsetRandomSampler(part)) for part in (train, val)]
    return dict(dataset=mnist, batched_dataset=dataset, train_indices=train, val_indices=val, device=CPU, batch_size=4,
                train_sampler=SubsetRandomSampler(train), train_dl=loaders[0], valid_dl=loaders[1],
                xb=dataset[train][0], yb=dataset[train][1])


# What is timed

def test_passes(monkeypatch, capsys):
    """Of the plain loader a tenth, one image a second; of the other all, two seconds a batch."""
    clock, fetched, passed = Clock(), [], []
    monkeypatch.setattr("time.perf_counter", clock)

    class Plain:
        def __getitem__(self, index):
            clock.seconds += 1
            fetched.append(index)
            return torch.zeros(1), index

    def whole_batches():
        for i in range(4):
            clock.seconds += 2
            passed.append(i)
            yield i

    scope = after("passes", dataset=Plain(), train_dl=whole_batches(), train_indices=list(range(50, 150)), batch_size=5)
    assert sorted(fetched) == list(range(50, 60)) and fetched != sorted(fetched) and passed == [0, 1, 2, 3]
    assert scope["seconds"] == [10, 8]
    assert capsys.readouterr().out == "one pass: 100.0 s, and in whole batches 8.00 s, 12× faster\n"


WAYS = ["loading alone", "and forward", "the loop of fit", "steps by hand", "faster epoch", "two products"]


def test_each_way_is_timed_under_its_own_name(capsys):
    """What is timed is asked for once each, on the device; the times stand beside its name."""
    timed, durations = [], iter([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])

    def seconds_for(run, device):
        timed.append((run, device))
        return next(durations)

    scope = compare_times(seconds_for=seconds_for, device="here")
    assert timed == [(scope["loops"][name], "here") for name in WAYS]
    assert list(scope["loop_seconds"].items()) == list(zip(WAYS, [6, 5, 4, 3, 2, 1]))
    assert capsys.readouterr().out.splitlines() == [f"{name:16} {n}.000 s" for name, n in zip(WAYS, range(6, 0, -1))]


TIMED = ("loss_batch", "step_by_hand", "epoch_by_hand", "products_alone")
BATCHES = [(torch.tensor(numbers, dtype=torch.float64), torch.tensor(labels))
           for numbers, labels in (([[1, 2]], [1]), ([[3, 4]], [0]))]


def compare_times(**names):
    torch.manual_seed(0)
    return after("compare-times", **dict(
        model=nn.Linear(2, 2), lr=0.3, device=CPU, train_dl=BATCHES, seconds_for=lambda run, device: 0.0, batch_size=7,
        weights_by_hand="weights by hand", fast_weights="fast weights", pixels="pixels", targets="digits",
        order="order", **{name: mock.Mock() for name in TIMED}) | names)


@pytest.mark.parametrize("way", WAYS)
def test_what_each_way_does(monkeypatch, way):
    """Each does its own work on every batch, and nothing else."""
    passes, losses = [], []

    class Loader:
        def __iter__(self):
            passes.append(self)
            return iter(BATCHES)

    entropy = lambda *given: losses.append(given) or F.nll_loss(*given)
    monkeypatch.setattr(F, "cross_entropy", entropy)
    scope = compare_times(train_dl=Loader())
    scope["loops"][way]()
    model, opt = scope["timed_model"], scope["opt"]
    assert model is not scope["model"] and [*opt.param_groups[0]["params"]] == [*model.parameters()]
    assert type(opt) is torch.optim.SGD and opt.param_groups[0]["lr"] == 0.3
    done, call = {name: scope[name].call_args_list for name in TIMED}, mock.call
    expected = {
        "loss_batch": [call(model, entropy, *batch, opt) for batch in BATCHES] if way == "the loop of fit" else [],
        "step_by_hand": [call("weights by hand", *batch, 0.3) for batch in BATCHES] if way == "steps by hand" else [],
        "epoch_by_hand": [call("fast weights", "pixels", "digits", "order", 7, 0.3)] if way == "faster epoch" else [],
        "products_alone": [call("fast weights", "pixels", "order", 7)] if way == "two products" else []}
    assert done == expected
    assert len(passes) == (way not in ("faster epoch", "two products"))
    assert [(outputs.tolist(), labels) for outputs, labels in losses] == [
        (model(xb).tolist(), yb) for xb, yb in BATCHES if way == "and forward"]


def test_steps_are_timed_on_the_cpu_and_on_the_accelerator():
    asked = []

    def seconds_per_step(width, batch, device):
        asked.append((batch, device))
        return width / 1000 if device == CPU else 3.0

    names = dict(seconds_per_step=seconds_per_step, plain_xb="images", plain_yb="labels")
    scope = after("steps", device=CPU, **names)
    assert scope["step_ms"] == {"CPU, one core": [32, 128, 512, 2048, 8192]}
    assert asked == [(["images", "labels"], CPU)] * 5
    scope = after("steps", device=META, **names)
    assert scope["step_ms"] == {"CPU, one core": [32, 128, 512, 2048, 8192], "GPU": [3000.0] * 5}
    assert asked[10:] == [(["images", "labels"], META)] * 5


# Section 6 trains twice and compares: not with itself, so that it notices if one of the two learns nothing.

def test_steps_by_hand_are_compared_with_those_of_autograd():
    names = few_images() | {"model": MnistModel(784, 32, 10), "lr": 0.5}
    after("by-hand-check", **names)
    for idle in ("step_by_hand", "loss_batch"):
        with pytest.raises(AssertionError):
            after("by-hand-check", **names, **{idle: mock.Mock()})


@pytest.mark.parametrize("idle", ["step_by_hand", "epoch_by_hand"])
def test_the_faster_epoch_is_compared_with_steps_by_hand(idle):
    def names():   # the cell changes the weights
        return few_images() | {"weights_by_hand": [p.detach() for p in MnistModel(784, 32, 10).parameters()]}

    after("faster-check", **names())
    with pytest.raises(AssertionError):
        after("faster-check", **names(), **{idle: mock.Mock()})


def test_both_drifts_start_from_the_same_weights():
    seen = []

    def drift(start, n_copies, train_dl, lr):
        weights = nn.utils.parameters_to_vector(start.parameters()).detach()
        seen.append((weights.dtype, weights.float(), n_copies, train_dl, lr))
        return torch.zeros(20, n_copies)

    scope = after("drift-run", **few_images(), drift=drift, lr=0.3)
    (dtype, weights, *given), (other_dtype, same_weights, *given_then) = seen
    assert (dtype, other_dtype) == (torch.float32, torch.float64) and torch.equal(weights, same_weights)
    assert given == [4, scope["cpu_dl"], 0.3] and given_then == [1, scope["cpu_dl"], 0.3]
    assert scope["epochs_so_far"].tolist() == pytest.approx([i / 10 for i in range(20)])


# What only protects

class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)   # what reading it as a pickle does


def test_a_harmful_file_is_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")   # where the cell doesn't say, as torch before 2.6
    monkeypatch.chdir(tmp_path)
    torch.save(Harmful(), "mnist-feedforward.pth")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        after("load", device=CPU)
    assert not (tmp_path / "harm").exists()


def test_weights_saved_on_a_gpu_are_loaded_without_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = MnistModel(784, 32, 10)
    with mock.patch("torch.serialization.location_tag", lambda storage: "cuda:0"):
        after("save", model=model)
    scope = after("load", model=model, **few_images())
    assert {weights.device for weights in scope["state"].values()} == {CPU}
    assert all(torch.equal(p, q) for p, q in zip(scope["reloaded"].parameters(), model.parameters()))


def test_other_weights_are_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    after("save", model=MnistModel(784, 32, 10))
    with pytest.raises(AssertionError):
        after("load", model=MnistModel(784, 32, 10), **few_images())


@pytest.mark.parametrize("cell, model_is_told", [
    ("logits", False), ("predict", True), ("firing", False), ("load", True)])
def test_answers_need_no_gradients(tmp_path, monkeypatch, cell, model_is_told):
    """And where a model may have been training, it is told that it isn't now."""
    monkeypatch.chdir(tmp_path)
    names = few_images() | {"model": MnistModel(784, 32, 10), "ordered_dl": BATCHES}
    if cell == "firing":
        names["ordered_dl"] = names["valid_dl"]
    after("save", **names)
    seen = []
    hook = nn.modules.module.register_module_forward_pre_hook(
        lambda module, args: seen.append((torch.is_grad_enabled(), module.training)))
    try:
        after(cell, **names)
    finally:
        hook.remove()
    assert seen and {grad for grad, training in seen} == {False}
    assert not model_is_told or not seen[0][1]


def test_answers_stand_beside_their_images():
    """In the order of val_indices, which nothing shuffles."""
    names = few_images()
    scope = after("predict", **names, model=nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    images = names["dataset"].data[[19, 18, 17, 16, 15]] / 255
    assert torch.allclose(scope["valid_outputs"], scope["model"](images))
    assert scope["valid_labels"].tolist() == [9, 8, 7, 6, 5]
    assert scope["n_right"] == (scope["valid_outputs"].argmax(1) == scope["valid_labels"]).sum()


@pytest.mark.parametrize("cell", ["zero-grad", "by-hand-check"])
def test_gradients_are_shown_on_a_copy(cell):
    names = few_images() | {"model": MnistModel(784, 32, 10)}
    before = [p.detach().clone() for p in names["model"].parameters()]
    after(cell, **names)
    assert all(p.grad is None and torch.equal(p, was) for p, was in zip(names["model"].parameters(), before))


# The answer that needs CIFAR-10. nbval_strict.py runs all answers where they stand.

def cifar_answer(code=None):
    exercise, = [cell for cell in STORED.cells if cell.id == "exercise-cifar"]
    answers.run(exercise.id, code or answers.answer(exercise.source), NAMES | {"device": CPU, "data_root": "/nowhere"})


def test_the_answer_about_cifar10_runs_on_a_small_set(capsys):
    from torchvision.datasets import CIFAR10
    before = {name: getattr(CIFAR10, name) for name in ("train_list", "test_list", "meta")}
    cifar_answer()
    assert json.loads(capsys.readouterr().out) is None
    assert {name: getattr(CIFAR10, name) for name in before} == before


def test_a_wrong_answer_about_cifar10_is_noticed(capsys):
    exercise, = [cell for cell in STORED.cells if cell.id == "exercise-cifar"]
    code = answers.answer(exercise.source)
    for was, becomes in [("permute(0, 3, 1, 2)", "permute(0, 3, 2, 1)"), ("(0.1, 0.02)", "(0.1,)"),
                         ("len(cifar), 0.2", "len(cifar), 0.3"), ("3 * 32 * 32", "32 * 32")]:
        assert was in code
        cifar_answer(code.replace(was, becomes))
        assert json.loads(capsys.readouterr().out) is not None, becomes
