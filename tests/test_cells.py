"""Cells that define nothing: what they time, and what only protects, which the notebook's own run can't show.

Each is executed after the definitions, with stand-ins for what earlier cells would have made.
"""

import ast
import copy
import functools
import json
import math
import os
import pickle
import re
import tempfile
import timeit
from types import SimpleNamespace
from unittest import mock

import IPython.display
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import SubsetRandomSampler

import answers
from cells import code_cells, read
from notebook_names import NAMES, BatchedMNIST, MnistModel, accuracy, fit, loss_batch, make_loader
from compare import frames
from test_functions import passed, same_batches, tiny_mnist

pytestmark = [
    pytest.mark.usefixtures("notebook_precision", "temporary_folders", "no_picture_is_shown"),
    # NumPy's about PyTorch's tensors, which a kernel doesn't show.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")]
CPU, META = torch.device("cpu"), torch.device("meta")
aten = torch.ops.aten
STORED = read()
SOURCES = {cell.id: cell.source for cell in code_cells(STORED)}


@pytest.fixture
def temporary_folders(tmp_path, monkeypatch):
    """Where tempfile makes them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def no_picture_is_shown(monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.setattr(plt, "show", lambda: None)
    yield
    plt.close("all")


def set_up():
    """What the cell `set-up` imports and names, without its checks and its settings of other libraries."""
    names, tree = {}, ast.parse(SOURCES["set-up"])
    tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign))]
    exec(compile(tree, "<cell set-up>", "exec"), names)
    return names


def after(cell, **names):
    """Execute a cell. Returns the names that there are then."""
    names = NAMES | set_up() | names
    exec(compile(SOURCES[cell], f"<cell {cell}>", "exec"), names)
    return names


def few_images(n=20):
    """What the cells of section 1 make, of n random images: the last five are to validate with."""
    torch.manual_seed(0)
    mnist = tiny_mnist(torch.randint(256, (n, 28, 28), dtype=torch.uint8), torch.arange(n) % 10)
    dataset = BatchedMNIST(mnist)
    train, val = list(range(n - 5)), list(range(n - 1, n - 6, -1))
    sampler = SubsetRandomSampler(train)
    return dict(dataset=mnist, batched_dataset=dataset, train_indices=train, val_indices=val, device=CPU,
                batch_size=4, train_sampler=sampler, train_dl=make_loader(dataset, 4, sampler),
                valid_dl=make_loader(dataset, 4, val), xb=dataset[train][0], yb=dataset[train][1])


# What is timed

class Clock:
    """A clock that stands still but for what a test says takes time."""

    seconds = 7.0

    def __call__(self):
        return self.seconds

    def timeit(self):
        """Python's module, by this clock."""
        return SimpleNamespace(timeit=functools.partial(timeit.timeit, timer=self),
                               repeat=functools.partial(timeit.repeat, timer=self))


def fast_loaders(batched, dataset=None, **names):
    """Execute the cells that make the loaders, of 100 images to train with; the fast ones from `batched`."""
    images = few_images(105) | {"batch_size": 5, "dataset": dataset or few_images(105)["dataset"]}
    plain = after("plain-loaders", **images)
    return plain, after("fast-loaders", **plain | {"BatchedMNIST": batched} | names)


def test_the_fast_loaders_give_the_same_batches_sooner(capsys):
    """Of the plain loader a tenth, one image a second; of the other all, a quarter second a batch."""
    clock, mnist, single, whole = Clock(), few_images(105)["dataset"], [], []

    class Plain:
        data, targets = mnist.data, mnist.targets

        def __getitem__(self, index):
            clock.seconds += 1
            single.append(index)
            return mnist[index]

        def __len__(self):
            return len(mnist)

    class Batched(BatchedMNIST):
        def __getitem__(self, index):
            clock.seconds += 0.25
            whole.append(index)
            return super().__getitem__(index)

    plain, fast = fast_loaders(Batched, Plain(), timeit=clock.timeit())
    del single[:5], whole[:1]   # the first batches, which are compared
    assert sorted(single) == list(range(10)) and single != sorted(single)
    assert sorted(sum(whole, [])) == list(range(100)) and {len(batch) for batch in whole} == {5}
    assert (fast["plain"], fast["batched"]) == (10, 5)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "one pass: 100.0 s, and in whole batches 5.00 s, 20× faster")
    for name, n in [("train_dl", 20), ("valid_dl", 1)]:
        assert len(fast[name]) == n and same_batches(passed(fast[name]), passed(plain[name]))
    (_, labels), = fast["valid_dl"]
    assert labels.tolist() == [4, 3, 2, 1, 0] and whole[-1] == fast["val_indices"]


@pytest.mark.parametrize("part", [0, 1], ids=["images", "labels"])
def test_other_batches_are_noticed(part):
    class Other(BatchedMNIST):
        def __getitem__(self, index):
            batch = super().__getitem__(index)
            batch[part][0] += 1
            return batch

    with pytest.raises(AssertionError, match="the batches differ"):
        fast_loaders(Other)


WAYS = {"loading alone": "loading", "the loop of fit": "fitting", "all by hand": "by_hand",
        "two products": "two_products"}
BATCHES = [(torch.tensor(numbers, dtype=torch.float64), torch.tensor(labels))
           for numbers, labels in (([[1, 2]], [1]), ([[3, 4]], [0]))]


class Loader:
    """Two batches; counts how often it is gone through."""

    def __init__(self, fetch=lambda: None):
        self.passes, self.fetch = 0, fetch

    def __iter__(self):
        self.passes += 1
        for batch in BATCHES:
            self.fetch()
            yield batch

    def __len__(self):
        return len(BATCHES)


def compare_times(**names):
    """Execute the cell, of seven images of which it is to take five, in three batches. A loader has two."""
    torch.manual_seed(0)
    dataset = SimpleNamespace(data=torch.randint(256, (7, 2, 3), dtype=torch.uint8), targets=torch.arange(7))
    return after("compare-times", **dict(
        dataset=dataset, train_indices=[6, 2, 3, 0, 5], batch_size=2, model=nn.Linear(2, 2), lr=0.3,
        device=CPU, train_dl=Loader(), valid_dl=Loader(), weights_by_hand=[torch.rand(4, 6)],
        loss_batch=mock.Mock(), step_by_hand=mock.Mock()) | names)


def test_each_time_stands_beside_its_own_name(capsys):
    """A batch takes 1 s to fetch, 10 s in loss_batch, 100 s by hand, 1000 s a product; at first, longer.

    As on a GPU, what is asked of weights takes its time only when somebody waits for it.
    """
    clock = Clock()

    def takes(seconds):
        calls = []

        def work(*given):
            clock.seconds += seconds + (5 if not calls else 0)
            calls.append(given)
        return work

    class Weights:
        seconds = 0

        def __matmul__(self, other):
            self.seconds += 1000
            return self

        def sum(self):
            return self

        def cpu(self):
            clock.seconds += self.seconds
            self.seconds = 0

    def step_by_hand(weights, xb, yb, lr):
        weights[0].seconds += 100

    scope = compare_times(timeit=clock.timeit(), train_dl=Loader(takes(1)), valid_dl=Loader(takes(2)),
                          loss_batch=takes(10), step_by_hand=step_by_hand, weights_by_hand=[Weights()])
    assert list(scope["loop_seconds"].items()) == list(zip(WAYS, [2, 22, 300, 6000]))
    assert capsys.readouterr().out.splitlines() == [
        f"{name:16} {seconds}.000 s" for name, seconds in zip(WAYS, [2, 22, 300, 6000])]


class Noting(TorchDispatchMode):
    """Notes what tensors are asked to do."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls.append((func, args))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("way", WAYS)
def test_what_each_way_does(way):
    """Each does its own work on every batch, and nothing else."""
    scope = compare_times(timeit=mock.Mock(**{"repeat.return_value": [0.0]}))   # times nothing
    with Noting() as noted:
        scope[WAYS[way]]()
    model, opt, data = scope["timed_model"], scope["opt"], scope["dataset"]
    assert model is not scope["model"] and [*opt.param_groups[0]["params"]] == [*model.parameters()]
    assert type(opt) is torch.optim.SGD and opt.param_groups[0]["lr"] == 0.3
    assert scope["train_dl"].passes == (way in ("loading alone", "the loop of fit"))
    assert scope["loss_batch"].call_args_list == [
        mock.call(model, F.cross_entropy, *batch, opt) for batch in BATCHES if way == "the loop of fit"]
    steps = [call.args for call in scope["step_by_hand"].call_args_list]
    parts = [[6, 2], [3, 0], [5]] if way == "all by hand" else []
    for (weights, xb, yb, lr), part in zip(steps, parts, strict=True):
        assert weights is scope["weights_by_hand"] and lr == 0.3 and yb.tolist() == part
        assert torch.equal(xb, data.data[part].flatten(start_dim=1) / 255)
    products = [args for func, args in noted.calls if func is aten.mm.default]
    x, w1 = data.data[:2].flatten(start_dim=1) / 255, scope["weights_by_hand"][0]
    expected = [(w1, x.T), (w1 @ x.T, x)] * 3 if way == "two products" else []
    assert all(torch.equal(*pair) for one, other in zip(products, expected, strict=True)
               for pair in zip(one, other))
    if way != "all by hand":
        transposed = {aten.t.default, aten.permute.default, aten.transpose.int}
        assert {func for func, args in noted.calls} <= {aten.mm.default, aten.sum.default} | transposed


@pytest.mark.parametrize("device, n_places", [(CPU, 1), (META, 2)], ids=str)
def test_steps_are_timed_on_the_cpu_and_on_the_accelerator(device, n_places):
    """The best of nine 32-bit steps of a model of each width, of 100 images whatever the batch: a millisecond a unit,
    elsewhere three."""
    clock, asked = Clock(), []

    def step(model, loss_func, xb, yb, opt):
        place, width = xb.device, len(model.linear1.weight)
        clock.seconds += width / 1000 if place == CPU else 0.003
        clock.seconds += 0.5 * ((place, width) not in asked)   # the first takes longer
        asked.append((place, width))
        assert loss_func is F.cross_entropy and xb.shape == (100, 1, 28, 28)
        assert yb.shape == (100,) and yb.device == place
        assert {(t.dtype, t.device) for t in (xb, *model.parameters())} == {(torch.float32, place)}
        assert list(map(id, opt.param_groups[0]["params"])) == list(map(id, model.parameters()))

    images, widths = torch.rand(150, 1, 28, 28), [32, 128, 512, 2048, 8192]
    scope = after("steps", timeit=clock.timeit(), loss_batch=step, device=device, xb=images,
                  yb=torch.randint(10, (150,)))
    expected = {"CPU, one core": widths, "GPU": [3] * 5}
    assert scope["step_ms"] == {name: pytest.approx(expected[name]) for name in [*expected][:n_places]}
    assert asked == [(place, width) for place in [CPU, META][:n_places] for width in widths for _ in range(9)]
    assert images.dtype == torch.float64


# The kept weights, and what is drawn of them

@pytest.fixture
def film(monkeypatch):
    """Execute the cell that makes the film: what is drawn for each frame, (title, numbers), and the PNG."""
    def make(scope):
        drawn, shown, draw = [], [], FigureCanvasAgg.draw

        def noted(canvas):
            ax, = canvas.figure.axes
            picture, = ax.images
            drawn.append((ax.get_title(), picture.get_array().filled(math.nan)))
            draw(canvas)

        with monkeypatch.context() as patch:
            patch.setattr(FigureCanvasAgg, "draw", noted)
            patch.setattr(IPython.display, "display", shown.append)
            scope.update(after("hidden-units", **scope))
        shown, = shown
        return drawn, shown.data
    return make


def kept_while_training(hidden_size=2, epochs=2, fine_epochs=1, n_batches=4):
    """Execute the cell that keeps weights, then train as the cells after it do.

    Returns the names there are then, and all weights before each step, noted by the optimizer."""
    torch.manual_seed(0)
    batches = [(torch.rand(3, 1, 28, 28), torch.randint(10, (3,))) for _ in range(n_batches)]
    ordered = [(torch.rand(7, 1, 28, 28), torch.arange(7)) for _ in range(2)]
    scope = after("keep-weights", model=MnistModel(784, hidden_size, 10), hidden_size=hidden_size,
                  train_dl=batches, valid_dl=ordered, epochs=epochs, fine_epochs=fine_epochs)
    return scope, trained(scope, epochs) + trained(scope, fine_epochs)


def trained(scope, epochs):
    """Train on. Returns all weights before each step."""
    model, before = scope["model"], []

    def opt_fn(parameters, lr):
        opt = torch.optim.SGD(parameters, lr)
        opt.register_step_pre_hook(lambda *given: before.append(copy.deepcopy(model.state_dict())))
        return opt

    fit(epochs, 0.5, model, F.cross_entropy, scope["train_dl"], scope["valid_dl"], opt_fn=opt_fn,
        report=str)
    return before


def same(state, other):
    return list(state) == list(other) and all(torch.equal(state[name], other[name]) for name in state)


def test_the_moments_of_the_film():
    """The first steps one by one, then in growing leaps, to well before the end: 19 frames with the end's."""
    scope = after("keep-weights", model=MnistModel(784, 2, 10), train_dl=range(480), epochs=5, fine_epochs=5)
    moments = sorted(scope["film_steps"])
    assert scope["n_steps"] == 4800 and scope["kept"] == {}
    assert len(moments) == 18 and moments[:4] == [0, 1, 2, 3] and 2400 < moments[-1] < 4000
    assert all(1.3 < after_it / moment < 2 for moment, after_it in zip(moments[3:], moments[4:]))


@pytest.mark.parametrize("epochs, fine_epochs, n_batches", [(2, 1, 4), (1, 1, 1), (5, 5, 6)])
def test_weights_are_kept_as_they_are_before_a_step(epochs, fine_epochs, n_batches):
    """The steps of the film, and the first of each epoch."""
    scope, before = kept_while_training(2, epochs, fine_epochs, n_batches)
    assert len(before) == scope["n_steps"] == (epochs + fine_epochs) * n_batches
    assert list(scope["kept"]) == [
        step for step in range(len(before)) if step in scope["film_steps"] or step % n_batches == 0]
    assert all(same(scope["kept"][step], before[step]) for step in scope["kept"])
    assert not same(before[0], before[1])


def test_losses_are_drawn_of_the_weights_between_the_epochs():
    """By then nothing is kept any more, and the model is left alone."""
    scope, before = kept_while_training(2, 3, 2, 5)
    model = scope["model"]
    assert len(model._forward_pre_hooks) == 1
    scope = after("accuracy-curves", **scope, start_accuracy=0.1, metrics=[0.5] * 3, fine_metrics=[0.6] * 2,
                  linear_metrics=[0.4] * 5)
    assert len(model._forward_pre_hooks) == 0
    model.train()
    end = copy.deepcopy(model.state_dict())
    drawn = after("loss-curves", **scope, start_loss=2.3, losses=[2, 1.8, 1.7], fine_losses=[1.6, 1.5])
    assert model.training and same(model.state_dict(), end)
    expected, one = [], MnistModel(784, 2, 10)
    for state in [*before[::5], end]:
        one.load_state_dict(state)
        expected.append(sum(F.cross_entropy(one(xb), yb).item() for xb, yb in scope["train_dl"]) / 5)
    assert drawn["train_losses"] == pytest.approx(expected) and len({*expected}) == 6


def test_only_training_the_model_itself_counts():
    """No copy of it, no evaluation of it, no other model; and nothing that comes after the last step."""
    torch.manual_seed(0)
    images, labels = torch.rand(3, 1, 28, 28), torch.randint(10, (3,))
    scope = after("keep-weights", model=MnistModel(784, 2, 10), train_dl=range(3), epochs=1, fine_epochs=1)
    model, kept = scope["model"], scope["kept"]
    copied, other = copy.deepcopy(model).train(), MnistModel(784, 2, 10)
    for inactive in (copied, other, model.eval()):
        inactive(images)
    assert kept == {}
    opt = torch.optim.SGD(model.train().parameters(), lr=0.5)
    for step in range(6):
        copied(images)
        loss_batch(model, F.cross_entropy, images, labels, opt)
    before = copy.deepcopy(kept)
    assert list(kept) == [step for step in range(6) if step in scope["film_steps"] or step % 3 == 0]
    for step in range(3):
        loss_batch(model, F.cross_entropy, images, labels, opt)
    assert list(kept) == list(before) and all(same(kept[step], before[step]) for step in kept)


@pytest.mark.parametrize("hidden_size, epochs, fine_epochs, n_batches", [
    (2, 5, 5, 6), (1, 1, 1, 1), (33, 1, 1, 2), (32, 1, 1, 1)])
def test_the_film(film, hidden_size, epochs, fine_epochs, n_batches):
    """A frame for each of its steps and one for the end: all units, each once, and how much was right."""
    scope, before = kept_while_training(hidden_size, epochs, fine_epochs, n_batches)
    moments = [step for step in scope["kept"] if step in scope["film_steps"]]
    drawn, png = film(scope)
    states = [before[step] for step in moments] + [scope["model"].state_dict()]
    steps = [*moments, (epochs + fine_epochs) * n_batches]
    assert list(scope["film_scores"]) == steps
    for (title, picture), step, state in zip(drawn, steps, states, strict=True):
        model = MnistModel(784, hidden_size, 10)
        model.load_state_dict(state)
        right = sum(accuracy(model(xb), yb) for xb, yb in scope["valid_dl"]) / 2
        assert scope["film_scores"][step] == pytest.approx(right)
        assert title == f"After {step:,} steps: {right:.1%} right"
        frame = 2 * (hidden_size > 1)   # around each unit's picture; one alone has none
        units = picture[frame:, frame:]
        for unit, weights in enumerate(state["linear1.weight"]):
            top, left = unit // 8 * (28 + frame), unit % 8 * (28 + frame)
            assert np.array_equal(units[top:top + 28, left:left + 28], weights.reshape(28, 28))
        assert np.isfinite(picture).sum() == 784 * hidden_size
    (still, _), *moving = frames(png)
    assert [duration for _, duration in moving] == [250] * (len(moments) + 1)
    assert still.tobytes() == moving[-1][0].tobytes()
    assert len({frame.tobytes() for frame, _ in moving}) == len(moving)


def test_the_last_frame_shows_the_model_as_it_is(film):
    """Also when the reader has trained on, and made the film before. Red is above zero, blue below."""
    scope, _ = kept_while_training(hidden_size=1)
    drawn, _ = film(scope)
    trained(scope, 2)
    weights = scope["model"].linear1.weight.data.reshape(28, 28)
    weights[:, :10], weights[:, 10:18], weights[:, 18:] = 0.3, 0, -0.3
    drawn_then, png = film(scope)
    assert len(drawn_then) == len(drawn) and np.array_equal(drawn_then[-1][1], weights)
    assert all(np.array_equal(one[1], other[1]) for one, other in zip(drawn[:-1], drawn_then))
    last = np.asarray(frames(png)[-1][0]).astype(int)
    row, middle = len(last) * 2 // 3, last.shape[1] // 2
    above, zero, below = last[row, [middle - 25, middle, middle + 25]]
    assert above[0] > 80 > 50 > above[2] and below[2] > 80 > 50 > below[0] and zero.min() > 220


@pytest.mark.parametrize("hidden_size, dtype", [(32, torch.float64), (32, torch.float32), (3, torch.float64)])
def test_why(hidden_size, dtype):
    """What a unit adds is what the model's logit loses without it: the five largest, and the rest."""
    torch.set_default_dtype(dtype)
    names, model = few_images(), MnistModel(784, hidden_size, 10)   # the labels are 9, 8, 7, 6, 5
    model.linear1.weight.data *= 5
    predictions, outputs = torch.tensor([3, 8, 7, 1, 5]), torch.rand(5, 10)
    outputs[range(5), predictions] = 3
    scope = after(
        "why", **names, model=model, limit=0.2, hidden_size=hidden_size, predictions=predictions,
        valid_outputs=outputs, valid_labels=names["dataset"].targets[names["val_indices"]],
        most_confident=torch.tensor([3, 0]))
    assert scope["seven"] == 2 and len(scope["added"]) == 2 and len(scope["fig"].axes) == 14
    axes = iter(scope["fig"].axes)
    for added, index, label in zip(scope["added"], [2, 3], [7, 6]):
        image, answer = names["dataset"].data[names["val_indices"][index]] / 255, predictions[index]
        logit = model(image[None])[0, answer].item()
        parts = []
        for unit in range(hidden_size):
            without = copy.deepcopy(model)
            without.linear2.weight.data[:, unit] = 0
            parts.append(logit - without(image[None])[0, answer].item())
        best = sorted(range(hidden_size), key=lambda unit: -abs(parts[unit]))[:5]
        expected = [parts[unit] for unit in best]
        assert added == pytest.approx([*expected, logit - sum(expected)], abs=1e-4)
        assert sum(added) == pytest.approx(logit, abs=1e-4)
        assert hidden_size < 5 or min(expected) < 0 < max(expected), "all on one side is too easy"
        picture, *units, total = [next(axes) for _ in range(7)]
        assert picture.get_title("center") == f"{label}, read\nas {answer}"
        assert np.array_equal(picture.images[0].get_array(), image)
        for ax, unit in zip(units, best):
            assert ax.get_title("center") == f"{parts[unit]:+.1f}".replace("-", "−")
            assert np.array_equal(ax.images[0].get_array(), model.linear1.weight[unit].detach().view(28, 28))
        (text,), second = total.texts, sorted(range(10), key=lambda digit: -outputs[index, digit])[1]
        rival = second if answer == label else label
        assert text.get_text() == (f"rest {added[-1]:+.1f}\n{answer}: {logit:.1f}\n"
                                   f"{rival}: {outputs[index, rival]:.1f}").replace("-", "−")


# What is trained twice and compared: not with itself, so that it is noticed if one of the two learns nothing.

def test_steps_by_hand_are_compared_with_those_of_autograd():
    names = few_images() | {"model": MnistModel(784, 32, 10), "lr": 0.5}
    after("by-hand-check", **names)
    for idle in ("step_by_hand", "loss_batch"):
        with pytest.raises(AssertionError):
            after("by-hand-check", **names, **{idle: mock.Mock()})


def test_both_drifts_start_from_the_same_weights(capsys):
    """In 32 bits, and those in 64; the first are left as they were. What each copy reads otherwise is counted."""
    seen = []

    def drift(start, n_copies, train_dl, lr):
        weights = nn.utils.parameters_to_vector(start.parameters()).detach()
        seen.append((weights.dtype, weights.float(), n_copies, train_dl, lr))
        others = [copy.deepcopy(start) for _ in range(n_copies)]
        with torch.no_grad():
            others[0].linear2.bias += torch.tensor([1e6] + 9 * [0])   # it answers 0 to everything
        return torch.full((20, n_copies), 1e-8), [start, *others]

    scope = after("drift-picture", **few_images(), drift=drift, lr=0.3)
    (dtype, weights, *given), (other_dtype, same_weights, *given_then) = seen
    assert (dtype, other_dtype) == (torch.float32, torch.float64) and torch.equal(weights, same_weights)
    assert given == [4, scope["cpu_dl"], 0.3] and given_then == [1, scope["cpu_dl"], 0.3]
    assert {p.dtype for p in scope["first_model"].parameters()} == {torch.float32}
    assert same_batches(passed(scope["cpu_dl"]), passed(scope["train_dl"]))
    assert scope["epochs_so_far"].tolist() == pytest.approx([i / 10 for i in range(20)])
    printed = capsys.readouterr().out
    assert re.fullmatch(r"32 bits: .* copy \[[1-5], 0, 0, 0\]\n64 bits: .* copy \[[1-5]\]\n", printed)


# What only protects

class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)   # what reading it as a pickle does


def test_a_harmful_file_is_not_loaded(tmp_path, monkeypatch):
    # Where the cell doesn't say, as torch before 2.6.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.chdir(tmp_path)
    torch.save(Harmful(), "weights.pth")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        after("load", device=CPU, weights_file="weights.pth")
    assert not (tmp_path / "harm").exists()


def saved():
    """What there is after the cell `save`, of a model of its own."""
    return after("save", model=MnistModel(784, 32, 10)) | few_images()


def test_weights_saved_on_a_gpu_are_loaded_without_one():
    with mock.patch("torch.serialization.location_tag", lambda storage: "cuda:0"):
        names = saved()
    reloaded = after("load", **names)["reloaded"]
    for parameter, its in zip(reloaded.parameters(), names["model"].parameters(), strict=True):
        assert parameter.device == CPU and torch.equal(parameter, its)


def test_other_weights_are_noticed():
    with pytest.raises(AssertionError, match="the reloaded model answers differently"):
        after("load", **saved() | {"model": MnistModel(784, 32, 10)})


def test_runs_side_by_side_load_their_own_weights(temporary_folders, monkeypatch):
    """A sweep in one folder, which need not be writable: each has saved before any loads."""
    folder = temporary_folders / "notebook"
    folder.mkdir()
    monkeypatch.chdir(folder)
    runs = [saved() for _ in range(2)]
    for names in runs:
        after("load", **names)
    assert len({*temporary_folders.rglob("*.pth")}) == 2 and not any(folder.iterdir())


@pytest.mark.parametrize("cell, no_gradients, model_is_told", [
    ("logits", True, False), ("predict", True, True), ("load", False, True)])
def test_answers_need_no_gradients(cell, no_gradients, model_is_told):
    """And where a model may have been training, it is told that it isn't now."""
    names, seen = saved(), []
    hook = nn.modules.module.register_module_forward_pre_hook(
        lambda module, args: seen.append((torch.is_grad_enabled(), module.training)))
    try:
        after(cell, **names)
    finally:
        hook.remove()
    assert seen and not (no_gradients and any(grad for grad, training in seen))
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
    for parameter, was in zip(names["model"].parameters(), before):
        assert parameter.grad is None and torch.equal(parameter, was)


# The answer that needs CIFAR-10. check_notebook.py runs all answers where they stand.

def cifar_answer(code=None):
    exercise, = [cell for cell in STORED.cells if cell.id == "exercise-cifar"]
    answers.run(exercise.id, code or answers.answer(exercise.source),
                NAMES | {"device": CPU, "data_root": "/nowhere"})


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
