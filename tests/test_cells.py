"""Cells that define nothing: what they check, time or protect, which the notebook's run can't show."""

import copy
import math
import pickle
import re
from types import SimpleNamespace
from unittest import mock

import matplotlib
import papermill
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import SubsetRandomSampler, TensorDataset

from notebook_file import NOTEBOOK
from notebook_names import BatchedMNIST, MnistModel, loss_batch, make_loader

# NumPy's about PyTorch's tensors, which a kernel doesn't show.
pytestmark = [pytest.mark.usefixtures("notebook_precision"), pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword")]
CPU, META = torch.device("cpu"), torch.device("meta")
assert_close = torch.testing.assert_close


def few_images():
    """What earlier cells make, of twenty random images: the last five are to validate with."""
    torch.manual_seed(0)
    data = torch.randint(256, (20, 28, 28), dtype=torch.uint8)
    mnist = TensorDataset(data.unsqueeze(1) / 255, torch.arange(20) % 10)
    mnist.data, mnist.targets = data, mnist.tensors[1]
    dataset, train, val = BatchedMNIST(mnist), list(range(15)), list(range(19, 14, -1))
    xb, yb = dataset[train]
    return dict(dataset=mnist, batched_dataset=dataset, train_indices=train, val_indices=val, xb=xb, yb=yb,
                batch_size=4, train_sampler=SubsetRandomSampler(train), valid_dl=make_loader(dataset, 4, val),
                model=MnistModel(784, 32, 10), device=CPU)


WHOLE, ABOVE = "a whole number, 1 or more", "a number above 0"
BITS, SEED, FOLDER = "32 or 64", "from 0 to 2**32 - 1", "a folder's name in quotes"


@pytest.mark.parametrize("name, value, wanted", [
    ("hidden_size", 0, WHOLE), ("batch_size", -1, WHOLE), ("epochs", True, WHOLE),
    ("fine_epochs", 2.5, WHOLE), ("fine_lr", "small", ABOVE), ("data_root", 1, FOLDER),
    ("lr", 0, ABOVE), ("lr", math.nan, ABOVE), ("lr", math.inf, ABOVE),
    ("bits", 16, BITS), ("bits", 64.0, BITS), ("bits", "32", BITS),
    ("seed", -1, SEED), ("seed", 2 ** 32, SEED), ("seed", 1.0, SEED)])
def test_nonsense_is_named_at_once(after, tmp_path, name, value, wanted):
    torch.set_default_dtype(torch.float16)
    with pytest.raises(ValueError) as error:
        after("set-up", **{name: value})
    assert str(error.value) == f"{name} must be {wanted}, not {value!r}."
    assert torch.get_default_dtype() == torch.float16 and not any(tmp_path.iterdir()), "it went on"


def test_papermill_finds_the_settings():
    """README sweeps over two of them."""
    assert {"hidden_size", "seed"} <= {*papermill.inspect_notebook(NOTEBOOK)}


@pytest.mark.parametrize("settings", [{}, {"bits": 32, "seed": 0}, {
    "seed": 2 ** 32 - 1, "batch_size": 1, "hidden_size": 1, "epochs": 1, "fine_epochs": 1, "fine_lr": 1e-9}])
def test_what_makes_sense_is_set_up(after, tmp_path, settings):
    """Whatever style and threads the reader had. Each run has a new folder for its weights."""
    matplotlib.rcParams["lines.linewidth"] = 9
    torch.set_num_threads(2)
    files = [after("set-up", **settings)["weights_file"] for _ in range(2)]
    assert torch.get_default_dtype() == (torch.float32 if "bits" in settings else torch.float64)
    assert torch.get_num_threads() == 1
    assert matplotlib.rcParams["lines.linewidth"] == 1.5 and matplotlib.rcParams["figure.dpi"] == 80
    assert {file.parent for file in files} == set(tmp_path.iterdir()) and files[0] != files[1]


def test_the_fast_loaders_are_timed(after, capsys):
    """Of the plain one a tenth of a pass, of the fast one all."""
    timeit = mock.Mock(**{"timeit.side_effect": [10.0, 5.0]})
    scope = after("plain-loaders", "fast-loaders", **few_images() | {"timeit": timeit})
    plain, fast = [call.kwargs["globals"]["dl"] for call in timeit.timeit.call_args_list]
    assert plain.dataset is scope["dataset"] and len(plain.sampler) == 1 and plain.batch_size == 4
    assert fast is scope["train_dl"] and fast.dataset is scope["batched_dataset"]
    assert "one pass: 100.0 s, and in whole batches 5.00 s, 20× faster" in capsys.readouterr().out


def test_what_each_way_does_is_timed(after):
    """Each does its own work on every batch. The best of three times is kept."""
    class Weights(torch.Tensor):
        def cpu(self):   # on a GPU, this waits for the result
            waited.append(self)

    def repeat(loop, number, repeat):
        assert (number, repeat) == (1, 3)
        timed.append(loop.__name__)
        return [9, len(timed), 8]

    weights, timed, waited = [torch.rand(4, 784).as_subclass(Weights)], [], []
    step, by_hand, train_dl = mock.Mock(), mock.Mock(), mock.MagicMock()
    train_dl.__iter__.side_effect = lambda: iter([(1, 2), (3, 4)])
    scope = after(
        "compare-times", **few_images() | {"train_indices": [6, 2, 3, 0, 5]}, lr=0.3, train_dl=train_dl,
        weights_by_hand=weights, timeit=SimpleNamespace(repeat=repeat), loss_batch=step, step_by_hand=by_hand)
    assert timed == ["loading", "fitting", "by_hand", "two_products"]
    assert [*scope["loop_seconds"].values()] == [1, 2, 3, 4]
    scope["loading"]()
    assert train_dl.__iter__.call_count == 1 and not step.called
    scope["fitting"]()
    model, opt = scope["timed_model"], scope["opt"]
    assert model is not scope["model"] and opt.param_groups[0]["params"] == [*model.parameters()]
    assert step.mock_calls == [mock.call(model, F.cross_entropy, *batch, opt) for batch in [(1, 2), (3, 4)]]
    scope["by_hand"]()
    assert waited == weights and by_hand.call_args.args[0] is weights
    parts = [scope["batched_dataset"][part] for part in ([6, 2, 3, 0], [5])]
    calls = [call.args[1:] for call in by_hand.call_args_list]
    assert_close(calls, [(x.flatten(1), y, 0.3) for x, y in parts])
    scope["two_products"]()
    assert_close(waited[1:], [(weights[0] @ scope["x"].T @ scope["x"]).sum()])


def test_steps_are_timed_on_the_cpu_and_on_the_accelerator(after):
    """The best of nine 32-bit steps of a model of each width, of 100 images whatever the batch."""
    step, asked, widths = mock.Mock(), [], [32, 128, 512, 2048, 8192]

    def repeat(call, number, repeat):
        call()
        model, _, xb, yb, opt = step.call_args.args
        tensors = xb, *model.parameters(), *opt.param_groups[0]["params"]
        assert {(t.dtype, t.device) for t in tensors} == {(torch.float32, yb.device)}
        assert (number, repeat, len(xb), len(yb)) == (1, 9, 100, 100)
        asked.append((xb.device, len(model.linear1.weight)))
        return [9e9, asked[-1][1] / 1000, 9e9]   # a millisecond a unit

    scope = after("steps", timeit=SimpleNamespace(repeat=repeat), loss_batch=step, device=META,
                  xb=torch.rand(150, 1, 28, 28), yb=torch.randint(10, (150,)))
    assert scope["step_ms"] == {"CPU, one core": pytest.approx(widths), "GPU": pytest.approx(widths)}
    assert asked == [(place, width) for place in (CPU, META) for width in widths]


def test_only_training_the_model_itself_is_kept(after):
    """No copy of it and no evaluation is a step. Once the accuracies are drawn, none is kept."""
    scope = after("set-up", "keep-weights", **few_images(), train_dl=range(3), epochs=1, fine_epochs=1)
    model, kept, xb, before = scope["model"], scope["kept"], scope["xb"], []
    copied, opt = copy.deepcopy(model).train(), torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(9):
        for inactive in (copied, model.eval()):
            inactive(xb)
        before.append(copy.deepcopy(model.state_dict()))
        loss_batch(model.train(), F.cross_entropy, xb, scope["yb"], opt)
    assert list(kept) == [step for step in range(6) if step in scope["film_steps"] or step % 3 == 0]
    assert_close([*kept.values()], [before[step] for step in kept])
    after("accuracy-curves", **scope, start_accuracy=0, metrics=[0], fine_metrics=[0], linear_metrics=[0, 0])
    assert not model._forward_pre_hooks


def test_gradients_are_shown_on_a_copy_and_answers_need_none(after):
    """And where the model may have been training, it is told that it isn't now."""
    scope = after("logits", "zero-grad", "predict", **few_images())
    assert all(parameter.grad is None for parameter in scope["model"].parameters())
    assert not scope["outputs"].requires_grad and not scope["valid_outputs"].requires_grad
    assert not scope["model"].training


def test_both_drifts_start_from_the_same_weights(after, capsys):
    """In 32 bits, and those in 64. What each copy reads otherwise is counted."""
    seen = []

    def drift(start, n_copies, train_dl, lr):
        weights = nn.utils.parameters_to_vector(start.parameters()).detach()
        seen.append((weights.dtype, n_copies, weights.tolist(), len(train_dl.sampler), lr))
        others = [copy.deepcopy(start) for _ in range(n_copies)]
        others[0].linear2.bias.data[0] = 1e6   # it answers 0 to everything
        return torch.full((20, n_copies), 1e-8), [start, *others]

    scope = after("set-up", "drift-picture", **few_images(), drift=drift, lr=0.3)
    assert [call[:2] for call in seen] == [(torch.float32, 4), (torch.float64, 1)]
    assert seen[0][2:] == seen[1][2:] and seen[0][3:] == (15, 0.3)
    assert scope["epochs_so_far"].tolist() == pytest.approx([i / 10 for i in range(20)])
    assert re.fullmatch(r"32 bits: .* copy \[[1-5], 0, 0, 0\]\n64 bits: .* copy \[[1-5]\]\n",
                        capsys.readouterr().out)


def test_a_file_that_could_do_harm_is_not_loaded(after, tmp_path, monkeypatch):
    """It names a function. Where the cell doesn't say, torch before 2.6 would call it."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save(print, tmp_path / "weights.pth")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        after("load", device=CPU, weights_file=tmp_path / "weights.pth")


def test_weights_saved_on_a_gpu_are_loaded_without_one(after):
    with mock.patch("torch.serialization.location_tag", lambda storage: "cuda:0"):
        names = after("set-up", "save", **few_images())
    assert_close(after("load", **names)["reloaded"].state_dict(), names["model"].state_dict())
