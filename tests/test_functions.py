"""The notebook's functions, taken out of it, against numbers worked out by hand and against properties."""

import copy
import math

import matplotlib.pyplot as plt
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset
from torchvision.transforms import ToTensor

from cells import ROOT
from notebook_names import (
    NAMES, BatchedCIFAR10, BatchedMNIST, DeepModel, DeviceDataLoader, MnistModel, ShiftedMNIST, accuracy,
    arithmetic_alone, bars, check_mnist, distances, drift, epoch_by_hand, evaluate, fit, get_default_device, loss_batch,
    make_loader, momentum, now, plot_runs, seconds_for, seconds_per_pass, seconds_per_step, split_indices, step_by_hand,
    timed_epoch, to_device, train, with_arithmetic_alone, with_autograd, with_epoch_by_hand, with_step_by_hand)

pytestmark = pytest.mark.usefixtures("notebook_precision")
CPU = torch.device("cpu")
aten = torch.ops.aten


class Clock:
    """A clock that stands still but for what a test says takes time."""

    seconds = 7.0

    def __call__(self):
        return self.seconds

    def slow(self, function, seconds):
        """The function, which now takes so many seconds."""
        def slowed(*args, **kwargs):
            self.seconds += seconds
            return function(*args, **kwargs)
        return slowed


# split_indices

@given(n=st.integers(0, 500), val_pct=st.floats(0, 1))
def test_split_is_disjoint_and_complete(n, val_pct):
    train, val = split_indices(n, val_pct)
    assert len(val) == round(n * val_pct)
    assert sorted(train + val) == list(range(n))


def test_split_is_random_and_repeatable():
    splits = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        splits.append(split_indices(1000, 0.2))
    assert splits[0] == splits[1] != splits[2]
    assert splits[0][1] != sorted(splits[0][1])
    assert max(splits[0][1]) > 900


@pytest.mark.parametrize("val_pct", [-0.1, 1.1, 20, math.nan])
def test_split_wants_a_fraction(val_pct):
    with pytest.raises(ValueError, match="fraction from 0 to 1"):
        split_indices(10, val_pct)


# BatchedMNIST, make_loader

class TinyMNIST:
    """The parts of torchvision's MNIST that BatchedMNIST uses: five 2 × 2 images."""

    data = torch.arange(20, dtype=torch.uint8).reshape(5, 2, 2) * 12
    targets = torch.tensor([3, 1, 4, 1, 5])


def test_a_whole_batch_at_once():
    dataset = BatchedMNIST(TinyMNIST)
    assert len(dataset) == 5
    images, labels = dataset.__getitems__([4, 0])
    assert images.shape == (2, 1, 2, 2) and images.dtype == torch.get_default_dtype()
    assert torch.equal(images, TinyMNIST.data[[4, 0]].unsqueeze(1).double() / 255)
    assert labels.tolist() == [5, 3]


def test_the_data_is_held_once():
    assert BatchedMNIST(TinyMNIST).images.data_ptr() == TinyMNIST.data.data_ptr()


def test_make_loader_keeps_order_and_sampler():
    loader = make_loader(BatchedMNIST(TinyMNIST), 2)
    assert [labels.tolist() for images, labels in loader] == [[3, 1], [4, 1], [5]]
    sampled = make_loader(BatchedMNIST(TinyMNIST), 2, SubsetRandomSampler([4, 2, 0]))
    assert sorted(torch.cat([labels for images, labels in sampled]).tolist()) == [3, 4, 5]


# MnistModel

def test_model_by_hand():
    model = MnistModel(2, 2, 1)
    for parameter, value in zip(model.parameters(), ([[1., 0.], [0., 1.]], [0., -1.], [[1., 2.]], [0.5])):
        parameter.data = torch.tensor(value)
    # hidden = relu([x0, x1 - 1]), output = hidden0 + 2 hidden1 + 0.5
    images = torch.tensor([[[[3., 4.]]], [[[-3., 4.]]], [[[-3., 0.]]]])
    assert model(images).tolist() == [[9.5], [6.5], [0.5]]


def test_model_has_the_course_s_layers():
    model = MnistModel(784, hidden_size=32, out_size=10)
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == {
        "linear1.weight": (32, 784), "linear1.bias": (32,), "linear2.weight": (10, 32), "linear2.bias": (10,)}
    assert model(torch.rand(7, 1, 28, 28)).shape == (7, 10)


# Devices

class Refusing(TorchDispatchMode):
    """An operation that the accelerator ("meta") can't do with 64-bit numbers."""

    def __init__(self, operation, error):
        super().__init__()
        self.operation, self.error = operation, error

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func == self.operation and (result.device.type, result.dtype) == ("meta", torch.float64):
            raise self.error
        return result


@pytest.mark.parametrize("available, refused, error, in_64_bits, in_32_bits", [
    (False, None, None, "cpu", "cpu"),
    (True, None, None, "meta", "meta"),
    # As Apple's accelerator refuses, and Intel's: one makes no such numbers, the other computes nothing with them.
    (True, aten.ones.default, TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework "
                                        "doesn't support float64. Please use float32 instead."), "cpu", "meta"),
    (True, aten.add.Tensor, RuntimeError("Required aspect fp64 is not supported on the device"), "cpu", "meta")],
    ids=["none", "64 bits", "Apple's", "Intel's"])
def test_default_device(monkeypatch, available, refused, error, in_64_bits, in_32_bits):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: available)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("meta"))
    with Refusing(refused, error):
        assert get_default_device() == torch.device(in_64_bits)
        torch.set_default_dtype(torch.float32)
        assert get_default_device() == torch.device(in_32_bits)


nests = st.recursive(st.integers(0, 9).map(torch.tensor),
                     lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple), max_leaves=10)


def same_structure(before, after, device):
    if isinstance(before, (list, tuple)):
        return (type(before) is type(after) and len(before) == len(after)
                and all(same_structure(*pair, device) for pair in zip(before, after)))
    return after.device.type == device and after.shape == before.shape


@given(nest=nests)
def test_to_device_keeps_any_structure(nest):
    # "meta" is a device that every machine has and that isn't the CPU.
    assert same_structure(nest, to_device(nest, "meta"), "meta")
    assert repr(to_device(nest, CPU)) == repr(nest)


def test_to_device_moves_a_module():
    model = to_device(nn.Linear(2, 3), "meta")
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert to_device([model], "meta")[0] is model


@given(sizes=st.lists(st.integers(1, 5), max_size=5))
def test_device_loader_length_and_order_over_several_passes(sizes):
    batches = [(torch.full((size, 1), float(i)), torch.full((size,), i)) for i, size in enumerate(sizes)]
    loader = DeviceDataLoader(batches, CPU)
    assert len(loader) == len(batches)
    for _ in range(3):
        passed = list(loader)
        assert len(passed) == len(batches)
        assert all(torch.equal(a, b) for got, batch in zip(passed, batches) for a, b in zip(got, batch))


def test_device_loader_moves_each_batch_when_its_turn_comes():
    loader = DeviceDataLoader([(torch.ones(2), torch.ones(2))] * 3, "meta")
    assert [{part.device.type for part in batch} for batch in loader] == [{"meta"}] * 3
    endless = DeviceDataLoader(iter(lambda: torch.ones(1), None), CPU)
    assert next(iter(endless)).item() == 1


def test_device_loader_shuffles_anew_in_each_pass():
    loader = DeviceDataLoader(DataLoader(TensorDataset(torch.arange(100)), 10, shuffle=True), CPU)
    first, second = ([x.tolist() for (x,) in loader] for _ in range(2))
    assert first != second


# accuracy

def test_accuracy_by_hand():
    outputs = torch.tensor([[2., 0.1, 0.3], [0.2, 0.1, 0.9], [0.5, 0.4, 0.3], [-1., -2., -3.]])
    assert accuracy(outputs, torch.tensor([0, 2, 1, 0])) == 0.75
    assert isinstance(accuracy(outputs, torch.tensor([0, 2, 1, 0])), float)


@given(labels=st.lists(st.integers(0, 9), min_size=1, max_size=30), right=st.data())
def test_accuracy_is_the_fraction_that_is_right(labels, right):
    flags = right.draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels)))
    answers = torch.tensor([label if flag else (label + 1) % 10 for label, flag in zip(labels, flags)])
    assert accuracy(F.one_hot(answers, 10), torch.tensor(labels)) == sum(flags) / len(flags)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_accuracy_wants_as_many_labels_as_outputs(n):
    with pytest.raises(ValueError, match=f"3 outputs can't be compared with {n} labels"):
        accuracy(torch.ones(3, 10), torch.zeros(n, dtype=torch.long))


# loss_batch

def one_weight(value=1.0):
    """A model of a single weight w: output w · x."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(value)
    return model


XB, YB = torch.tensor([[[1.], [2.]], [[3.], [4.]]], dtype=torch.float64)
# w = 1: errors -2 and -2, mean square 4; gradient = mean(2 · error · x) = (-4 - 8) / 2 = -6.


def test_loss_batch_without_optimizer():
    model = one_weight()
    assert loss_batch(model, F.mse_loss, XB, YB) == (4.0, 2, None)
    assert model.weight.item() == 1.0 and model.weight.grad is None


def test_loss_batch_with_metric():
    doubled = lambda outputs, labels: (outputs.sum() + labels.sum()).item()
    assert loss_batch(one_weight(), F.mse_loss, XB, YB, metric=doubled) == (4.0, 2, 10.0)


def test_loss_batch_takes_one_step_at_a_time():
    model = one_weight()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    assert loss_batch(model, F.mse_loss, XB, YB, opt) == (4.0, 2, None)
    assert model.weight.item() == pytest.approx(1.6)
    # w = 1.6: errors -1.4 and -0.8, mean square 1.3; gradient (-2.8 - 3.2) / 2 = -3: one left over would give more.
    assert loss_batch(model, F.mse_loss, XB, YB, opt)[0] == pytest.approx(1.3)
    assert model.weight.item() == pytest.approx(1.9)


def test_loss_batch_wants_as_many_labels_as_images():
    with pytest.raises(ValueError, match="batch_size"):
        loss_batch(MnistModel(4, 3, 2), F.cross_entropy, torch.ones(3, 4), torch.zeros(2, dtype=torch.long))


# evaluate

def test_evaluate_weighs_a_smaller_last_batch():
    batches = [(XB, YB), (torch.tensor([[5.]]), torch.tensor([[5.]]))]   # losses 4 and 0, sizes 2 and 1
    largest = lambda outputs, labels: outputs.max().item()               # 2 and 5
    loss, n, metric = evaluate(one_weight(), F.mse_loss, batches, largest)
    assert (loss, n, metric) == (pytest.approx(8 / 3), 3, pytest.approx(3.0))
    assert evaluate(one_weight(), F.mse_loss, batches) == (pytest.approx(8 / 3), 3, None)


def test_evaluate_changes_nothing_and_needs_no_gradients():
    model = one_weight()
    seen = []
    evaluate(model, lambda out, yb: seen.append(torch.is_grad_enabled()) or F.mse_loss(out, yb), [(XB, YB)])
    assert seen == [False] and torch.is_grad_enabled()
    assert model.weight.item() == 1.0 and model.weight.grad is None


def test_evaluate_wants_a_batch():
    with pytest.raises(ValueError, match="loader is empty"):
        evaluate(one_weight(), F.mse_loss, [])


# fit

def test_fit_by_hand(capsys):
    """Two epochs of one batch each, as worked out above: w goes 1 → 1.6 → 1.9."""
    model = one_weight()
    losses, metrics = fit(2, 0.1, model, F.mse_loss, [(XB, YB)], [(torch.tensor([[1.]]), torch.tensor([[2.]]))],
                          metric=lambda outputs, labels: outputs.item())
    assert model.weight.item() == pytest.approx(1.9)
    assert losses == pytest.approx([0.4 ** 2, 0.1 ** 2])
    assert metrics == pytest.approx([1.6, 1.9])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and "epoch 2 of 2" in lines[1] and "0.0100" in lines[1] and "1.9000" in lines[1]


def test_fit_without_metric(capsys):
    losses, metrics = fit(3, 0.1, one_weight(), F.mse_loss, [(XB, YB)], [(XB, YB)])
    assert len(losses) == 3 and metrics == [None, None, None]
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_fit_uses_the_optimizer_it_is_given():
    made = []

    def opt_fn(parameters, lr):
        made.append((len(list(parameters)), lr))
        return torch.optim.Adam(model.parameters(), lr=lr)

    model = one_weight()
    fit(1, 0.25, model, F.mse_loss, [(XB, YB)], [(XB, YB)], opt_fn=opt_fn)
    assert made == [(1, 0.25)]
    assert model.weight.item() == pytest.approx(1.25)   # Adam's first step is the learning rate


def test_fit_trains_on_the_training_data_only():
    model = one_weight()
    fit(1, 0.1, model, F.mse_loss, [(XB, XB)], [(XB, YB)])   # w = 1 is perfect for (XB, XB)
    assert model.weight.item() == 1.0


def test_fit_trains_and_evaluate_evaluates():
    """Layers such as dropout behave differently in training: the model must know which it is."""
    model, modes = one_weight(), []
    fit(2, 0.1, model, lambda out, yb: modes.append(model.training) or F.mse_loss(out, yb), [(XB, YB)], [(XB, YB)])
    assert modes == [True, False, True, False]


def test_fit_of_no_epochs_does_nothing():
    model = one_weight()
    assert fit(0, 0.1, model, F.mse_loss, [(XB, YB)], [(XB, YB)]) == ([], [])
    assert model.weight.item() == 1.0


@pytest.mark.parametrize("train, valid", [([], [(XB, YB)]), ([(XB, YB)], [])])
def test_fit_wants_batches(train, valid):
    with pytest.raises(ValueError, match="loader is empty"):
        fit(1, 0.1, one_weight(), F.mse_loss, train, valid)


def test_fit_learns():
    torch.manual_seed(0)
    xb = torch.rand(100, 4)
    yb = (xb[:, 0] > xb[:, 1]).long()
    model = MnistModel(4, 8, 2)
    losses, metrics = fit(200, 0.5, model, F.cross_entropy, [(xb, yb)], [(xb, yb)], accuracy)
    assert losses[-1] < 0.2 < losses[0] and metrics[-1] > 0.95


# The rest

def test_seconds_per_pass(monkeypatch):
    """Three batches, and half a second until it is clear that there is no fourth."""
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock)

    class Loader:
        def __iter__(self):
            yield from map(clock.slow(lambda i: (i, i), 1.0), range(3))
            clock.seconds += 0.5

    assert seconds_per_pass(Loader()) == 3.5


def test_distances():
    models = [one_weight(1.0), one_weight(1.5), one_weight(-1.0)]
    assert distances(models) == [0.5, 2.0]


def test_a_damaged_file_is_named(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    assert check_mnist(tmp_path) == 0
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte is damaged: delete it"):
        check_mnist(tmp_path)


@pytest.mark.mnist
def test_the_official_files_are_known():
    assert check_mnist(ROOT / "data") == 4


# Section 6

@pytest.mark.parametrize("device, steps", [("cpu", ["looked"]), ("meta", ["waited", "looked"])])
def test_now_waits_for_an_accelerator(monkeypatch, device, steps):
    seen = []
    monkeypatch.setitem(NAMES, "device", torch.device(device))
    monkeypatch.setattr("torch.accelerator.synchronize", lambda: seen.append("waited"))
    monkeypatch.setattr("time.perf_counter", lambda: seen.append("looked") or 7.0)
    assert now() == 7.0 and seen == steps


def test_timed_epoch_trains(monkeypatch):
    monkeypatch.setitem(NAMES, "device", CPU)
    model = MnistModel(2, 3, 4)
    same = copy.deepcopy(model)
    batches = [(torch.rand(5, 2), torch.tensor([0, 1, 2, 3, 0]))] * 3
    timed_epoch(model, batches, batches, 0.1)
    fit(1, 0.1, same, F.cross_entropy, batches, batches)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), same.parameters()))


def test_timed_epoch_counts_every_part(monkeypatch):
    """What takes time takes another power of ten each, so that the digits tell what was counted, and how often."""
    clock, sgd = Clock(), torch.optim.SGD
    monkeypatch.setitem(NAMES, "now", clock)
    monkeypatch.setattr(MnistModel, "forward", clock.slow(MnistModel.forward, 10))
    monkeypatch.setattr(F, "cross_entropy", clock.slow(F.cross_entropy, 100))
    monkeypatch.setattr(sgd, "zero_grad", clock.slow(sgd.zero_grad, 1_000))
    monkeypatch.setattr(torch.Tensor, "backward", clock.slow(torch.Tensor.backward, 10_000))
    monkeypatch.setattr(sgd, "step", clock.slow(sgd.step, 100_000))
    monkeypatch.setitem(NAMES, "accuracy", clock.slow(accuracy, 1_000_000))
    batch = torch.rand(5, 2), torch.tensor([0, 1, 2, 3, 0])
    train_dl, valid_dl = [map(clock.slow(tuple, 1), [batch] * n) for n in (3, 2)]
    parts = timed_epoch(MnistModel(2, 3, 4), train_dl, valid_dl, 0.1)
    assert list(parts.items()) == [("loading", 3), ("forward", 330), ("backward", 33_000), ("update", 300_000),
                                   ("validation", 2_000_222)]
    assert sum(parts.values()) == clock.seconds - Clock.seconds


@pytest.mark.parametrize("n", [1, 5, 8])
def test_steps_by_hand_are_those_of_autograd(monkeypatch, n):
    monkeypatch.setitem(NAMES, "batch_size", 3)
    torch.manual_seed(0)
    images, labels = torch.randint(256, (2 * n, 12), dtype=torch.uint8), torch.randint(10, (2 * n,))
    order = torch.randperm(2 * n)[:n]
    model = MnistModel(12, 5, 10)
    by_hand, fast = ([p.detach().clone() for p in model.parameters()] for _ in range(2))
    opt = torch.optim.SGD(model.parameters(), lr=0.5)
    for batch in order.split(3):
        xb, yb = images[batch] / 255, labels[batch]
        loss_batch(model, F.cross_entropy, xb, yb, opt)
        step_by_hand(by_hand, xb, yb, 0.5)
    epoch_by_hand(fast, images, labels, order, 0.5)
    for p, q, r in zip(model.parameters(), by_hand, fast):
        assert torch.allclose(p, q, rtol=0, atol=1e-12) and torch.allclose(p, r, rtol=0, atol=1e-12)


class Noting(TorchDispatchMode):
    """Notes what tensors are asked to do."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls.append((func, args))
        return func(*args, **(kwargs or {}))


def test_arithmetic_alone_fetches_each_batch_for_two_products(monkeypatch):
    monkeypatch.setitem(NAMES, "batch_size", 3)
    weights = [torch.rand(5, 12), torch.rand(5), torch.rand(10, 5), torch.rand(10)]
    before = [weight.clone() for weight in weights]
    images, order = torch.randint(256, (9, 12), dtype=torch.uint8), torch.randperm(9)[:7]
    with Noting() as noted:
        arithmetic_alone(weights, images, order)
    fetched = [args for func, args in noted.calls if func == aten.index_select.default]
    products = [args for func, args in noted.calls if func == aten.mm.default]
    assert len(products) == 2 * len(fetched)
    each = zip(order.split(3), fetched, products[::2], products[1::2], strict=True)
    for batch, (source, _, rows), first, second in each:
        x = images[batch] / 255
        assert source is images and torch.equal(rows, batch)
        assert torch.equal(first[0], weights[0]) and torch.equal(first[1], x.T)
        assert second[0].shape == (5, len(batch)) and torch.equal(second[1], x)
    assert all(torch.equal(a, b) for a, b in zip(weights, before)), "it learned something"


def test_seconds_for_is_the_best_of_three(monkeypatch):
    clock, durations = Clock(), [3.0, 1.0, 2.0]
    monkeypatch.setitem(NAMES, "now", clock)

    def run():
        clock.seconds += durations.pop(0)

    assert seconds_for(run) == 1.0 and durations == []


@pytest.mark.parametrize("way, trained", [
    (with_autograd, "by_autograd"), (with_step_by_hand, "weights"), (with_epoch_by_hand, "fast_weights")])
def test_each_way_trains_its_own_weights_for_one_epoch(monkeypatch, way, trained):
    models = {name: MnistModel(12, 5, 10) for name in ("by_autograd", "weights", "fast_weights")}
    expected = copy.deepcopy(models)
    batches = [(torch.rand(3, 12), torch.randint(10, (3,))) for _ in range(2)]
    pixels, digits = torch.randint(256, (9, 12), dtype=torch.uint8), torch.randint(10, (9,))
    order = torch.randperm(9)[:7]
    names = {name: [p.data for p in model.parameters()] for name, model in models.items()}
    names |= dict(by_autograd=models["by_autograd"], opt=torch.optim.SGD(models["by_autograd"].parameters(), lr=0.3),
                  lr=0.3, batch_size=3, train_dl=batches, pixels=pixels, digits=digits, order=order)
    for name, value in names.items():
        monkeypatch.setitem(NAMES, name, value)
    way()
    if trained == "fast_weights":
        batches = [(pixels[rows] / 255, digits[rows]) for rows in order.split(3)]
    opt = torch.optim.SGD(expected[trained].parameters(), lr=0.3)
    for xb, yb in batches:
        loss_batch(expected[trained], F.cross_entropy, xb, yb, opt)
    for name, model in models.items():
        for p, q in zip(model.parameters(), expected[name].parameters()):
            assert torch.allclose(p, q, rtol=0, atol=1e-12 if name == trained else 0)


def test_the_arithmetic_alone_is_that_of_the_faster_epoch(monkeypatch):
    seen = []
    monkeypatch.setitem(NAMES, "arithmetic_alone", lambda *args: seen.append(args))
    weights, pixels, order = object(), object(), object()
    for name, value in dict(weights=weights, pixels=pixels, order=order).items():
        monkeypatch.setitem(NAMES, name, value)
    with_arithmetic_alone()
    assert seen == [(weights, pixels, order)]


def test_drift_records_ten_points_per_epoch(monkeypatch):
    batches = [(torch.rand(4, 784), torch.tensor([0, 1, 2, 3]))] * 20
    for name, value in dict(device=CPU, train_dl=batches).items():
        monkeypatch.setitem(NAMES, name, value)
    models, points, history = drift(torch.float64, copies=2, epochs=3)
    assert len(models) == 3 and history.shape == (31, 2)
    assert points == pytest.approx([i / 10 for i in range(31)])
    assert (history[0] > 0).all() and history[0].max() < 1e-15
    assert history[-1].tolist() == distances(models)


def test_bars(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    bars({"a": 1.0, "b": 2.0}, "Title", "blue")
    ax, = plt.gcf().axes
    assert [bar.get_width() for bar in ax.patches] == [1, 2] and ax.get_xlabel() == "seconds"
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"] and ax.yaxis_inverted()
    assert ax.get_title() == "Title"
    plt.close()


# Section 7

def test_train_is_one_epoch_per_rate_without_a_word(monkeypatch, capsys):
    monkeypatch.setitem(NAMES, "valid_dl", [(torch.rand(4, 3), torch.tensor([0, 1, 1, 0]))])
    batches = [(torch.rand(5, 3), torch.tensor([0, 1, 0, 1, 1]))] * 2
    model, same = MnistModel(3, 4, 2), MnistModel(3, 4, 2)
    same.load_state_dict(model.state_dict())
    values = train(model, [0.5, 0.1], batches)
    assert capsys.readouterr().out == ""
    expected = [fit(1, rate, same, F.cross_entropy, batches, NAMES["valid_dl"], accuracy)[1][0]
                for rate in (0.5, 0.1)]
    assert values == expected
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), same.parameters()))


def test_train_uses_the_optimizer_it_is_given(monkeypatch):
    monkeypatch.setitem(NAMES, "valid_dl", [(torch.rand(4, 3), torch.tensor([0, 1, 1, 0]))])
    rates = []

    def opt_fn(parameters, lr):
        rates.append(lr)
        return torch.optim.SGD(parameters, lr=lr)

    train(MnistModel(3, 4, 2), [0.3, 0.2], [(torch.rand(2, 3), torch.tensor([0, 1]))], opt_fn)
    assert rates == [0.3, 0.2]


def test_deep_model_by_hand():
    model = DeepModel([1, 1, 1, 1])
    assert len(list(model.parameters())) == 6
    for layer, (weight, bias) in zip(model.layers, [(2.0, -1.0), (-1.0, 4.0), (3.0, -20.0)]):
        layer.weight.data.fill_(weight)
        layer.bias.data.fill_(bias)
    # 1: relu(2 - 1) = 1, relu(4 - 1) = 3, 9 - 20 = -11: no ReLU at the end. 3: 5, relu(-1) = 0, -20. 0: 0, 4, -8.
    assert model(torch.tensor([[[1.0]], [[3.0]], [[0.0]]])).tolist() == [[-11.0], [-20.0], [-8.0]]


def test_momentum_by_hand():
    """Nesterov: v ← 0.9 v + g, w ← w - lr (g + 0.9 v); with g = 1: 1 - 0.1 · 1.9 = 0.81, then v = 1.9, 0.81 - 0.271."""
    weight = torch.ones(1, requires_grad=True)
    opt = momentum([weight], 0.1)
    for expected in (0.81, 0.539):
        weight.grad = torch.ones(1)
        opt.step()
        assert weight.item() == pytest.approx(expected)


class Pictures:
    """A dataset as torchvision holds it: one pixel of 255 in each image, in another place."""
    data = torch.zeros(4, 28, 28, dtype=torch.uint8)
    for number, place in enumerate([(5, 7), (10, 3), (20, 20), (1, 26)]):
        data[number][place] = 255
    targets = torch.arange(4)


def test_shifted_images():
    shifted = ShiftedMNIST(Pictures)
    torch.manual_seed(0)
    seen = {number: set() for number in range(4)}
    for _ in range(100):
        images, labels = shifted.__getitems__([2, 0, 3, 1])
        assert images.shape == (4, 1, 28, 28) and images.dtype == torch.float64 and labels.tolist() == [2, 0, 3, 1]
        for image, label in zip(images, labels.tolist()):
            (row, column), = image[0].nonzero().tolist()
            true_row, true_column = Pictures.data[label].nonzero()[0].tolist()
            assert image[0, row, column] == 1
            seen[label].add((row - true_row, column - true_column))
    assert all(shifts == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)} for shifts in seen.values())


def test_shifted_images_leave_the_frame():
    """What is moved out at the edge is gone; zeros come in."""
    class Corner:
        data, targets = torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(1)
    Corner.data[0, 0, 0] = 255
    windows = ShiftedMNIST(Corner).windows
    assert windows.shape == (1, 3, 3, 28, 28) and windows[0, 0, 0].max() == 255 and windows[0, 2, 2].max() == 0


def test_shifted_images_are_held_twice_at_most():
    """The nine windows are views of one framed copy."""
    shifted = ShiftedMNIST(Pictures)
    assert shifted.windows.untyped_storage().nbytes() == 4 * 30 * 30


def test_plot_runs():
    from matplotlib.figure import Figure
    ax = Figure().add_subplot()
    plot_runs(ax, [1, 2], torch.tensor([[1.0, 3.0], [4.0, 8.0]]), "blue", "name")
    first, second, mean = [line.get_ydata().tolist() for line in ax.lines]
    assert (first, second, mean) == ([1, 4], [3, 8], [2, 6])


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_seconds_per_step(monkeypatch, device):
    """The median without the first five, of 32-bit steps of a model of that width, on the device that is named."""
    clock = Clock()
    seconds = [100.0] * 5 + [0.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0, 5.0, 1.0]
    monkeypatch.setattr("time.perf_counter", clock)
    monkeypatch.setitem(NAMES, "plain_xb", torch.rand(6, 1, 28, 28))
    monkeypatch.setitem(NAMES, "plain_yb", torch.randint(10, (6,)))

    def step(model, loss_func, xb, yb, opt):
        clock.seconds += seconds.pop(0)
        assert loss_func is F.cross_entropy and model.linear1.weight.shape == (4, 784)
        assert xb.shape == (6, 1, 28, 28) and yb.shape == (6,) and yb.device.type == device
        assert {(t.dtype, t.device.type) for t in (xb, *model.parameters())} == {(torch.float32, device)}
        assert list(map(id, opt.param_groups[0]["params"])) == list(map(id, model.parameters()))

    monkeypatch.setitem(NAMES, "loss_batch", step)
    assert seconds_per_step(4, torch.device(device)) == 4.0 and seconds == []


def test_batched_cifar_is_what_to_tensor_gives():
    class Cifar:
        data = (torch.arange(4 * 32 * 32 * 3) % 251).byte().reshape(4, 32, 32, 3).numpy()   # every pixel another
        targets = [3, 1, 4, 2]

    batched = BatchedCIFAR10(Cifar)
    images, labels = batched.__getitems__([3, 1])
    assert images.shape == (2, 3, 32, 32) and images.dtype == torch.float64 and len(batched) == 4
    assert torch.equal(images, torch.stack([ToTensor()(Cifar.data[number]) for number in (3, 1)]))
    assert labels.tolist() == [2, 1]
