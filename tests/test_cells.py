"""Cells that define nothing: what they time, and what only protects, which the notebook's own run can't show.

Each is executed after the definitions, with stand-ins for what earlier cells would have made.
"""

import copy
import functools
import os
import pickle
import re
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import SubsetRandomSampler, TensorDataset

from notebook_names import BatchedMNIST, MnistModel, Watched, loss_batch, make_loader

# NumPy's about PyTorch's tensors, which a kernel doesn't show.
pytestmark = [pytest.mark.usefixtures("notebook_precision"), pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword")]
CPU, META = torch.device("cpu"), torch.device("meta")
assert_same = functools.partial(torch.testing.assert_close, rtol=0, atol=0)


def few_images():
    """What the cells of section 1 make, of twenty random images: the last five are to validate with."""
    torch.manual_seed(0)
    data = torch.randint(256, (20, 28, 28), dtype=torch.uint8)
    mnist = SimpleNamespace(data=data, targets=torch.arange(20) % 10)
    dataset, train, val = BatchedMNIST(mnist), list(range(15)), list(range(19, 14, -1))
    xb, yb = dataset[train]
    return dict(dataset=mnist, batched_dataset=dataset, val_indices=val, xb=xb, yb=yb, device=CPU,
                batch_size=4, train_sampler=SubsetRandomSampler(train), valid_dl=make_loader(dataset, 4, val))


def test_the_fast_loaders_are_timed(after, capsys):
    """Of the plain one a tenth of a pass, of the fast one all."""
    timeit = mock.Mock(**{"timeit.side_effect": [10.0, 5.0]})
    data, targets = torch.randint(256, (100, 2, 2), dtype=torch.uint8), torch.arange(100)
    mnist = TensorDataset(data[:, None] / 255, targets)
    mnist.data, mnist.targets = data, targets
    scope = after("plain-loaders", "fast-loaders", dataset=mnist, train_indices=[*range(80)],
                  val_indices=[*range(80, 100)], batch_size=5, timeit=timeit)
    plain, fast = [call.kwargs["globals"]["dl"] for call in timeit.timeit.call_args_list]
    assert plain.dataset is mnist and [*plain.sampler.indices] == [*range(8)] and plain.batch_size == 5
    assert fast is scope["train_dl"] and fast.dataset is scope["batched_dataset"]
    assert timeit.timeit.call_args.args == ("for batch in dl: pass",)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "one pass: 100.0 s, and in whole batches 5.00 s, 20× faster")


WAYS = {"loading": "loading alone", "fitting": "the loop of fit", "by_hand": "all by hand",
        "two_products": "two products"}
BATCHES = [(torch.rand(1, 2, dtype=torch.float64), torch.tensor([label])) for label in (1, 0)]


@pytest.mark.parametrize("way", WAYS)
def test_what_each_way_does_is_timed(after, capsys, way):
    """Each does its own work on every batch, and nothing else. The best of three times is said."""
    class Weights(torch.Tensor):
        def cpu(self):   # on a GPU, this waits for the result
            operations.append(("waited", ()))

    def repeat(loop, number, repeat):
        assert (number, repeat) == (1, 3)
        return [9, seconds[WAYS[loop.__name__]], 8]

    data, targets = torch.randint(256, (7, 2, 3), dtype=torch.uint8), torch.arange(7)
    step, by_hand, operations, weights = mock.Mock(), mock.Mock(), [], [torch.rand(4, 6).as_subclass(Weights)]
    seconds, loader = {name: i for i, name in enumerate(WAYS.values())}, mock.MagicMock()
    loader.__iter__.side_effect = lambda: iter(BATCHES)
    scope = after(
        "compare-times", dataset=SimpleNamespace(data=data, targets=targets), train_indices=[6, 2, 3, 0, 5],
        batch_size=2, model=nn.Linear(2, 2), lr=0.3, device=CPU, train_dl=loader, valid_dl=[],
        weights_by_hand=weights, timeit=SimpleNamespace(repeat=repeat), loss_batch=step, step_by_hand=by_hand)
    assert scope["loop_seconds"] == seconds and capsys.readouterr().out.splitlines() == [
        f"{name:16} {i}.000 s" for name, i in seconds.items()]
    with Watched(lambda func, args, result: operations.append((str(func), args))):
        scope[way]()
    model, opt = scope["timed_model"], scope["opt"]
    assert model is not scope["model"] and opt.param_groups[0]["params"] == [*model.parameters()]
    assert loader.__iter__.call_count == (way in ("loading", "fitting"))
    assert type(opt) is torch.optim.SGD and opt.param_groups[0]["lr"] == 0.3
    assert step.call_args_list == [
        mock.call(model, F.cross_entropy, *batch, opt) for batch in BATCHES if way == "fitting"]
    assert_same([list(call.args[1:]) for call in by_hand.call_args_list], [
        [data[part].flatten(1) / 255, targets[part], 0.3]
        for part in ([6, 2], [3, 0], [5]) if way == "by_hand"])
    assert all(call.args[0] is weights for call in by_hand.call_args_list)
    x, w1 = data[:2].flatten(1) / 255, weights[0]
    assert_same([list(args) for func, args in operations if func == "aten.mm.default"],
                [[w1, x.T], [w1 @ x.T, x]] * 3 if way == "two_products" else [])
    assert [func for func, args in operations[-1:] if func == "waited"] == ["waited"] * (way in [*WAYS][2:])
    allowed = {"waited", "aten.mm.default", "aten.sum.default", "aten.t.default", "aten.permute.default",
               "aten.transpose.int"}
    assert way == "by_hand" or {func for func, args in operations} <= allowed


@pytest.mark.parametrize("device, places", [(CPU, [CPU]), (META, [CPU, META])], ids=str)
def test_steps_are_timed_on_the_cpu_and_on_the_accelerator(after, device, places):
    """The best of nine 32-bit steps of a model of each width, of 100 images whatever the batch: a millisecond
    a unit, elsewhere three."""
    asked, widths = [], [32, 128, 512, 2048, 8192]

    def step(model, loss_func, xb, yb, opt):
        asked.append((xb.device, len(model.linear1.weight)))
        assert loss_func is F.cross_entropy and xb.shape == (100, 1, 28, 28)
        assert yb.shape == (100,) and yb.device == xb.device
        assert {(t.dtype, t.device) for t in (xb, *model.parameters())} == {(torch.float32, xb.device)}
        assert [*map(id, opt.param_groups[0]["params"])] == [*map(id, model.parameters())]

    def repeat(call, number, repeat):
        call()
        place, width = asked[-1]
        assert (number, repeat) == (1, 9)
        return [0.5 + width, width / 1000 if place == CPU else 0.003, 9 + width]

    scope = after("steps", timeit=SimpleNamespace(repeat=repeat), loss_batch=step, device=device,
                  xb=torch.rand(150, 1, 28, 28), yb=torch.randint(10, (150,)))
    expected = {"CPU, one core": pytest.approx(widths), "GPU": pytest.approx([3] * 5)}
    assert scope["step_ms"] == dict([*expected.items()][:len(places)])
    assert asked == [(place, width) for place in places for width in widths]


def test_only_training_the_model_itself_is_kept(after):
    """No copy of it, no evaluation, no other model is a step. The film ends with the model as it is."""
    xb = torch.rand(3, 1, 28, 28)
    scope = after("set-up", "keep-weights", **few_images(), model=MnistModel(784, 32, 10), train_dl=range(3),
                  epochs=1, fine_epochs=1)
    model, kept, before = scope["model"], scope["kept"], []
    copied, opt = copy.deepcopy(model).train(), torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(9):
        for inactive in (copied, MnistModel(784, 32, 10), model.eval()):
            inactive(xb)
        before.append(copy.deepcopy(model.state_dict()))
        loss_batch(model.train(), F.cross_entropy, xb, torch.arange(3), opt)
    assert list(kept) == [step for step in range(6) if step in scope["film_steps"] or step % 3 == 0]
    assert_same([*kept.values()], [before[step] for step in kept])
    with mock.patch("IPython.display.display"):
        for _ in range(2):
            scope = after("hidden-units", **scope)
            assert_same(kept[6], model.state_dict())
            assert [*scope["film_scores"]] == sorted(scope["film_steps"] | {6})
            loss_batch(model, F.cross_entropy, xb, torch.arange(3), opt)
    after("accuracy-curves", **scope, start_accuracy=0, metrics=[0], fine_metrics=[0], linear_metrics=[0, 0])
    assert not model._forward_pre_hooks


@pytest.mark.parametrize("cell", ["zero-grad", "by-hand-check"])
def test_gradients_are_shown_on_a_copy(after, cell):
    model = MnistModel(784, 32, 10)
    before = copy.deepcopy(model.state_dict())
    after(cell, **few_images(), model=model)
    assert_same(model.state_dict(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_both_drifts_start_from_the_same_weights(after, capsys):
    """In 32 bits, and those in 64. What each copy reads otherwise is counted."""
    seen = []

    def drift(start, n_copies, train_dl, lr):
        weights = nn.utils.parameters_to_vector(start.parameters()).detach()
        seen.append((weights.dtype, weights.tolist(), n_copies, train_dl, lr))
        others = [copy.deepcopy(start) for _ in range(n_copies)]
        others[0].linear2.bias.data[0] = 1e6   # it answers 0 to everything
        return torch.full((20, n_copies), 1e-8), [start, *others]

    scope = after("set-up", "drift-picture", **few_images(), drift=drift, lr=0.3)
    (dtype, weights, *given), (other_dtype, same_weights, *given_then) = seen
    assert (dtype, other_dtype) == (torch.float32, torch.float64) and weights == same_weights
    assert given == [4, scope["cpu_dl"], 0.3] and given_then == [1, scope["cpu_dl"], 0.3]
    assert {p.dtype for p in scope["first_model"].parameters()} == {torch.float32}
    assert sorted(torch.cat([yb for xb, yb in scope["cpu_dl"]]).tolist()) == sorted(scope["yb"].tolist())
    assert scope["epochs_so_far"].tolist() == pytest.approx([i / 10 for i in range(20)])
    assert re.fullmatch(r"32 bits: .* copy \[[1-5], 0, 0, 0\]\n64 bits: .* copy \[[1-5]\]\n",
                        capsys.readouterr().out)


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)   # what reading it as a pickle does


def test_a_harmful_file_is_not_loaded(after, tmp_path, monkeypatch):
    # Where the cell doesn't say, as torch before 2.6.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.chdir(tmp_path)
    torch.save(Harmful(), "weights.pth")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        after("load", device=CPU, weights_file="weights.pth")
    assert not (tmp_path / "harm").exists()


@pytest.fixture
def saved(after):
    """Save a model of its own. Returns the names that there are then."""
    return lambda: after("set-up", "save", model=MnistModel(784, 32, 10), **few_images())


def test_weights_saved_on_a_gpu_are_loaded_without_one(after, saved):
    with mock.patch("torch.serialization.location_tag", lambda storage: "cuda:0"):
        names = saved()
    assert_same(after("load", **names)["reloaded"].state_dict(), names["model"].state_dict())


def test_runs_side_by_side_load_their_own_weights(after, saved, tmp_path, monkeypatch):
    """A sweep in one folder, which need not be writable: each has saved before any loads."""
    monkeypatch.chdir(tmp_path)
    for names in [saved(), saved()]:
        after("load", **names)
    assert len({*tmp_path.rglob("*.pth")}) == 2 and not {*tmp_path.glob("*.pth")}


@pytest.mark.parametrize("cell, no_gradients, model_is_told", [
    ("logits", True, False), ("predict", True, True), ("load", False, True)])
def test_answers_need_no_gradients(after, saved, cell, no_gradients, model_is_told):
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
