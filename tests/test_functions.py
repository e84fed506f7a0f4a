"""The notebook's functions, taken out of it: numbers worked out by hand, and what its own run can't show."""

import copy
import hashlib
import math
import os
import re
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import ConcatDataset, DataLoader, RandomSampler, Subset, TensorDataset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from handwriting import moments_in
from notebook_names import (
    NAMES, BatchedMNIST, DeviceDataLoader, MnistModel, accuracy, draw_a_digit, drift, evaluate, fit,
    get_default_device, load_mnist, loss_batch, make_loader, prepare_digit, split_indices, to_device, train,
    trials)
from proxy import behind

pytestmark = pytest.mark.usefixtures("notebook_precision")
CPU, META = torch.device("cpu"), torch.device("meta")   # every machine has both
assert_close = torch.testing.assert_close


@pytest.fixture
def some_mnist(monkeypatch):
    """What is taken for MNIST: {True: to train with, False: to test with}."""
    parts = {part: SimpleNamespace(data=torch.randint(256, (n, 28, 28), dtype=torch.uint8),
                                   targets=torch.arange(n) % 10) for part, n in ((True, 30), (False, 20))}
    for part, mnist in parts.items():
        numbers = mnist.data.numpy().tobytes() + mnist.targets.numpy().tobytes()
        monkeypatch.setitem(NAMES["SHA256"], part, hashlib.sha256(numbers).hexdigest())
    monkeypatch.setitem(NAMES, "MNIST", lambda root, train, transform, download: parts[train])
    return parts


def assert_refused(root, part):
    sentence = f"What is in {root / 'MNIST'} isn't MNIST. Delete that folder and run this cell again."
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$") as refused:
        load_mnist(root, part)
    assert refused.value.__suppress_context__ or not refused.value.__context__, "torchvision's stands above"


@pytest.mark.parametrize("part", [True, False], ids=["train", "test"])
@pytest.mark.parametrize("tensor", ["data", "targets"])
def test_another_tensor_is_refused(some_mnist, tmp_path, part, tensor):
    """One bit of one number is enough."""
    getattr(some_mnist[part], tensor).view(-1)[7] ^= 1
    assert_refused(tmp_path, part)
    assert load_mnist(str(tmp_path), not part) is some_mnist[not part]


@pytest.mark.parametrize("content", [b"", b"<html>", b"\0\0\x08\3" + bytes(100), b"\0\0\x08\1" + bytes(100)])
def test_files_that_torchvision_can_t_read(tmp_path, content):
    """They break it in as many ways as there are: all are told as one."""
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / "MNIST" / "raw" / f"{name}-ubyte").write_bytes(content)
    assert_refused(tmp_path, True)


def test_the_stand_in_is_said_and_taken(some_mnist, tmp_path, monkeypatch, capsys):
    """In the home folder, too, which torchvision finds by its sign."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "STAND-IN.txt").touch()
    some_mnist[True].data[0] = 0
    assert load_mnist("~") is some_mnist[True]
    assert capsys.readouterr().out.startswith("These are NOT the MNIST digits but a stand-in: ")


@pytest.mark.parametrize("advice, error", [
    ("Check the connection", RuntimeError("Error downloading x.gz:\nTried https://example.org/x.gz, got")),
    ("Check the connection", ConnectionResetError("reset")), ("Check the connection", TimeoutError("late")),
    ("Make room, or choose another data_root,", OSError(28, "No space left on device")),
    ("Make room, or choose another data_root,", MemoryError("no room"))])
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
    assert str(raised.value).endswith("\nCheck the connection and run this again.")


@pytest.mark.parametrize("n, share, n_val", [(10, 0.2, 2), (11, 0.25, 3), (0, 0.5, 0), (5, 0, 0), (5, 1, 5)])
def test_split_is_disjoint_and_complete(n, share, n_val):
    train, val = split_indices(n, share)
    assert len(val) == n_val and sorted(train + val) == list(range(n))
    with pytest.raises(RuntimeError):
        split_indices(10, 20)   # not in percent


TINY = MNIST.__new__(MNIST)   # torchvision's, with images of our own
TINY.data, TINY.targets = (torch.arange(11 * 12) * 7 % 256).byte().reshape(11, 3, 4), torch.arange(11)
TINY.transform, TINY.target_transform = ToTensor(), None
OURS = BatchedMNIST(TINY)


def test_one_image_and_none():
    assert_close(OURS[3], (TINY[3][0], torch.tensor(3)))
    assert_close(OURS[[]], (torch.ones(0, 1, 3, 4), torch.ones(0, dtype=torch.long)))
    assert OURS.images.data_ptr() == TINY.data.data_ptr(), "the data is held twice"


@pytest.mark.parametrize("part", [
    lambda data: data, lambda data: Subset(data, [9, 3, 5, 0, 7]), lambda data: ConcatDataset([data, data]),
    lambda data: TensorDataset(TINY.data, TINY.targets), lambda data: TINY])
@pytest.mark.parametrize("sampler", [RandomSampler, lambda data: [3, 1, 4, 1, 0]])
def test_batches_are_those_of_the_plain_loader(part, sampler):
    """From the same seed; the last one may be smaller."""
    passes, ours, plain = [], part(OURS), part(TINY)
    for loader in (make_loader(ours, 4, sampler(ours)), DataLoader(plain, 4, sampler=sampler(plain))):
        torch.manual_seed(3)
        passes.append(list(loader))
    assert_close(*passes)


def test_a_loader_asks_for_whole_batches(monkeypatch):
    asked = []
    monkeypatch.setattr(BatchedMNIST, "__getitem__", lambda dataset, index: asked.append(index))
    list(make_loader(OURS, 4, range(10)))
    list(make_loader(Subset(OURS, [9, 3, 5]), 4, [2, 0]))
    assert asked == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [5, 9]]
    with pytest.raises(ValueError, match="nothing to load"):
        make_loader(OURS, 4, [])


def with_values(model, *values):
    for parameter, value in zip(model.parameters(), values, strict=True):
        parameter.data = torch.tensor(value, dtype=torch.float64)
    return model


def test_model_by_hand():
    model = with_values(MnistModel(2, 2, 1), [[1., 0.], [0., 1.]], [0., -1.], [[1., 2.]], [-0.5])
    # hidden = relu([x0, x1 - 1]), output = hidden0 + 2 hidden1 - 0.5
    images = torch.tensor([[[[3., 4.]]], [[[-3., 4.]]], [[[-3., 0.]]]])
    assert model(images).tolist() == [[8.5], [5.5], [-0.5]]


# As Apple's accelerator refuses, and Intel's: one makes no such numbers, the other can't use them.
@pytest.mark.parametrize("of_ones, of_sum, expected", [
    (None, None, META), (TypeError("Cannot convert a MPS Tensor to float64"), None, CPU),
    (None, RuntimeError("Required aspect fp64 is not supported"), CPU)])
def test_default_device(monkeypatch, of_ones, of_sum, expected):
    ones = mock.MagicMock(side_effect=of_ones)
    ones.return_value.__add__.side_effect = of_sum
    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: META)
    assert get_default_device() == expected
    ones.assert_called_once_with(1, device=META)


def test_to_device_keeps_any_structure():
    """Tensors and modules move, everything else is what it was. A loader's batches move when it is asked."""
    def nest(one):
        return {"a": [one, (one, "text", ())], 5: ({"c": [2.5, None, {}]}, True), "d": [one]}

    module, endless = nn.Linear(2, 3), iter(lambda: nest(torch.ones(2)), None)
    assert to_device([module], META) == [module] and module.weight.device == META
    assert str(next(iter(DeviceDataLoader(endless, META)))) == str(nest(torch.ones(2, device=META)))


SCORES = torch.tensor([[2., 0.1, 0.3], [0.2, 0.1, 0.9], [0.5, 0.4, 0.3], [-1., -2., -3.]])   # 0, 2, 0, 0
PICTURES = F.one_hot(torch.tensor([[0, 1, 2, 1], [2, 0, 1, 2]]), 3).mT                       # of four pixels


@pytest.mark.parametrize("outputs, labels, expected", [
    (SCORES, [0, 2, 1, 0], 0.75), (SCORES, [[0], [2], [1], [0]], 0.75), (SCORES, [1, 1, 1, 1], 0.0),
    (PICTURES, [[0, 1, 2, 0], [2, 2, 1, 0]], 5 / 8)])
def test_accuracy_by_hand(outputs, labels, expected):
    assert accuracy(outputs, torch.tensor(labels)) == expected


def test_accuracy_wants_a_column_for_each_class_and_a_label_for_each_output():
    with pytest.raises(RuntimeError):
        accuracy(SCORES, torch.tensor([0]))
    with pytest.raises(AssertionError):   # the highest of one is always the first: that would be right
        accuracy(SCORES[:, :1], torch.tensor([0, 0, 0, 0]))


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


@pytest.mark.parametrize("training", [True, False])
def test_evaluate_by_hand(training):
    """A smaller batch weighs less, by its labels. The model stays as it was, and needs no gradients."""
    def before(model, args):
        seen.append((torch.is_grad_enabled(), model.training))
        return args[0][0]

    model, seen = one_weight().train(training), []
    model.register_forward_pre_hook(before)
    batches = [((XB, None, None), YB), ((torch.tensor([[5.]]), None, None), torch.tensor([[5.]]))]
    largest = lambda outputs, labels: outputs.max().item()   # 2 and 5; the losses are 4 and 0
    assert evaluate(model, F.mse_loss, batches, largest) == (pytest.approx(8 / 3), 3, pytest.approx(3.0))
    assert evaluate(model, F.mse_loss, batches) == (pytest.approx(8 / 3), 3, None)
    assert seen == [(False, False)] * 4 and torch.is_grad_enabled() and model.training is training
    assert model.weight.item() == 1.0 and model.weight.grad is None
    with pytest.raises(ValueError):
        evaluate(model, F.mse_loss, [])


@pytest.mark.parametrize("opt_fn, weights", [
    (None, [1.6, 1.9]), (lambda parameters, lr: torch.optim.SGD(parameters, lr=2 * lr), [2.2, 2.2])])
def test_fit_by_hand(capsys, opt_fn, weights):
    """Steps of plain SGD, worked out above, or of another optimizer. Each epoch is reported as it goes."""
    model, seen, modes = one_weight().eval(), [], []
    model.register_forward_pre_hook(lambda model, args: modes.append(model.training))
    metric = lambda outputs, labels: outputs.item()
    losses, metrics = fit(2, 0.1, model, F.mse_loss, [(XB, YB)], VALID, metric, opt_fn,
                          report=lambda line: seen.append((line, pytest.approx(model.weight.item()))))
    assert losses == pytest.approx([(w - 2) ** 2 for w in weights]) and metrics == pytest.approx(weights)
    assert capsys.readouterr().out == "" and seen == [
        (f"epoch {epoch} of 2: validation loss {(w - 2) ** 2:.4f}, metric {w:.4f}", w)
        for epoch, w in enumerate(weights, start=1)]
    assert modes == [True, False, True, False], "layers such as dropout must know"
    assert fit(1, 0.1, one_weight(), F.mse_loss, [(XB, YB)], VALID) == ([pytest.approx(0.16)], [None])


def test_train_tells_the_model_that_it_trains():
    model, modes, batches = nn.Linear(3, 2).eval(), [], [(torch.rand(5, 3), torch.arange(5) % 2)]
    model.register_forward_pre_hook(lambda model, args: modes.append(model.training))
    train(model, torch.optim.SGD(model.parameters()), 2, batches, batches)
    assert modes == [True, False, True, False]


def test_trials_train_on_the_loader_s_device(monkeypatch):
    train, loader = mock.Mock(return_value=[0.5, 0.5]), DeviceDataLoader([], META)
    monkeypatch.setitem(NAMES, "train", train)
    assert trials([3, 2], [1], 2, loader, "valid", 0.3).tolist() == [[0.5, 0.5]]
    assert {parameter.device for parameter in train.call_args.args[0].parameters()} == {META}


@pytest.mark.parametrize("n_batches, every", [(20, 2), (3, 1)])
def test_drift_is_that_of_models_trained_one_by_one(n_batches, every):
    batches = [(torch.rand(4, 6), torch.arange(4)) for _ in range(n_batches)]
    flat = lambda model: nn.utils.parameters_to_vector(model.parameters()).detach()
    start, paths = MnistModel(6, 5, 10).float(), []
    before = flat(start)
    history, models = drift(start, 2, batches, 0.3)
    assert torch.equal(flat(start), before), "only copies are trained"
    for i, trained in enumerate(models):
        model, path = copy.deepcopy(start), []
        if i > 0:   # one weight is the next higher number
            weight = model.linear2.weight.data[i - 1, :1]
            weight.copy_(torch.nextafter(weight, weight + 1))
        opt = torch.optim.SGD(model.parameters(), lr=0.3)
        for xb, yb in 2 * batches:
            path.append(flat(model))
            loss_batch(model, F.cross_entropy, xb.float(), yb, opt)
        assert torch.equal(flat(model), flat(trained))
        paths.append(torch.stack(path[::every]))
    distances = [(path - paths[0]).abs().amax(dim=1) for path in paths[1:]]
    assert torch.equal(history, torch.stack(distances, dim=1)) and history[0].min() > 0


def test_prepare_digit_by_hand():
    """A stroke 40 high and 2 wide, its lower half pale, in a large field; and the same one lying."""
    ink, image = torch.zeros(60, 90, dtype=torch.uint8), torch.zeros(28, 28)
    ink[10:30, 20:22], ink[30:50, 20:22] = torch.tensor([[200, 100], [100, 50]]).byte().unsqueeze(1)
    # Of 56 × 56 pixels, each 2 × 2 become one. The middle of the ink, 26 2/3 down and 20 5/6 across, gets to
    # 14.5, that is 29 of these pixels, and from there to whole ones: 28 2/3 and 28 5/6.
    image[6:16, 14], image[16:26, 14] = 150 / 255, 75 / 255
    assert_close(prepare_digit(ink), image)
    assert_close(prepare_digit(ink.T[None] / 255), image.T)
    assert_close(prepare_digit(torch.zeros(5, 4)), torch.zeros(28, 28))
    for wrong in (ink.float(), -image, image * math.nan, image.expand(3, 28, 28)):
        with pytest.raises((AssertionError, RuntimeError)):
            prepare_digit(wrong)


def test_prepare_digit_makes_nothing_large():
    """Large windows between small results that are kept would fragment the memory."""
    ink = F.pad(torch.ones(200, 20), (100, 160, 20, 60))
    with mock.patch.object(F, "pad", wraps=F.pad) as pad:
        prepare_digit(ink)
    assert F.pad(*pad.call_args.args).shape == (280, 280)


def test_the_page_gets_the_weights(monkeypatch):
    """Also after a training that failed: zeros for what is no number."""
    model, display = MnistModel(784, 2, 10).float(), mock.Mock()   # of another dtype than the default
    model.linear1.weight.data[0] = math.nan
    model.linear1.bias.data.zero_()
    before = copy.deepcopy(model.state_dict())
    monkeypatch.setitem(NAMES, "display", display)
    draw_a_digit(model, {2000: before})
    for (_, numbers, _), rounding in zip(moments_in(display.call_args.args[0].data), (0.003, 2 ** -17)):
        for part, exact in zip(numbers, before.values(), strict=True):
            assert_close(part.double(), exact.double().flatten().nan_to_num(), rtol=0, atol=rounding)
    assert_close(model.state_dict(), before, equal_nan=True)
