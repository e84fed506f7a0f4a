"""The notebook's functions, taken out of it, against numbers worked out by hand and against properties."""

import base64
import builtins
import collections
import copy
import inspect
import io
import math
import multiprocessing
import pickle
import re
import symtable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from IPython.display import HTML
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import (
    BatchSampler, ConcatDataset, DataLoader, DistributedSampler, RandomSampler, SequentialSampler, Subset,
    SubsetRandomSampler, TensorDataset, WeightedRandomSampler, random_split)
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from cells import ROOT, code_cells, has_tag, read
from handwriting import moments_in
from notebook_names import (
    NAMES, BatchedMNIST, DeviceDataLoader, MnistModel, ShiftedMNIST, accuracy, deep_model, draw_a_digit,
    drift, evaluate, fit, get_default_device, load_mnist, loss_batch, make_loader, prepare_digit,
    split_indices, step_by_hand, to_device, train, trials)

pytestmark = pytest.mark.usefixtures("notebook_precision")
CPU = torch.device("cpu")
aten = torch.ops.aten


# Every definition: the course's names and arguments, and nothing from outside

@pytest.mark.parametrize("name, arguments", [
    ("split_indices", "(n, val_pct)"), ("get_default_device", "()"), ("to_device", "(data, device)"),
    ("DeviceDataLoader", "(dl, device)"), ("MnistModel", "(in_size, hidden_size, out_size)"),
    ("accuracy", "(outputs, labels)"), ("loss_batch", "(model, loss_func, xb, yb, opt=None, metric=None)"),
    ("evaluate", "(model, loss_func, valid_dl, metric=None)"),
    ("fit", "(epochs, lr, model, loss_func, train_dl, valid_dl, metric=None, "
     f"opt_fn={torch.optim.SGD}, report={print})")])
def test_arguments_have_the_course_s_order(name, arguments):
    assert str(inspect.signature(NAMES[name])) == arguments


def tables(source):
    """The names of a cell, scope by scope: its own, and those of its functions and classes to any depth."""
    found = [symtable.symtable(source, "cell", "exec")]
    for table in found:
        found += table.get_children()
    return found


def foreign_names(sources):
    """What these definitions use without one of them defining or importing it."""
    own = {symbol.get_name() for source in sources for symbol in tables(source)[0].get_symbols()
           if symbol.is_assigned() or symbol.is_imported()}
    used = {symbol.get_name() for source in sources for i, table in enumerate(tables(source))
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (i == 0 or symbol.is_global())}
    return sorted(used - own - set(dir(builtins)))


def test_definitions_get_what_they_use_as_arguments():
    """A reader can take one of them elsewhere: it needs imports and other definitions, no cell that ran."""
    assert foreign_names([cell.source for cell in code_cells(read()) if has_tag(cell, "definition")]) == []


@pytest.mark.parametrize("source", [
    "def f(x):\n    return x.to(device)", "class A:\n    def f(self):\n        device",
    "def f(x, to=device):\n    pass", "def f():\n    return lambda: [device for i in 'a']"])
def test_a_foreign_name_is_found(source):
    assert foreign_names([source]) == ["device"] and foreign_names([source, "import device"]) == []


# load_mnist

def damaged(root):
    """What is said where files are there that aren't MNIST's."""
    return f"What is in {root / 'MNIST'} isn't MNIST. Delete that folder and run this cell again."


@pytest.fixture
def some_mnist(monkeypatch):
    """Tensors that are taken for MNIST. Returns them, in the order of (train, test)."""
    parts = {part: SimpleNamespace(data=torch.randint(256, (n, 28, 28), dtype=torch.uint8),
                                   targets=torch.arange(n) % 10) for part, n in ((True, 30), (False, 20))}

    def torchvision_s(root, train, transform, download):
        assert isinstance(transform, ToTensor) and download and "~" not in Path(root).parts
        return parts[train]

    for part, mnist in parts.items():
        monkeypatch.setitem(NAMES["SHA256"], part, NAMES["hashlib"].sha256(
            mnist.data.numpy().tobytes() + mnist.targets.numpy().tobytes()).hexdigest())
    monkeypatch.setitem(NAMES, "MNIST", torchvision_s)
    return parts


def test_mnist_is_torchvision_s(some_mnist, tmp_path, capsys):
    assert load_mnist(tmp_path) is some_mnist[True]
    assert load_mnist(str(tmp_path), train=False) is some_mnist[False]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("part", [True, False], ids=["train", "test"])
@pytest.mark.parametrize("tensor", ["data", "targets"])
def test_another_tensor_is_refused(some_mnist, tmp_path, part, tensor):
    """One bit of one number is enough."""
    getattr(some_mnist[part], tensor).view(-1)[7] ^= 1
    with pytest.raises(ValueError) as refused:
        load_mnist(tmp_path, part)
    assert str(refused.value) == damaged(tmp_path)
    assert load_mnist(tmp_path, not part) is some_mnist[not part]


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


@pytest.mark.parametrize("errors, advice", [
    ([RuntimeError("Error downloading x.gz:\nTried https://example.org/x.gz, got:\nno route"),
      ConnectionResetError("reset"), TimeoutError("timed out")],
     "Check the connection"),
    ([PermissionError(13, "Permission denied"), OSError(28, "No space left on device"),
      FileExistsError(17, "File exists"), PermissionError(13, "Permission denied", "/home/downloads/MNIST"),
      MemoryError("no room")],
     "Make room, or choose another data_root,")])
def test_why_it_can_t_be_had(monkeypatch, tmp_path, errors, advice):
    for error in errors:
        monkeypatch.setitem(NAMES, "MNIST", mock.Mock(side_effect=error))
        with pytest.raises(RuntimeError) as raised:
            load_mnist(tmp_path)
        assert str(raised.value) == f"MNIST can't be had: {error}\n{advice} and run this again."
        assert raised.value.__suppress_context__, "torchvision's own error would stand above it"


def test_a_file_in_the_folder_s_place(tmp_path):
    (tmp_path / "MNIST").touch()
    with pytest.raises(RuntimeError, match="can't be had: .*Not a directory|cannot find") as raised:
        load_mnist(tmp_path)
    assert "Make room" in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\0\0\x08\3" + bytes(100), b"\0\0\x08\1" + bytes(100)])
@pytest.mark.parametrize("folder, names", [
    ("raw", [f"{part}-{kind}" for part in ("train", "t10k")
             for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]),
    ("processed", ["training.pt", "test.pt"])])
def test_files_that_torchvision_can_t_read(tmp_path, folder, names, content):
    """They break it in as many ways as there are: all are told as one."""
    (tmp_path / "MNIST" / folder).mkdir(parents=True)
    for name in names:
        (tmp_path / "MNIST" / folder / name).write_bytes(content)
    for part in (True, False):
        with pytest.raises(ValueError) as refused:
            load_mnist(tmp_path, part)
        assert str(refused.value) == damaged(tmp_path) and refused.value.__suppress_context__


@pytest.mark.mnist
@pytest.mark.parametrize("part, n", [(True, 60_000), (False, 10_000)])
def test_the_official_images_are_known(part, n, capsys):
    assert len(load_mnist(ROOT / "data", part)) == n and capsys.readouterr().out == ""


@pytest.mark.mnist
def test_old_tensors_beside_the_official_files_are_refused(tmp_path):
    """torchvision prefers what its earlier versions wrote, without a look at it."""
    (tmp_path / "MNIST" / "processed").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw").symlink_to(ROOT / "data" / "MNIST" / "raw", target_is_directory=True)
    old = MNIST(tmp_path, train=False)
    old.data[0, 14, 14] ^= 1
    for file in (MNIST.training_file, MNIST.test_file):
        torch.save((old.data, old.targets), tmp_path / "MNIST" / "processed" / file)
    for part in (True, False):
        with pytest.raises(ValueError, match="isn't MNIST"):
            load_mnist(tmp_path, part)


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


# A count below zero or over n can't be cut off; NaN can't be rounded.
@pytest.mark.parametrize("val_pct", [-0.1, 1.1, 20, math.nan])
def test_split_wants_a_fraction(val_pct):
    with pytest.raises((RuntimeError, ValueError)):
        split_indices(10, val_pct)


# BatchedMNIST, make_loader

def tiny_mnist(data, targets):
    """torchvision's MNIST with images of our own."""
    mnist = MNIST.__new__(MNIST)
    mnist.data, mnist.targets, mnist.transform, mnist.target_transform = data, targets, ToTensor(), None
    return mnist


N_TINY = 11
TINY = tiny_mnist((torch.arange(N_TINY * 12) * 7 % 256).byte().reshape(N_TINY, 3, 4), torch.arange(N_TINY))


@pytest.mark.parametrize("index", [0, 10, torch.tensor(3)])
def test_one_image_is_torchvision_s(index):
    image, label = BatchedMNIST(TINY)[index]
    expected, its_label = TINY[index]
    assert image.dtype == expected.dtype == torch.float64 and image.shape == (1, 3, 4)
    assert torch.equal(image, expected) and label == its_label and label.shape == ()


@pytest.mark.parametrize("indices", [[4, 0, 7], [2], [], torch.tensor([1, 1]), list(range(N_TINY))], ids=str)
def test_a_whole_batch_at_once(indices):
    dataset = BatchedMNIST(TINY)
    for images, labels in (dataset[indices], dataset.__getitems__(indices)):
        assert images.dtype == torch.float64 and images.shape == (len(indices), 1, 3, 4)
        assert all(torch.equal(image, TINY[i][0]) for image, i in zip(images, indices, strict=True))
        assert labels.tolist() == list(indices)
    assert len(dataset) == N_TINY


def test_the_data_is_held_once():
    batched = BatchedMNIST(TINY)
    assert batched.images.data_ptr() == TINY.data.data_ptr()
    assert batched.labels.data_ptr() == TINY.targets.data_ptr()


def passed(loader, seed=3):
    torch.manual_seed(seed)
    return list(loader)


def same_batches(batches, others):
    return len(batches) == len(others) and all(
        torch.equal(x, y) and x.dtype == y.dtype for batch, other in zip(batches, others)
        for x, y in zip(batch, other, strict=True))


def first_part(dataset):
    return random_split(dataset, [6, 5], torch.Generator().manual_seed(0))[0]


SAMPLERS = {   # of eleven images
    "sequential": SequentialSampler, "random": RandomSampler, "list": lambda data: [3, 1, 4, 1, 5, 9, 2],
    "range": lambda data: range(N_TINY), "with replacement": lambda data: RandomSampler(data, True, 30),
    "subset": lambda data: SubsetRandomSampler([8, 2, 4, 5, 9]),
    "weighted": lambda data: WeightedRandomSampler([1.0, 2.0] * 5 + [3.0], 25),
    "distributed": lambda data: DistributedSampler(data, num_replicas=2, rank=1)}
DATASETS = {   # (ours, plain)
    "Subset": [Subset(data, [9, 3, 5, 0, 7]) for data in (BatchedMNIST(TINY), TINY)],
    "random_split": [first_part(data) for data in (BatchedMNIST(TINY), TINY)],
    "ConcatDataset": [ConcatDataset([data, first_part(data)]) for data in (BatchedMNIST(TINY), TINY)],
    "TensorDataset": [TensorDataset(TINY.data, TINY.targets)] * 2, "MNIST": [TINY] * 2}


@pytest.mark.parametrize("ours, plain, sampler", [
    *(pytest.param(BatchedMNIST(TINY), TINY, sampler, id=name) for name, sampler in SAMPLERS.items()),
    *(pytest.param(*pair, RandomSampler, id=name) for name, pair in DATASETS.items())])
def test_batches_are_those_of_the_plain_loader(ours, plain, sampler):
    """From the same seed; the last one may be smaller."""
    loader, plain_loader = make_loader(ours, 4, sampler(ours)), DataLoader(plain, 4, sampler=sampler(plain))
    assert len(loader) == len(plain_loader) and len(sampler(plain)) % 4
    for seed in (3, 4):
        assert same_batches(passed(loader, seed), passed(plain_loader, seed))


def test_batches_may_come_from_a_batch_sampler():
    batches = [BatchSampler(RandomSampler(TINY), 4, drop_last=True) for _ in range(2)]
    ours = make_loader(BatchedMNIST(TINY), None, batches[0])
    assert same_batches(passed(ours), passed(DataLoader(TINY, batch_sampler=batches[1]))) and len(ours) == 2


@pytest.mark.parametrize("part, of_it", [
    (lambda data: data, range(10)), (lambda data: Subset(data, range(1, N_TINY)), range(1, 11)),
    (first_part, first_part(range(N_TINY)).indices),
    (lambda data: Subset(first_part(data), [5, 1]), [first_part(range(N_TINY)).indices[i] for i in (5, 1)])],
    ids=["all", "Subset", "random_split", "part of a part"])
def test_the_dataset_is_asked_for_whole_batches(part, of_it):
    """Once for each, and for nothing else."""
    asked = []

    class Asked(BatchedMNIST):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    assert len(list(make_loader(part(Asked(TINY)), 4, range(len(of_it))))) == len(asked)
    assert asked == [[*of_it[i:i + 4]] for i in range(0, len(of_it), 4)]


@pytest.mark.parametrize("sampler", [[], range(0), SubsetRandomSampler([]), SequentialSampler([])])
def test_an_empty_sampler_is_refused(sampler):
    with pytest.raises(ValueError, match="nothing to load"):
        make_loader(BatchedMNIST(TINY), 4, sampler)


def test_batches_differ_from_pass_to_pass():
    loader = make_loader(BatchedMNIST(TINY), 4, RandomSampler(TINY))
    assert not same_batches(list(loader), list(loader))


def test_the_dataset_pickles():
    again = pickle.loads(pickle.dumps(BatchedMNIST(TINY)))
    assert same_batches([again[[5, 2]]], [BatchedMNIST(TINY)[[5, 2]]])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")   # Python's warning of any fork
@pytest.mark.parametrize("start", sorted({"fork", "spawn"} & {*multiprocessing.get_all_start_methods()}))
def test_batches_from_a_worker_process(start):
    torch.set_default_dtype(torch.float32)   # what a new process has
    ours = make_loader(BatchedMNIST(TINY), 4, SubsetRandomSampler(range(N_TINY)))
    by_worker = DataLoader(ours.dataset, ours.batch_size, sampler=ours.sampler, collate_fn=ours.collate_fn,
                           num_workers=1, multiprocessing_context=start)
    assert same_batches(passed(by_worker), passed(ours))


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
    # As Apple's accelerator refuses, and Intel's: one makes no such numbers, the other can't use them.
    (True, aten.ones.default,
     TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework "
               "doesn't support float64. Please use float32 instead."), "cpu", "meta"),
    (True, aten.add.Tensor,
     RuntimeError("Required aspect fp64 is not supported on the device"), "cpu", "meta")],
    ids=["none", "64 bits", "Apple's", "Intel's"])
def test_default_device(monkeypatch, available, refused, error, in_64_bits, in_32_bits):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: available)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("meta"))
    with Refusing(refused, error):
        assert get_default_device() == torch.device(in_64_bits)
        torch.set_default_dtype(torch.float32)
        assert get_default_device() == torch.device(in_32_bits)


class Listed(list):
    """A list of a type of its own."""


nests = st.recursive(
    st.integers(0, 9).map(torch.tensor) | st.integers() | st.text(max_size=3) | st.none(),
    lambda inner: (st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
                   | st.lists(inner, max_size=3).map(Listed)
                   | st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=12)


def same_structure(before, after, device):
    """Whether types and keys are the same, tensors are on the device, and the rest is what it was."""
    if type(before) is not type(after):
        return False
    if isinstance(before, dict):
        return list(before) == list(after) and same_structure([*before.values()], [*after.values()], device)
    if isinstance(before, (list, tuple)):
        return len(before) == len(after) and all(same_structure(*pair, device) for pair in zip(before, after))
    if isinstance(before, torch.Tensor):
        return after.device.type == device and after.shape == before.shape
    return before is after


@given(nest=nests)
def test_to_device_keeps_any_structure(nest):
    # "meta" is a device that every machine has and that isn't the CPU.
    was = repr(nest)
    assert same_structure(nest, to_device(nest, "meta"), "meta")
    assert repr(nest) == repr(to_device(nest, CPU)) == was


@pytest.mark.parametrize("plain", ["text", b"bytes", 3, 2.5, None, True])
def test_to_device_leaves_the_rest_alone(plain):
    assert to_device(plain, "meta") is plain and to_device([plain], "meta") == [plain]


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
    outputs, labels = F.one_hot(answers, 10), torch.tensor(labels)
    assert accuracy(outputs, labels) == accuracy(outputs, labels[:, None]) == sum(flags) / len(flags)


def test_accuracy_of_many_labels_an_image():
    """Outputs [2, 3, 4], as of pictures of four pixels: of 8 labels, 5 are right."""
    labels = torch.tensor([[0, 1, 2, 0], [2, 2, 1, 0]])
    answers = torch.tensor([[0, 1, 2, 1], [2, 0, 1, 2]])
    assert accuracy(F.one_hot(answers, 3).mT, labels) == 5 / 8


@pytest.mark.parametrize("n, shape, error", [
    *((3, shape, RuntimeError) for shape in [(1,), (2,), (4,), (3, 10), ()]), (0, (0,), ZeroDivisionError)])
def test_accuracy_wants_a_label_for_each_output(n, shape, error):
    with pytest.raises(error):
        accuracy(torch.ones(n, 10), torch.zeros(shape, dtype=torch.long))


@pytest.mark.parametrize("shape, error", [((4, 1), AssertionError), ((4, 1, 2), AssertionError), ((4,), IndexError)])
def test_accuracy_wants_a_column_for_each_class(shape, error):
    """Of a single one, the highest is always the first: the share of zeros would pass for an accuracy."""
    with pytest.raises(error):
        accuracy(torch.rand(shape), torch.zeros(shape[:1] + shape[2:], dtype=torch.long))


# loss_batch

def one_weight(value=1.0):
    """A model of a single weight w: output w · x."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(value)
    return model


XB, YB = torch.tensor([[[1.], [2.]], [[3.], [4.]]], dtype=torch.float64)
# w = 1: errors -2 and -2, mean square 4; gradient = mean(2 · error · x) = (-4 - 8) / 2 = -6.
# w = 1.6: errors -1.4 and -0.8, mean square 1.3; gradient (-2.8 - 3.2) / 2 = -3.


def test_loss_batch_without_optimizer():
    model = one_weight()
    assert loss_batch(model, F.mse_loss, XB, YB) == (4.0, 2, None)
    assert model.weight.item() == 1.0 and model.weight.grad is None


@pytest.mark.parametrize("lr", [None, 0.1])
def test_loss_batch_returns_a_number(lr):
    """Not a tensor, which would keep the batch's whole calculation in memory."""
    model = one_weight()
    opt = None if lr is None else torch.optim.SGD(model.parameters(), lr)
    assert type(loss_batch(model, F.mse_loss, XB, YB, opt)[0]) is float


def test_loss_batch_with_metric():
    """The metric is that of the outputs before the step."""
    total = lambda outputs, labels: (outputs.sum() + 2 * labels.sum()).item()
    model = one_weight()
    for opt in (None, torch.optim.SGD(model.parameters(), lr=0.1)):
        assert loss_batch(model, F.mse_loss, XB, YB, opt, total) == (4.0, 2, 17.0)


def test_loss_batch_takes_one_step_at_a_time():
    """A gradient that is left over would give more."""
    model = one_weight()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    assert loss_batch(model, F.mse_loss, XB, YB, opt) == (4.0, 2, None)
    assert model.weight.item() == pytest.approx(1.6)
    assert loss_batch(model, F.mse_loss, XB, YB, opt)[0] == pytest.approx(1.3)
    assert model.weight.item() == pytest.approx(1.9)


# evaluate

class Unpacked(nn.Module):
    """one_weight(), of inputs that `unpack` takes out of what a batch holds."""

    def __init__(self, unpack):
        super().__init__()
        self.unpack, self.inner = unpack, one_weight()

    def forward(self, inputs):
        return self.inner(self.unpack(inputs))


@pytest.mark.parametrize("pack, unpack", [
    (lambda x: x, lambda x: x), (lambda x: (x, x, x, x), lambda x: x[0]),
    (lambda x: {"x": x}, lambda x: x["x"])],
    ids=["tensor", "tuple", "dict"])
def test_evaluate_weighs_a_smaller_last_batch(pack, unpack):
    """By its labels, whatever the inputs are."""
    batches = [(pack(XB), YB), (pack(torch.tensor([[5.]])), torch.tensor([[5.]]))]   # losses 4 and 0
    largest = lambda outputs, labels: outputs.max().item()                           # 2 and 5
    model = Unpacked(unpack)
    assert [loss_batch(model, F.mse_loss, *batch)[1] for batch in batches] == [2, 1]
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
    for metric in (None, accuracy):
        with pytest.raises(ValueError):
            evaluate(one_weight(), F.mse_loss, [], metric)


# fit

def test_fit_by_hand(capsys):
    """Two epochs of one batch each, as worked out above: w goes 1 → 1.6 → 1.9."""
    model = one_weight()
    losses, metrics = fit(
        2, 0.1, model, F.mse_loss, [(XB, YB)], [(torch.tensor([[1.]]), torch.tensor([[2.]]))],
        metric=lambda outputs, labels: outputs.item())
    assert model.weight.item() == pytest.approx(1.9)
    assert losses == pytest.approx([0.4 ** 2, 0.1 ** 2]) and metrics == pytest.approx([1.6, 1.9])
    assert capsys.readouterr().out.splitlines() == ["epoch 1 of 2: validation loss 0.1600, metric 1.6000",
                                                    "epoch 2 of 2: validation loss 0.0100, metric 1.9000"]


def test_fit_without_metric(capsys):
    losses, metrics = fit(3, 0.1, one_weight(), F.mse_loss, [(XB, YB)], [(XB, YB)])
    assert len(losses) == 3 and metrics == [None, None, None]
    assert capsys.readouterr().out.splitlines() == [f"epoch {i} of 3: validation loss {loss:.4f}"
                                                    for i, loss in enumerate(losses, start=1)]


def test_fit_reports_each_epoch_as_it_goes(capsys):
    """One line after each epoch, to whom it is told, and to nobody else."""
    model, seen = one_weight(), []
    fit(2, 0.1, model, F.mse_loss, [(XB, YB)], [(XB, YB)], lambda outputs, labels: 0.5,
        report=lambda line: seen.append((model.weight.item(), line)))
    assert [weight for weight, line in seen] == pytest.approx([1.6, 1.9])
    assert [line for weight, line in seen] == ["epoch 1 of 2: validation loss 1.3000, metric 0.5000",
                                               "epoch 2 of 2: validation loss 0.6250, metric 0.5000"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("opt_fn", [{}, {"opt_fn": None}, {"opt_fn": torch.optim.SGD}],
                         ids=["default", "None", "SGD"])
def test_fit_uses_sgd(opt_fn):
    """Two steps of plain SGD, worked out above."""
    model = one_weight()
    fit(2, 0.1, model, F.mse_loss, [(XB, YB)], [(XB, YB)], **opt_fn)
    assert model.weight.item() == pytest.approx(1.9)


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


def fitted(model, epochs, batches):
    fit(epochs, 0.1, model, F.cross_entropy, batches, batches, report=str)


def trained(model, epochs, batches):
    train(model, torch.optim.SGD(model.parameters()), epochs, batches, batches)


@pytest.mark.parametrize("trains", [fitted, trained])
def test_the_model_is_told_that_it_trains(trains):
    """Layers such as dropout behave differently in training. Before, the model may have been evaluated."""
    modes, model = [], nn.Sequential(nn.Flatten(), nn.Linear(3, 2)).eval()
    model.register_forward_pre_hook(lambda model, args: modes.append(model.training))
    trains(model, 2, two_classes(1))
    assert modes == [True, False, True, False]


def test_fit_of_no_epochs_does_nothing():
    model = one_weight()
    assert fit(0, 0.1, model, F.mse_loss, [(XB, YB)], [(XB, YB)]) == ([], [])
    assert model.weight.item() == 1.0


def test_fit_learns():
    torch.manual_seed(0)
    xb = torch.rand(100, 4)
    yb = (xb[:, 0] > xb[:, 1]).long()
    model = MnistModel(4, 8, 2)
    losses, metrics = fit(200, 0.5, model, F.cross_entropy, [(xb, yb)], [(xb, yb)], accuracy)
    assert losses[-1] < 0.2 < losses[0] and metrics[-1] > 0.95


# prepare_digit, draw_a_digit

def drawing(height, width, *strokes):
    """A field of zeros with rectangles of ones: (top, bottom, left, right)."""
    ink = torch.zeros(height, width, dtype=torch.float64)
    for top, bottom, left, right in strokes:
        ink[top:bottom, left:right] = 1
    return ink


def four(size=1, top=20, left=60, field=280):
    """A 4, of 40 × 28 pixels times `size`."""
    strokes = [(0, 24, 0, 5), (20, 24, 0, 28), (8, 40, 18, 23)]
    return drawing(field, field, *[(top + size * a, top + size * b, left + size * c, left + size * d)
                                   for a, b, c, d in strokes])


def centre_of_mass(image):
    """[row, column], where a pixel's centre is half a pixel from its edge."""
    return (image.nonzero() + 0.5).T @ image[image > 0] / image.sum()


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
    """Against an independent calculation, of random greys."""
    torch.manual_seed(height + width)
    greys = torch.randint(1, 17, (height, width)) / 16
    some = greys * (torch.rand(height, width) < 0.1)
    some[-1, 0] = 0.5   # never empty
    for ink in (greys, some):
        image = prepare_digit(ink.to(dtype))
        assert image.dtype == dtype and image.shape == (28, 28)
        assert torch.allclose(image.double(), prepared_slowly(ink), rtol=0, atol=rounding)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("ink", [
    drawing(280, 280, (140, 141, 30, 31)), drawing(280, 280, (0, 1, 279, 280)), torch.ones(280, 280),
    torch.ones(1, 1), torch.ones(3, 400), drawing(280, 280, (90, 190, 20, 60), (60, 220, 200, 280))],
    ids=["dot", "dot in a corner", "full field", "one pixel", "wide field", "two digits"])
def test_prepare_digit_takes_any_drawing(ink, dtype):
    image = prepare_digit(ink.to(dtype))
    assert image.shape == (28, 28) and image.dtype == dtype
    assert image.min() >= 0 and 0 < image.max() <= 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", [(280, 280), (1, 1), (7, 300)])
def test_prepare_digit_of_no_ink(shape, dtype):
    image = prepare_digit(torch.zeros(shape, dtype=dtype))
    assert image.shape == (28, 28) and image.dtype == dtype and not image.any()


@pytest.mark.parametrize("height, width", [(100, 40), (40, 100), (100, 100), (200, 10)])
def test_prepare_digit_makes_the_larger_side_20_pixels(height, width):
    """A bar keeps its proportions."""
    image = prepare_digit(drawing(280, 280, (60, 60 + height, 30, 30 + width)))
    scale = 20 / max(height, width)
    for axis, length in ((1, height), (0, width)):
        assert 0 <= image.amax(dim=axis).count_nonzero() - scale * length < 2
    assert image.sum().item() == pytest.approx(height * width * scale ** 2)


@pytest.mark.parametrize("ink", [
    four(), four(size=3), drawing(84, 84, (8, 14, 8, 22), (14, 50, 16, 22)),
    drawing(90, 40, (3, 88, 30, 39))], ids=["4", "large 4", "7", "1"])
def test_prepare_digit_puts_the_centre_of_mass_in_the_middle(ink):
    assert (centre_of_mass(ink) / torch.tensor(ink.shape) - 0.5).abs().max() > 0.1, "it is there already"
    assert (centre_of_mass(prepare_digit(ink)) - 14.5).abs().max() < 0.6


@pytest.mark.mnist
def test_prepare_digit_leaves_mnist_s_own_images_as_they_are():
    """As torchvision gives them, [1, 28, 28] from 0 to 1, and as it holds them, in bytes."""
    mnist = load_mnist(ROOT / "data")
    same = sum(torch.equal(prepare_digit(pixels), pixels / 255) for pixels in mnist.data[:1000])
    assert same >= 998 and torch.equal(prepare_digit(mnist[0][0]), mnist[0][0][0])


@pytest.mark.parametrize("shape", [(3, 28, 28), (2, 28, 28), (28,)])
def test_prepare_digit_takes_one_picture(shape):
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        prepare_digit(torch.ones(shape))


@pytest.mark.parametrize("ink", [255 * torch.ones(28, 28), -torch.ones(28, 28), torch.full((28, 28), math.nan)])
def test_prepare_digit_takes_ink_from_0_to_1(ink):
    with pytest.raises(AssertionError, match="from 0 to 1"):
        prepare_digit(ink)


def test_prepare_digit_does_not_care_where_it_was_drawn():
    image = prepare_digit(four())
    for top, left, field in [(0, 0, 280), (240, 252, 280), (0, 200, 280), (0, 0, 40), (500, 3, 600)]:
        assert torch.equal(prepare_digit(four(top=top, left=left, field=field)), image)


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest result of an operation has."""
    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


def test_prepare_digit_makes_nothing_large():
    """Large windows freed between small results that are kept fragment the memory, by hundreds of MB when
    the small digits are prepared."""
    ink = four(size=5)
    with Largest() as largest:
        prepare_digit(ink)
    assert largest.numbers <= 2 * ink.numel()


@pytest.mark.parametrize("size", [2, 3, 5])
def test_prepare_digit_hardly_cares_how_large_it_was_drawn(size):
    image, larger = prepare_digit(four()), prepare_digit(four(size=size))
    assert (larger - image).abs().mean() < 0.03 < image.mean()


@pytest.fixture
def shown(monkeypatch):
    """What is displayed from now on."""
    displayed = []
    monkeypatch.setitem(NAMES, "display", displayed.append)
    return displayed


@pytest.mark.parametrize("hidden_size", [1, 32, 256])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_page_gets_the_weights(shown, hidden_size, dtype):
    """Of the model in steps of 2⁻¹⁶, of the moments before in bytes; an entry of zeros is no trouble."""
    torch.set_default_dtype(dtype)
    torch.manual_seed(0)
    model, earlier = MnistModel(784, hidden_size, 10), MnistModel(784, hidden_size, 10)
    model.linear2.weight.data *= 100   # not only small ones
    earlier.linear1.bias.data.zero_()
    before = copy.deepcopy(model.state_dict())
    draw_a_digit(model, {2000: earlier.state_dict()})
    html, = shown
    assert type(html) is HTML and "@MOMENTS" not in html.data and "@STILL" not in html.data
    (then, rounded, units), (now, numbers, _) = moments_in(html.data)
    assert (then, now) == ("After 2,000 steps, rounded", "As it is now")
    assert [len(part) for part in numbers] == [784 * hidden_size, hidden_size, 10 * hidden_size, 10]
    for part, parameter in zip(numbers, model.parameters(), strict=True):
        assert (part - parameter.detach().flatten()).abs().max() <= 2 ** -17
    assert all(unit == float(f"{unit:.3g}") for unit in units)   # so that no last bit of a processor's reaches the page
    for part, parameter, unit in zip(rounded, earlier.parameters(), units, strict=True):
        exact = parameter.detach().flatten()
        assert (part - exact).abs().max() <= 0.501 * unit and unit <= max(exact.abs().max() / 125, 1)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.state_dict().items())


def test_a_training_that_failed_is_shown(shown):
    """Weights that are no numbers: zeros in the page, and the answers of such a model in the text."""
    model = MnistModel(784, 4, 10)
    for weight, bad in zip(model.linear1.weight.data, (math.nan, math.inf, -math.inf, 1e30)):
        weight.fill_(bad)
    draw_a_digit(model)
    html, = shown
    assert not moments_in(html.data)[-1][1][0][:784].any() and "nan % sure" in html.data


def test_the_still_picture_and_what_the_model_makes_of_it(shown, monkeypatch):
    """A small 7 from a corner, prepared and as it is; the page shows the first, and how both are read."""
    drawn, asked = [], []
    monkeypatch.setitem(NAMES, "prepare_digit", lambda ink: drawn.append(ink) or prepare_digit(ink))
    model = MnistModel(784, 4, 10)
    scores = torch.zeros(2, 10)
    scores[0, 3], scores[1, 8] = 5, 2   # e⁵ / (e⁵ + 9) = 0.94, e² / (e² + 9) = 0.45
    model.register_forward_hook(lambda model, given, outputs: asked.append(*given) or scores)
    draw_a_digit(model)
    (html,), (ink,), (images,) = shown, drawn, asked
    assert ink.shape == (84, 84) and ink.any() and not ink[60:].any() and not ink[:, 50:].any()
    assert len(images) == 2 and torch.equal(images[0].reshape(28, 28), prepare_digit(ink))
    assert torch.allclose(images[1].reshape(28, 28), ink.reshape(28, 3, 28, 3).mean(dim=(1, 3)))
    png, = re.findall(r'src="data:image/png;base64,([^"]*)"', html.data)
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(png)))
    assert picture.format == "PNG" and picture.size == (28, 28)
    greys = torch.tensor(np.asarray(picture.convert("L")), dtype=torch.float64)
    assert torch.allclose(greys / 255, prepare_digit(ink), rtol=0, atol=1.5 / 255)
    assert re.findall(r"as an? (\d),\s(\d+) % sure", html.data) == [("3", "94"), ("8", "45")]


# step_by_hand, drift

@pytest.mark.parametrize("n", [1, 5, 8])
@pytest.mark.parametrize("dtype, rounding", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_steps_by_hand_are_those_of_autograd(n, dtype, rounding):
    torch.set_default_dtype(dtype)
    torch.manual_seed(0)
    images, labels = torch.rand(n, 1, 3, 4), torch.randint(10, (n,))
    model = MnistModel(12, 5, 10)
    by_hand = [p.detach().clone() for p in model.parameters()]
    opt = torch.optim.SGD(model.parameters(), lr=0.5)
    for xb, yb in zip(images.split(3), labels.split(3)):
        loss_batch(model, F.cross_entropy, xb, yb, opt)
        step_by_hand(by_hand, xb, yb, 0.5)
    assert all(torch.allclose(p, q, rtol=0, atol=rounding) for p, q in zip(model.parameters(), by_hand))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_drift_is_that_of_models_trained_one_by_one(dtype):
    # Of 20 batches, every second is noted.
    batches = [(torch.rand(4, 6), torch.tensor([0, 1, 2, 3])) for _ in range(20)]
    start = MnistModel(6, 5, 10).to(dtype)
    before = copy.deepcopy(start.state_dict())
    history, models = drift(start, 3, batches, 0.3, epochs=2)
    for name, parameter in start.state_dict().items():
        assert torch.equal(parameter, before[name]) and parameter.dtype == dtype, "it changed what it copied"

    def path(nudged):
        """All weights of a model before every second batch; one weight is the next higher number."""
        model, rows = copy.deepcopy(start), []
        if nudged is not None:
            weight = model.linear2.weight.data[nudged]
            weight[0] = torch.nextafter(weight[0], torch.tensor(math.inf, dtype=dtype))
        opt = torch.optim.SGD(model.parameters(), lr=0.3)
        for i, (xb, yb) in enumerate(2 * batches):
            if i % 2 == 0:
                rows.append(nn.utils.parameters_to_vector(model.parameters()).detach().clone())
            loss_batch(model, F.cross_entropy, xb.to(dtype), yb, opt)
        return torch.stack([*rows, nn.utils.parameters_to_vector(model.parameters()).detach()])

    alone, rounding = path(None), torch.finfo(dtype).eps
    assert history.shape == (20, 3) and history.dtype == dtype
    for copied in range(3):
        assert torch.equal(history[:, copied], (path(copied) - alone)[:-1].abs().amax(dim=1))
    ends = [nn.utils.parameters_to_vector(model.parameters()) for model in models]
    assert all(torch.equal(end, path(nudged)[-1]) for end, nudged in zip(ends, [None, 0, 1, 2], strict=True))
    for copied in range(3):
        assert 0 < history[0, copied] < rounding


def test_drift_takes_two_epochs_of_any_length(monkeypatch):
    start, batch = MnistModel(6, 5, 10), (torch.rand(4, 6), torch.tensor([0, 1, 2, 3]))
    assert [len(drift(start, 1, [batch] * n, 0.1)[0]) for n in (1, 10, 30)] == [2, 20, 20]


# train, deep_model, trials, ShiftedMNIST

def two_classes(n_batches):
    """The same each time: which of the first two numbers is larger?"""
    images = torch.rand(n_batches, 5, 3, generator=torch.Generator().manual_seed(n_batches))
    return [(xb, (xb[:, 0] > xb[:, 1]).long()) for xb in images]


def test_train_is_fit_with_a_falling_rate(capsys):
    """Four epochs at 0.4, 0.28, 0.16 and 0.04: evenly down to a tenth."""
    batches, valid = two_classes(2), two_classes(3)
    model = MnistModel(3, 4, 2)
    same = copy.deepcopy(model)
    opt = torch.optim.SGD(model.parameters(), lr=0.4)
    values = train(model, opt, 4, batches, valid, end=0.1)
    assert capsys.readouterr().out == "" and opt.param_groups[0]["lr"] == pytest.approx(0.04)
    expected = [fit(1, rate, same, F.cross_entropy, batches, valid, accuracy, report=str)[1][0]
                for rate in (0.4, 0.28, 0.16, 0.04)]
    assert values == expected
    for parameter, its in zip(model.parameters(), same.parameters()):
        assert torch.allclose(parameter, its, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("error")
def test_train_for_one_epoch_keeps_the_rate():
    model, rates = MnistModel(3, 4, 2), []
    opt = torch.optim.SGD(model.parameters(), lr=0.2)
    opt.register_step_pre_hook(lambda opt, args, kwargs: rates.append(opt.param_groups[0]["lr"]))
    assert len(train(model, opt, 1, two_classes(2), two_classes(1), end=0.1)) == 1 and rates == [0.2] * 2


def test_train_keeps_the_rate_and_the_momentum():
    batches, rates = two_classes(2), []
    model = MnistModel(3, 4, 2)
    same = copy.deepcopy(model)
    opt, its = [torch.optim.SGD(one.parameters(), lr=0.2, momentum=0.9) for one in (model, same)]
    opt.register_step_pre_hook(lambda opt, args, kwargs: rates.append(opt.param_groups[0]["lr"]))
    assert len(train(model, opt, 3, batches, batches)) == 3 and rates == [0.2] * 6
    for xb, yb in 3 * batches:
        loss_batch(same, F.cross_entropy, xb, yb, its)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), same.parameters()))


def test_deep_model_by_hand():
    model = deep_model([1, 1, 1, 1])
    assert len(list(model.parameters())) == 6
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    for layer, (weight, bias) in zip(linear, [(2.0, -1.0), (-1.0, 4.0), (3.0, -20.0)], strict=True):
        layer.weight.data.fill_(weight)
        layer.bias.data.fill_(bias)
    # 1: relu(2 - 1) = 1, relu(4 - 1) = 3, 9 - 20 = -11: no ReLU at the end.
    # 3: 5, relu(-1) = 0, -20. 0: 0, 4, -8.
    assert model(torch.tensor([[[1.0]], [[3.0]], [[0.0]]])).tolist() == [[-11.0], [-20.0], [-8.0]]


@pytest.mark.parametrize("sizes, n_parameters", [
    ([784, 10], 7850), ([784, 32, 10], 25_450), ([784, 32, 32, 10], 26_506)])
def test_deep_model_has_the_sizes_it_is_given(sizes, n_parameters):
    model = deep_model(sizes)
    assert sum(p.numel() for p in model.parameters()) == n_parameters
    assert model(torch.rand(3, 1, 28, 28)).shape == (3, 10)


def test_deep_model_of_one_hidden_layer_is_ours():
    torch.manual_seed(5)
    ours = MnistModel(6, 4, 3)
    torch.manual_seed(5)
    model, xb = deep_model([6, 4, 3]), torch.rand(2, 1, 2, 3)
    assert torch.equal(model(xb), ours(xb))


def test_trials_train_once_from_each_seed():
    """Weights and batches are those that the seed gives, whatever came before it."""
    images, labels = map(torch.cat, zip(*two_classes(4)))
    train_dl = DeviceDataLoader(DataLoader(TensorDataset(images, labels), 3, shuffle=True), CPU)
    valid = two_classes(30)
    scores = trials([3, 4, 2], [7, 8, 7], 3, train_dl, valid, 0.5, momentum=0.5, end=0.1)
    expected = []
    for seed in (7, 8, 7):
        torch.manual_seed(seed)
        model = deep_model([3, 4, 2])
        opt = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.5)
        expected.append(train(model, opt, 3, train_dl, valid, end=0.1))
    assert scores.tolist() == expected and expected[0] == expected[2] != expected[1]


def test_trials_keep_the_rate_without_momentum_and_train_on_the_loader_s_device(monkeypatch):
    seen = []

    def train(model, opt, epochs, train_dl, valid_dl, end):
        group, = opt.param_groups
        seen.append((epochs, train_dl.device, valid_dl, end, group["lr"], group["momentum"]))
        for parameters in (model.parameters(), group["params"]):
            assert {p.device.type for p in parameters} == {"meta"}
        return [0.5] * epochs

    monkeypatch.setitem(NAMES, "train", train)
    assert trials([3, 2], [1], 2, DeviceDataLoader([], "meta"), "valid", 0.3).tolist() == [[0.5, 0.5]]
    assert seen == [(2, "meta", "valid", 1, 0.3, 0)]


DOTS = torch.zeros(4, 28, 28, dtype=torch.uint8)   # one pixel of 255 in each image, in another place
for number, place in enumerate([(5, 7), (10, 3), (20, 20), (1, 26)]):
    DOTS[number][place] = 255


def shift_of(image, number):
    """How far the dot has moved, or None if the image isn't one dot of 1."""
    (row, column), = image[0].nonzero().tolist()
    was_row, was_column = DOTS[number].nonzero()[0].tolist()
    return (row - was_row, column - was_column) if image[0, row, column] == 1 else None


def test_shifted_images():
    """Each batch as a whole, by up to one pixel, anew each time; labels and order stay."""
    shifted = ShiftedMNIST(tiny_mnist(DOTS, torch.arange(4)))
    loader = make_loader(shifted, 4, [2, 0, 3, 1])
    torch.manual_seed(0)
    seen = []
    for _ in range(200):
        (images, labels), = loader
        assert images.shape == (4, 1, 28, 28) and images.dtype == torch.float64
        assert labels.tolist() == [2, 0, 3, 1]
        shift, = {shift_of(image, label) for image, label in zip(images, labels.tolist())}
        seen.append(shift)
    counts = collections.Counter(seen)
    assert set(counts) == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)} and max(counts.values()) < 50
    assert all(DOTS[number].sum() == 255 for number in range(4)), "it moved the images that it was given"
    image, label = shifted[3]
    assert image.shape == (1, 28, 28) and label == 3 and shift_of(image, 3) in counts


def test_what_leaves_on_one_side_comes_back_on_the_other():
    corner = torch.zeros(1, 28, 28, dtype=torch.uint8)
    corner[0, 0, 0] = 255
    shifted = ShiftedMNIST(tiny_mnist(corner, torch.zeros(1)))
    places = {tuple(shifted[[0]][0][0, 0].nonzero()[0].tolist()) for _ in range(200)}
    assert places == {(i, j) for i in (27, 0, 1) for j in (27, 0, 1)}
