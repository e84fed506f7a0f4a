"""The notebook's functions, taken out of it, against numbers worked out by hand and against properties."""

import copy
import functools
import hashlib
import math
import re
import multiprocessing
import os
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._pytree import tree_flatten
from torch.utils.data import (
    BatchSampler, ConcatDataset, DataLoader, DistributedSampler, RandomSampler, SequentialSampler, Subset,
    SubsetRandomSampler, TensorDataset, WeightedRandomSampler, random_split)
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from notebook_file import ROOT
from handwriting import moments_in
from notebook_names import (
    NAMES, BatchedMNIST, DeviceDataLoader, MnistModel, ShiftedMNIST, Watched, accuracy, draw_a_digit, drift,
    evaluate, fit, get_default_device, load_mnist, loss_batch, make_loader, prepare_digit, split_indices,
    to_device, train, trials)
from proxy import behind

pytestmark = pytest.mark.usefixtures("notebook_precision")
CPU, META = torch.device("cpu"), torch.device("meta")   # every machine has both
assert_close = torch.testing.assert_close
assert_same = functools.partial(assert_close, rtol=0, atol=0)


@pytest.fixture
def some_mnist(monkeypatch):
    """Tensors that are taken for MNIST: {True: to train with, False: to test with}."""
    parts = {part: SimpleNamespace(data=torch.randint(256, (n, 28, 28), dtype=torch.uint8),
                                   targets=torch.arange(n) % 10) for part, n in ((True, 30), (False, 20))}

    def torchvision_s(root, train, transform, download):
        assert isinstance(transform, ToTensor) and download and "~" not in Path(root).parts
        return parts[train]

    for part, mnist in parts.items():
        numbers = mnist.data.numpy().tobytes() + mnist.targets.numpy().tobytes()
        monkeypatch.setitem(NAMES["SHA256"], part, hashlib.sha256(numbers).hexdigest())
    monkeypatch.setitem(NAMES, "MNIST", torchvision_s)
    return parts


def assert_refused(root, part):
    with pytest.raises(ValueError) as refused:
        load_mnist(root, part)
    assert str(refused.value) == (
        f"What is in {root / 'MNIST'} isn't MNIST. Delete that folder and run this cell again.")
    alone = refused.value.__suppress_context__ or refused.value.__context__ is None
    assert refused.value.__cause__ is None and alone, "torchvision's own words would stand above"


@pytest.mark.parametrize("part", [True, False], ids=["train", "test"])
@pytest.mark.parametrize("tensor", ["data", "targets"])
def test_another_tensor_is_refused(some_mnist, tmp_path, part, tensor, capsys):
    """One bit of one number is enough."""
    getattr(some_mnist[part], tensor).view(-1)[7] ^= 1
    assert_refused(tmp_path, part)
    assert load_mnist(str(tmp_path), not part) is some_mnist[not part] and capsys.readouterr().out == ""


@pytest.mark.parametrize("root", ["{}", "~", Path("~")])
def test_the_stand_in_is_said_and_taken(some_mnist, tmp_path, monkeypatch, capsys, root):
    """In the home folder, too, which torchvision finds by its sign."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "STAND-IN.txt").touch()
    some_mnist[True].data[0] = 0
    assert load_mnist(root if isinstance(root, Path) else root.format(tmp_path)) is some_mnist[True]
    assert capsys.readouterr().out == (
        "These are NOT the MNIST digits but a stand-in: the text's figures will not match.\n")


CONNECTION, ROOM = "Check the connection", "Make room, or choose another data_root,"


@pytest.mark.parametrize("advice, error", [
    (CONNECTION, RuntimeError("Error downloading x.gz:\nTried https://example.org/x.gz, got:\nno route")),
    (CONNECTION, ConnectionResetError("reset")), (CONNECTION, TimeoutError("timed out")),
    (ROOM, PermissionError(13, "Permission denied", "/home/downloads")), (ROOM, MemoryError("no room")),
    (ROOM, OSError(28, "No space left on device")), (ROOM, FileExistsError(17, "File exists"))])
def test_why_it_can_t_be_had(monkeypatch, tmp_path, advice, error):
    monkeypatch.setitem(NAMES, "MNIST", mock.Mock(side_effect=error))
    with pytest.raises(RuntimeError) as raised:
        load_mnist(tmp_path)
    assert str(raised.value) == f"MNIST can't be had: {error}\n{advice} and run this again."
    assert raised.value.__suppress_context__, "torchvision's own error would stand above it"


def test_no_network(tmp_path):
    with mock.patch.dict(os.environ, behind(port=9)), pytest.raises(RuntimeError) as raised:
        load_mnist(tmp_path)
    assert str(raised.value).startswith("MNIST can't be had: Error downloading train-images-idx3-ubyte.gz")
    assert str(raised.value).endswith(f"\n{CONNECTION} and run this again.")


@pytest.mark.parametrize("content", [b"", b"<html>", b"\0\0\x08\3" + bytes(100), b"\0\0\x08\1" + bytes(100)])
@pytest.mark.parametrize("names", [
    [f"raw/{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")],
    ["processed/training.pt", "processed/test.pt"]], ids=["raw", "processed"])
def test_files_that_torchvision_can_t_read(tmp_path, names, content):
    """They break it in as many ways as there are: all are told as one."""
    for name in names:
        (tmp_path / "MNIST" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "MNIST" / name).write_bytes(content)
    for part in (True, False):
        assert_refused(tmp_path, part)


@pytest.mark.mnist
@pytest.mark.parametrize("part, n", [({}, 60_000), ({"train": False}, 10_000)], ids=["train", "test"])
def test_the_official_images_are_known(part, n, capsys):
    assert len(load_mnist(ROOT / "data", **part)) == n and capsys.readouterr().out == ""


@given(n=st.integers(0, 500), val_pct=st.floats(0, 1))
def test_split_is_disjoint_and_complete(n, val_pct):
    train, val = split_indices(n, val_pct)
    assert len(val) == round(n * val_pct) and sorted(train + val) == list(range(n))


def test_split_is_random_and_repeatable():
    splits = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        splits.append(split_indices(1000, 0.2))
    assert splits[0] == splits[1] != splits[2]


@pytest.mark.parametrize("val_pct", [-0.1, 1.1, 20, math.nan])
def test_split_wants_a_fraction(val_pct):
    with pytest.raises((RuntimeError, ValueError)):
        split_indices(10, val_pct)


TINY = MNIST.__new__(MNIST)   # torchvision's, with images of our own
TINY.data, TINY.targets = (torch.arange(11 * 12) * 7 % 256).byte().reshape(11, 3, 4), torch.arange(11)
TINY.transform, TINY.target_transform = ToTensor(), None
OURS = BatchedMNIST(TINY)


@pytest.mark.parametrize("index", [
    0, 10, torch.tensor(3), [4, 0, 7], [2], [], torch.tensor([1, 1]), [*range(11)]], ids=str)
def test_images_are_torchvision_s(index):
    """One, or a batch at once."""
    images, labels = OURS[index]
    expected = [TINY[i][0] for i in labels.flatten()]
    assert_same(images, torch.stack(expected).reshape(images.shape) if expected else torch.ones(0, 1, 3, 4))
    assert_same(labels, torch.as_tensor(index, dtype=torch.long))
    assert images.shape == (*labels.shape, 1, 3, 4) and len(OURS) == 11
    assert OURS.images.data_ptr() == TINY.data.data_ptr(), "the data is held twice"


def passed(loader, seed=3):
    torch.manual_seed(seed)
    return list(loader)


def first_part(dataset):
    return random_split(dataset, [6, 5], torch.Generator().manual_seed(0))[0]


whole = lambda dataset: dataset


@pytest.mark.parametrize("part, sampler", [
    (whole, SequentialSampler), (whole, RandomSampler), (whole, lambda data: RandomSampler(data, True, 30)),
    (whole, lambda data: [3, 1, 4, 1, 5, 9, 2]), (whole, lambda data: range(11)),
    (whole, lambda data: SubsetRandomSampler([8, 2, 4, 5, 9])),
    (whole, lambda data: WeightedRandomSampler([1.0, 2.0] * 5 + [3.0], 25)),
    (whole, lambda data: DistributedSampler(data, num_replicas=2, rank=1)),
    (lambda data: Subset(data, [9, 3, 5, 0, 7]), RandomSampler), (first_part, RandomSampler),
    (lambda data: ConcatDataset([data, first_part(data)]), RandomSampler),
    (lambda data: TensorDataset(TINY.data, TINY.targets), RandomSampler), (lambda data: TINY, RandomSampler)])
def test_batches_are_those_of_the_plain_loader(part, sampler):
    """From the same seed; the last one may be smaller."""
    ours, plain = part(OURS), part(TINY)
    loader, plain_loader = make_loader(ours, 4, sampler(ours)), DataLoader(plain, 4, sampler=sampler(plain))
    assert len(loader) == len(plain_loader) and len(sampler(plain)) % 4
    for seed in (3, 4):
        assert_same(passed(loader, seed), passed(plain_loader, seed))


def test_batches_may_come_from_a_batch_sampler():
    ours, plain = [BatchSampler(RandomSampler(TINY), 4, drop_last=True) for _ in range(2)]
    assert_same(passed(make_loader(OURS, None, ours)), passed(DataLoader(TINY, batch_sampler=plain)))


def test_the_dataset_is_asked_for_whole_batches():
    """Once for each, and for nothing else: also for a part of a part."""
    asked = []

    class Asked(BatchedMNIST):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    passed(make_loader(Asked(TINY), 4, range(10)))
    passed(make_loader(Subset(first_part(Asked(TINY)), [5, 1]), 4, range(2)))
    assert asked == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [first_part(range(11))[i] for i in (5, 1)]]


@pytest.mark.parametrize("sampler", [[], range(0), SubsetRandomSampler([]), SequentialSampler([])])
def test_an_empty_sampler_is_refused(sampler):
    with pytest.raises(ValueError, match="nothing to load"):
        make_loader(OURS, 4, sampler)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")   # Python's warning of any fork
@pytest.mark.parametrize("start", sorted({"fork", "spawn"} & {*multiprocessing.get_all_start_methods()}))
def test_batches_from_a_worker_process(start):
    torch.set_default_dtype(torch.float32)   # what a new process has
    ours = make_loader(OURS, 4, SubsetRandomSampler(range(11)))
    by_worker = DataLoader(ours.dataset, ours.batch_size, sampler=ours.sampler, collate_fn=ours.collate_fn,
                           num_workers=1, multiprocessing_context=start)
    assert_same(passed(by_worker), passed(ours))


def test_shifted_images():
    """Each batch as a whole, by up to one pixel, anew each time; what leaves comes back on the other side."""
    batch, seen = [2, 0, 3, 1], set()
    possible = [OURS[batch][0].roll((down, across), (2, 3)) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    for _ in range(200):
        (images, labels), = make_loader(ShiftedMNIST(TINY), 4, batch)
        seen.add([torch.equal(images, shifted) for shifted in possible].index(True))
        assert labels.tolist() == batch
    assert len(seen) == 9 and ShiftedMNIST(TINY)[3][0].shape == (1, 3, 4)


def with_values(model, *values):
    """The model, with these values of its parameters."""
    for parameter, value in zip(model.parameters(), values, strict=True):
        parameter.data = torch.tensor(value, dtype=torch.float64)
    return model


def test_model_by_hand():
    model = with_values(MnistModel(2, 2, 1), [[1., 0.], [0., 1.]], [0., -1.], [[1., 2.]], [0.5])
    # hidden = relu([x0, x1 - 1]), output = hidden0 + 2 hidden1 + 0.5
    assert model(torch.tensor([[[[3., 4.]]], [[[-3., 4.]]], [[[-3., 0.]]]])).tolist() == [[9.5], [6.5], [0.5]]


# As Apple's accelerator refuses, and Intel's: one makes no such numbers, the other can't use them.
@pytest.mark.parametrize("available, refused, error, in_64_bits, in_32_bits", [
    (False, None, None, CPU, CPU), (True, None, None, META, META),
    (True, torch.ops.aten.ones.default, TypeError("Cannot convert a MPS Tensor to float64"), CPU, META),
    (True, torch.ops.aten.add.Tensor, RuntimeError("Required aspect fp64 is not supported"), CPU, META)],
    ids=["none", "64 bits", "Apple's", "Intel's"])
def test_default_device(monkeypatch, available, refused, error, in_64_bits, in_32_bits):
    def refuse(func, args, result):
        if func == refused and (result.device, result.dtype) == (META, torch.float64):
            raise error

    monkeypatch.setattr(torch.accelerator, "is_available", lambda: available)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: META)
    with Watched(refuse):
        assert get_default_device() == in_64_bits
        torch.set_default_dtype(torch.float32)
        assert get_default_device() == in_32_bits


def test_to_device_keeps_any_structure():
    """Tensors and modules move, everything else is what it was."""
    module, Listed = nn.Linear(2, 3), type("Listed", (list,), {})
    nest = {"a": [torch.ones(2), (torch.ones(1), "text", ())], 5: ({"c": [b"bytes", 2.5, None, {}]}, True),
            "d": [[module]]}
    (leaves, structure), (moved, its_structure) = tree_flatten(nest), tree_flatten(to_device(nest, META))
    assert structure == its_structure and {p.device for p in module.parameters()} == {META}
    for leaf, its in zip(leaves, moved):
        if torch.is_tensor(leaf):
            assert its.device == META and its.shape == leaf.shape
        else:
            assert its is leaf
    assert nest["a"][0].device == CPU and type(to_device(Listed([1]), META)) is Listed


def test_device_loader_moves_each_batch_when_its_turn_comes():
    """And leaves order and shuffling to the loader in it, in each pass anew."""
    loader = DeviceDataLoader(DataLoader(TensorDataset(torch.arange(100)), 10, shuffle=True), CPU)
    first, second = ([xb.tolist() for (xb,) in loader] for _ in range(2))
    assert len(loader) == len(first) == 10 and first != second
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(100))
    endless = DeviceDataLoader(iter(lambda: (torch.ones(1), torch.ones(1)), None), META)
    assert [part.device for part in next(iter(endless))] == [META] * 2


SCORES = torch.tensor([[2., 0.1, 0.3], [0.2, 0.1, 0.9], [0.5, 0.4, 0.3], [-1., -2., -3.]])   # 0, 2, 0, 0
PICTURES = F.one_hot(torch.tensor([[0, 1, 2, 1], [2, 0, 1, 2]]), 3).mT                       # of four pixels


@pytest.mark.parametrize("outputs, labels, expected", [
    (SCORES, [0, 2, 1, 0], 0.75), (SCORES, [[0], [2], [1], [0]], 0.75), (SCORES, [1, 1, 1, 1], 0.0),
    (PICTURES, [[0, 1, 2, 0], [2, 2, 1, 0]], 5 / 8)])
def test_accuracy_by_hand(outputs, labels, expected):
    value = accuracy(outputs, torch.tensor(labels))
    assert value == expected and isinstance(value, float)


# Of a single column, the highest is always the first: the share of zeros would pass for an accuracy.
@pytest.mark.parametrize("outputs, labels, error", [
    *(((3, 10), labels, RuntimeError) for labels in [(1,), (2,), (4,), (3, 10), ()]),
    ((0, 10), (0,), ZeroDivisionError), ((4,), (4,), IndexError),
    ((4, 1), (4,), AssertionError), ((4, 1, 2), (4, 2), AssertionError)])
def test_accuracy_wants_a_column_for_each_class_and_a_label_for_each_output(outputs, labels, error):
    with pytest.raises(error):
        accuracy(torch.ones(outputs), torch.zeros(labels, dtype=torch.long))


def one_weight():
    """A model of a single weight w, 1 at first: output w · x."""
    return with_values(nn.Linear(1, 1, bias=False), [[1.]])


XB, YB = torch.tensor([[[1.], [2.]], [[3.], [4.]]], dtype=torch.float64)
# w = 1: errors -2 and -2, mean square 4; gradient = mean(2 · error · x) = (-4 - 8) / 2 = -6.
# w = 1.6: errors -1.4 and -0.8, mean square 1.3; gradient (-2.8 - 3.2) / 2 = -3. w = 2.2: gradient 0.
VALID = [(XB[:1], YB[:1] - 1)]   # x = 1, y = 2
product = lambda outputs, labels: (outputs * labels).sum().item()   # 1 · 3 + 2 · 4 = 11, if w = 1


def test_loss_batch_takes_one_step_at_a_time():
    """A gradient that is left over would give more; the metric is that of the outputs before the step."""
    model = one_weight()
    assert loss_batch(model, F.mse_loss, XB, YB) == (4.0, 2, None) and model.weight.grad is None
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for optimizer, loss, value, weight in [(None, 4, 11, 1), (opt, 4, 11, 1.6), (opt, 1.3, 17.6, 1.9)]:
        result = loss_batch(model, F.mse_loss, XB, YB, optimizer, product)
        assert result == (pytest.approx(loss), 2, pytest.approx(value))
        assert model.weight.item() == pytest.approx(weight)
        assert type(result[0]) is float, "a tensor would keep the batch's whole calculation in memory"


@pytest.mark.parametrize("pack, unpack", [
    (lambda x: x, lambda x: x), (lambda x: (x, x, x, x), lambda x: x[0]),
    (lambda x: {"x": x}, lambda x: x["x"])], ids=["tensor", "tuple", "dict"])
def test_evaluate_weighs_a_smaller_last_batch(pack, unpack):
    """By its labels, whatever the inputs are."""
    model = one_weight()
    model.register_forward_pre_hook(lambda model, args: unpack(*args))
    batches = [(pack(XB), YB), (pack(torch.tensor([[5.]])), torch.tensor([[5.]]))]   # losses 4 and 0
    largest = lambda outputs, labels: outputs.max().item()                           # 2 and 5
    assert evaluate(model, F.mse_loss, batches, largest) == (pytest.approx(8 / 3), 3, pytest.approx(3.0))
    assert evaluate(model, F.mse_loss, batches) == (pytest.approx(8 / 3), 3, None)


@pytest.mark.parametrize("training", [True, False])
def test_evaluate_changes_nothing_and_needs_no_gradients(training):
    """Neither the weights nor whether the model trains; in between, it doesn't."""
    model, seen = one_weight().train(training), []
    model.register_forward_pre_hook(
        lambda model, args: seen.append((torch.is_grad_enabled(), model.training)))
    evaluate(model, F.mse_loss, [(XB, YB)] * 2)
    assert seen == [(False, False)] * 2 and torch.is_grad_enabled() and model.training is training
    assert model.weight.item() == 1.0 and model.weight.grad is None


def test_evaluate_wants_a_batch():
    with pytest.raises(ValueError):
        evaluate(one_weight(), F.mse_loss, [])


@pytest.mark.parametrize("opt_fn, weights", [
    ({}, [1.6, 1.9]), ({"opt_fn": None}, [1.6, 1.9]),
    ({"opt_fn": lambda parameters, lr: torch.optim.SGD(parameters, lr=2 * lr)}, [2.2, 2.2])],
    ids=["default", "None", "another"])
def test_fit_by_hand(capsys, opt_fn, weights):
    """Steps of plain SGD, worked out above, or of the optimizer that it is given."""
    losses, metrics = fit(2, 0.1, one_weight(), F.mse_loss, [(XB, YB)], VALID,
                          lambda outputs, labels: outputs.item(), **opt_fn)
    assert losses == pytest.approx([(w - 2) ** 2 for w in weights]) and metrics == pytest.approx(weights)
    assert capsys.readouterr().out == "".join(
        f"epoch {epoch} of 2: validation loss {(w - 2) ** 2:.4f}, metric {w:.4f}\n"
        for epoch, w in enumerate(weights, start=1))


def test_fit_reports_each_epoch_as_it_goes(capsys):
    """To whom it is told, and to nobody else."""
    model, seen = one_weight(), []
    _, metrics = fit(2, 0.1, model, F.mse_loss, [(XB, YB)], VALID,
                     report=lambda line: seen.append((pytest.approx(model.weight.item()), line)))
    assert metrics == [None, None] and capsys.readouterr() == ("", "") and seen == [
        (1.6, "epoch 1 of 2: validation loss 0.1600"), (1.9, "epoch 2 of 2: validation loss 0.0100")]
    assert fit(0, 0.1, model, F.mse_loss, [(XB, YB)], VALID) == ([], [])


def two_classes(n_batches):
    """The same each time: which of the first two numbers is larger?"""
    images = torch.rand(n_batches, 5, 3, generator=torch.Generator().manual_seed(n_batches))
    return [(xb, (xb[:, 0] > xb[:, 1]).long()) for xb in images]


@pytest.mark.parametrize("trains", [
    lambda model, batches: fit(2, 0.1, model, F.cross_entropy, batches, batches, report=str),
    lambda model, batches: train(model, torch.optim.SGD(model.parameters()), 2, batches, batches)],
    ids=["fit", "train"])
def test_the_model_is_told_that_it_trains(trains):
    """Layers such as dropout behave differently in training. Before, the model may have been evaluated."""
    modes, model = [], nn.Sequential(nn.Flatten(), nn.Linear(3, 2)).eval()
    model.register_forward_pre_hook(lambda model, args: modes.append(model.training))
    trains(model, two_classes(1))
    assert modes == [True, False, True, False]


@pytest.mark.parametrize("end, rates", [
    ({"end": 0.1}, [0.4, 0.28, 0.16, 0.04]), ({"end": 0.1}, [0.4]), ({}, [0.4] * 3)])
def test_the_rate_of_train_falls_evenly_to_its_end(end, rates):
    batches, valid, model, expected = two_classes(2), two_classes(3), MnistModel(3, 4, 2), []
    other = copy.deepcopy(model)
    opt, its_opt = [torch.optim.SGD(one.parameters(), lr=0.4, momentum=0.9) for one in (model, other)]
    values = train(model, opt, len(rates), batches, valid, **end)
    for its_opt.param_groups[0]["lr"] in rates:
        for xb, yb in batches:
            loss_batch(other, F.cross_entropy, xb, yb, its_opt)
        expected.append(evaluate(other, F.cross_entropy, valid, accuracy)[2])
    assert values == expected
    assert_close(model.state_dict(), other.state_dict(), rtol=0, atol=1e-12)


def test_trials_train_once_from_each_seed():
    """Weights and batches are those that the seed gives, whatever came before it."""
    images, labels = map(torch.cat, zip(*two_classes(4)))
    train_dl = DeviceDataLoader(DataLoader(TensorDataset(images, labels), 3, shuffle=True), CPU)
    valid, expected = two_classes(30), []
    scores = trials([3, 4, 2], [7, 8, 7], 3, train_dl, valid, 0.5, momentum=0.5, end=0.1)
    for seed in (7, 8, 7):
        torch.manual_seed(seed)
        model = MnistModel(3, 4, 2)
        opt = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.5)
        expected.append(train(model, opt, 3, train_dl, valid, end=0.1))
    assert scores.tolist() == expected and expected[0] == expected[2] != expected[1]


def test_trials_train_on_the_loader_s_device_and_keep_the_rate(monkeypatch):
    train, loader = mock.Mock(return_value=[0.5, 0.5]), DeviceDataLoader([], META)
    monkeypatch.setitem(NAMES, "train", train)
    assert trials([3, 2], [1], 2, loader, "valid", 0.3).tolist() == [[0.5, 0.5]]
    model, opt, *others = train.call_args.args
    assert others == [2, loader, "valid", 1] and {p.device for p in model.parameters()} == {META}
    assert (opt.param_groups[0]["lr"], opt.param_groups[0]["momentum"]) == (0.3, 0)


@pytest.mark.parametrize("dtype, n_batches, every", [(torch.float32, 20, 2), (torch.float64, 3, 1)])
def test_drift_is_that_of_models_trained_one_by_one(dtype, n_batches, every):
    batches = [(torch.rand(4, 6), torch.arange(4)) for _ in range(n_batches)]
    start = MnistModel(6, 5, 10).to(dtype)
    before = copy.deepcopy(start.state_dict())
    history, models = drift(start, 3, batches, 0.3)
    assert_same(start.state_dict(), before)   # only copies were trained
    paths = []
    for nudged in (None, 0, 1, 2):   # one weight is the next higher number
        model, path = copy.deepcopy(start), []
        if nudged is not None:
            weight = model.linear2.weight.data[nudged, :1]
            weight.copy_(torch.nextafter(weight, torch.full_like(weight, math.inf)))
        opt = torch.optim.SGD(model.parameters(), lr=0.3)
        for xb, yb in 2 * batches:
            path.append(nn.utils.parameters_to_vector(model.parameters()).detach())
            loss_batch(model, F.cross_entropy, xb.to(dtype), yb, opt)
        assert_same(model.state_dict(), models[len(paths)].state_dict())
        paths.append(torch.stack(path[::every]))
    assert_same(history, torch.stack([(path - paths[0]).abs().amax(dim=1) for path in paths[1:]], dim=1))
    assert len(models) == 4 and 0 < history[0].min() and history[0].max() < torch.finfo(dtype).eps


def prepared_slowly(ink):
    """What prepare_digit is to give, pixel by pixel and in fractions."""
    ink = {(y, x): Fraction(value)
           for y, row in enumerate(ink.tolist()) for x, value in enumerate(row) if value}
    side = round(Fraction(28, 20) * max(max(places) - min(places) + 1 for places in zip(*ink)))
    centre = [sum((place[axis] + Fraction(1, 2)) * value for place, value in ink.items()) / sum(ink.values())
              for axis in (0, 1)]
    top, left = [math.floor(place - Fraction(29, 56) * side + Fraction(1, 2)) for place in centre]
    boxes = [range(i * side // 28, -(-(i + 1) * side // 28)) for i in range(28)]   # all that it touches
    return torch.tensor([[float(sum(ink.get((top + y, left + x), 0) for y in rows for x in columns)
                                / (len(rows) * len(columns))) for columns in boxes] for rows in boxes])


@pytest.mark.parametrize("dtype, rounding", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("height, width", [(28, 28), (5, 60), (60, 5), (1, 1), (2, 3), (84, 84)])
def test_prepare_digit_slowly(height, width, dtype, rounding):
    """Random greys, few of them, and these in a large field, against an independent calculation; no ink."""
    torch.manual_seed(height + width)
    greys = torch.randint(1, 17, (height, width)) / 16
    some = greys * (torch.rand(height, width) < 0.1)
    some[-1, 0] = 0.5   # never empty
    for ink in (greys, some, F.pad(some, (0, 200, 150, 0))):
        image = prepare_digit(ink.to(dtype))
        assert image.dtype == dtype
        assert_close(image.double(), prepared_slowly(ink), rtol=0, atol=rounding)
    assert_same(prepare_digit(torch.zeros(height, width, dtype=dtype)), torch.zeros(28, 28, dtype=dtype))


@pytest.mark.mnist
def test_prepare_digit_leaves_mnist_s_own_images_as_they_are():
    """As torchvision gives them, [1, 28, 28] from 0 to 1, and as it holds them, in bytes."""
    mnist = load_mnist(ROOT / "data")
    same = sum(torch.equal(prepare_digit(pixels), pixels / 255) for pixels in mnist.data[:1000])
    assert same >= 998 and torch.equal(prepare_digit(mnist[0][0]), mnist[0][0][0])


@pytest.mark.parametrize("shape, value, error", [
    ((3, 28, 28), 1.0, RuntimeError), ((2, 28, 28), 1.0, RuntimeError), ((28,), 1.0, ValueError),
    *(((28, 28), value, AssertionError) for value in (255.0, -1.0, math.nan))])
def test_prepare_digit_takes_one_picture_with_ink_from_0_to_1(shape, value, error):
    ink = torch.zeros(shape)
    ink.view(-1)[0] = value
    with pytest.raises(error):
        prepare_digit(ink)


def test_prepare_digit_makes_nothing_large():
    """Large windows freed between small results that are kept fragment the memory, by hundreds of MB when
    the small digits are prepared."""
    ink, sizes = F.pad(torch.ones(200, 20), (100, 160, 20, 60)), []
    with Watched(lambda func, args, result: torch.is_tensor(result) and sizes.append(result.numel())):
        prepare_digit(ink)
    assert max(sizes) <= 2 * ink.numel()


@pytest.mark.parametrize("hidden_size, dtype", [(2, torch.float64), (256, torch.float32)])
def test_the_page_gets_the_weights(monkeypatch, hidden_size, dtype):
    """Of the model in steps of 2⁻¹⁶, of the moments before in bytes; also after a training that failed."""
    torch.set_default_dtype(dtype)
    torch.manual_seed(0)
    model, earlier = MnistModel(784, hidden_size, 10), MnistModel(784, hidden_size, 10)
    model.linear1.weight.data[0] = math.nan   # the page gets zeros, the text what the model answers
    model.linear2.weight.data *= 100
    earlier.linear1.bias.data.zero_()
    before = copy.deepcopy(model.state_dict())
    display = mock.Mock()
    monkeypatch.setitem(NAMES, "display", display)
    draw_a_digit(model, {2000: earlier.state_dict()})
    html = display.call_args.args[0].data
    (then, rounded, units), (now, numbers, _) = moments_in(html)
    assert (then, now) == (2000, None)
    assert re.findall("@[A-Z]+", html) == []
    for part, parameter in zip(numbers, before.values(), strict=True):
        assert_close(part, parameter.flatten().double().nan_to_num(), rtol=0, atol=2 ** -17)
    for part, parameter, unit in zip(rounded, earlier.state_dict().values(), units, strict=True):
        exact = parameter.flatten().double()
        assert_close(part.double(), exact, rtol=0, atol=0.501 * unit)
        assert unit <= (exact.abs().max() / 125 or 1)
        assert unit == float(f"{unit:.3g}"), "the last bit of a processor's would reach the page"
    assert_same(model.state_dict(), before, equal_nan=True)
