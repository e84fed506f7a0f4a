"""Cells that define nothing: what they time, and what only protects, which the notebook's own run can't show.

Each is executed after the definitions, with stand-ins for what earlier cells would have made.
"""

import hashlib
import os
import pickle
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from cells import code_cells, read
from notebook_names import NAMES, DeepModel, MnistModel
from test_functions import Clock

pytestmark = pytest.mark.usefixtures("notebook_precision")
CPU, META = torch.device("cpu"), torch.device("meta")
SOURCES = {cell.id: cell.source for cell in code_cells(read())}


def after(cell, **names):
    """Execute a cell. Returns the names that there are then."""
    names = NAMES | names
    exec(compile(SOURCES[cell], f"<cell {cell}>", "exec"), names)
    return names


# Getting MNIST

WHOLE = {name: name for name in NAMES["SHA256"]}   # each of the four files holds its own name
ONE = "t10k-labels-idx1-ubyte"


@pytest.fixture
def get_data(tmp_path, monkeypatch):
    """Execute the cell with these files there, and those that a download brings."""
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in WHOLE.items()}
    monkeypatch.setitem(NAMES, "SHA256", sums)
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)

    def write(files):
        for name, text in files.items():
            (raw / name).write_text(text)

    def get_data(brought, there={}):
        write(there)
        after("get-data", data_root=str(tmp_path), MNIST=lambda root, download=False: download and write(brought))

    return get_data


def test_four_whole_files_are_downloaded(get_data, capsys):
    get_data(WHOLE)
    assert capsys.readouterr().out == "MNIST: four files, each the official one.\n"


def test_a_download_that_lacks_a_file(get_data, capsys):
    with pytest.raises(AssertionError):
        get_data({name: text for name, text in WHOLE.items() if name != ONE})
    assert capsys.readouterr().out == ""


def test_a_download_that_is_damaged(get_data):
    with pytest.raises(ValueError, match=f"{ONE} is damaged: delete it, then run this cell again to fetch it afresh."):
        get_data(WHOLE | {ONE: "damaged"})


def test_a_damaged_file_is_named_before_anything_is_downloaded(get_data):
    with pytest.raises(ValueError, match=f"{ONE} is damaged"):
        get_data(brought=WHOLE, there={ONE: "damaged"})


@pytest.mark.parametrize("error", [OSError("no route"), RuntimeError("no route")])
def test_a_download_that_fails(tmp_path, error):
    with pytest.raises(RuntimeError) as raised:
        after("get-data", data_root=tmp_path, MNIST=mock.Mock(side_effect=error))
    assert str(raised.value) == ("MNIST could not be downloaded (no route). Check the connection and run this cell "
                                 "again.")
    assert raised.value.__suppress_context__, "torchvision's own error would stand above it"


def test_nothing_is_downloaded_beside_the_stand_in(tmp_path, capsys):
    (tmp_path / "STAND-IN.txt").touch()
    after("get-data", data_root=tmp_path, MNIST=None)
    assert "NOT the MNIST digits" in capsys.readouterr().out


# What an epoch costs

def test_plain_seconds_are_four_times_those_of_a_quarter(capsys):
    batches = []

    def seconds_per_pass(dl):
        batches.extend(yb.tolist() for xb, yb in dl)
        return 2.5

    scope = after("plain-seconds", seconds_per_pass=seconds_per_pass, batch_size=10,
                  dataset=[(i, i) for i in range(100)], train_indices=list(range(10, 90)))
    assert [len(batch) for batch in batches] == [10, 10] and sorted(sum(batches, [])) == list(range(10, 30))
    assert scope["plain_seconds"] == 10 and capsys.readouterr().out == "One pass takes 10.0 s.\n"


def test_batched_seconds_are_the_best_of_three(capsys):
    durations = iter([3.0, 1.0, 2.0])
    scope = after("batched-seconds", seconds_per_pass=next, train_dl=durations, plain_seconds=10.0)
    assert list(durations) == [] and scope["batched_seconds"] == 1 and scope["ratio"] == 10
    assert capsys.readouterr().out == "One pass: 1.00 s, 10× faster\n"


def test_time_table(capsys):
    assert after("time-table", parts={"loading": 1.0, "forward": 2.5})["epoch_seconds"] == 3.5
    assert capsys.readouterr().out.split() == ["loading", "1.000", "s", "forward", "2.500", "s"]


def test_loading_share(capsys):
    """Of four seconds one is loading; if loading took nine, it would be nine of twelve."""
    scope = after("loading-share", parts={"loading": 1.0}, epoch_seconds=4.0, plain_seconds=9.0)
    assert (scope["share"], scope["plain_share"]) == (0.25, 0.75)
    assert capsys.readouterr().out == "loading: 25% of an epoch, 75% with the plain loader\n"


def test_each_loop_is_timed_under_its_own_name(capsys):
    """A number stands in for each loop: how long it takes."""
    scope = after("compare-times", seconds_for=lambda loop: loop / 10, with_autograd=40, with_step_by_hand=30,
                  with_epoch_by_hand=20, with_arithmetic_alone=10)
    assert scope["loops"] == {"the loop of fit": 4, "the step by hand": 3, "the faster epoch": 2,
                              "fetching, two products": 1}
    assert " ".join(capsys.readouterr().out.split()) == (
        "the loop of fit 4.000 s the step by hand 3.000 s the faster epoch 2.000 s fetching, two products 1.000 s")


def test_speed_up():
    loops = {"the loop of fit": 6.0, "the step by hand": 5.0, "the faster epoch": 2.0, "fetching, two products": 1.0}
    assert after("compare-picture", loops=loops, bars=mock.Mock(), BLUE="", GREY="")["speed_up"] == 3


# Section 6 trains twice and compares: not with itself, so that it notices if one of the two learns nothing.

def few_images():
    rows = torch.arange(20)
    dataset = SimpleNamespace(data=torch.randint(256, (20, 28, 28), dtype=torch.uint8), targets=rows % 10)
    return dict(dataset=dataset, train_dl=[(dataset.data / 255, dataset.targets)], train_indices=rows.tolist(),
                device=CPU)


def test_steps_by_hand_are_compared_with_those_of_autograd():
    names = few_images()
    after("by-hand-difference", **after("by-hand-check", **names))
    names = after("by-hand-check", **names, step_by_hand=mock.Mock())
    with pytest.raises(AssertionError):
        after("by-hand-difference", **names)


@pytest.mark.parametrize("idle", ["step_by_hand", "epoch_by_hand"])
def test_the_faster_epoch_is_compared_with_steps_by_hand(idle):
    names = few_images() | {"weights": [p.data for p in MnistModel(784, 32, 10).parameters()]}
    after("fastest-check", **names)
    with pytest.raises(AssertionError):
        after("fastest-check", **names, **{idle: mock.Mock()})


# The times of section 7

def test_sizes_run_times_each_training(monkeypatch):
    clock, durations = Clock(), iter([1.0, 2.0, 3.0, 4.0])
    monkeypatch.setattr("time.perf_counter", clock)

    def train(trial, rates, dl):
        clock.seconds += (seconds := next(durations))
        return [0.0, -seconds]

    scope = after("sizes-run", sizes=[[3, 4, 2], [3, 2]], seeds=[1, 2], device=CPU, train_dl=None, train=train,
                  DeepModel=clock.slow(DeepModel, 100.0))
    assert scope["size_seconds"].tolist() == [[1, 2], [3, 4]]
    assert scope["size_scores"].tolist() == [[-1, -2], [-3, -4]]


def test_sizes_seconds_are_the_median(capsys):
    after("sizes-seconds", sizes=[[784, 10], [4]], size_seconds=torch.tensor([[1.0, 9.0, 2.0], [4.0, 3.0, 8.0]]))
    assert [line.split("]")[1].strip() for line in capsys.readouterr().out.splitlines()] == ["2.0 s", "4.0 s"]


def test_map_run_times_each_batch_size(monkeypatch, capsys):
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock)

    def train(trial, rates, dl):
        clock.seconds += dl.dl.batch_size
        return [0.0, rates[0]]

    scope = after("map-run", map_sizes=[5, 7], map_rates=[0.1, 0.2], seeds=[1, 2, 3], device=CPU, train=train,
                  batched_dataset=[0], map_sampler=None)
    assert scope["map_seconds"] == [30, 42] and scope["map_scores"][:, :, 0].tolist() == [[0.1, 0.2]] * 2
    assert capsys.readouterr().out == "batch size   5: 30.0 s\nbatch size   7: 42.0 s\n"


def test_steps_are_timed_on_the_cpu_and_on_the_accelerator():
    def seconds_per_step(width, device):
        return width if device.type == "cpu" else 1000

    scope = after("cpu-steps", seconds_per_step=seconds_per_step, device=META)
    assert scope["cpu_steps"] == scope["step_widths"] == [32, 128, 512, 2048, 8192]
    assert after("gpu-steps", **scope | {"device": CPU})["gpu_steps"] == []
    scope = after("gpu-steps", **scope)
    assert scope["gpu_steps"] == [1000] * 5
    assert after("gpu-crossing", **scope)["faster"] == [2048, 8192]


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
        torch.save(model.state_dict(), "mnist-feedforward.pth")
    scope = after("load", device=CPU)
    assert {weights.device for weights in scope["state"].values()} == {CPU}
    assert all(torch.equal(p, q) for p, q in zip(scope["reloaded"].parameters(), model.parameters()))


@pytest.mark.parametrize("cell", ["test-predict", "save-check"])
def test_answers_need_no_gradients(cell):
    seen = []
    model = lambda xb: seen.append(torch.is_grad_enabled()) or xb
    batches = [(torch.rand(2, 10), torch.zeros(2))] * 2
    after(cell, model=model, reloaded=model, test_dl=batches, valid_dl=batches)
    assert set(seen) == {False}


def test_gradients_are_shown_on_a_copy():
    model = MnistModel(12, 5, 10)
    after("one-backward", model=model, device=CPU, xb=torch.rand(3, 12), yb=torch.tensor([1, 2, 3]))
    assert all(p.grad is None for p in model.parameters())


# CIFAR-10

@pytest.fixture
def small_cifar(tmp_path, monkeypatch):
    """A folder with 250 pictures in CIFAR-10's format, which torchvision takes for whole."""
    folder, random = tmp_path / CIFAR10.base_folder, np.random.RandomState(0)
    folder.mkdir()
    for name, _ in CIFAR10.train_list + CIFAR10.test_list:
        labels = random.randint(10, size=50)
        pixels = np.repeat(labels[:, None] * 25, 3072, axis=1).astype(np.uint8)   # brighter and brighter
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels.tolist()}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"kind {n}" for n in range(10)]}))
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name, _ in CIFAR10.train_list])
    monkeypatch.setattr(CIFAR10, "test_list", [[name, sums[name]] for name, _ in CIFAR10.test_list])
    monkeypatch.setitem(CIFAR10.meta, "md5", sums["batches.meta"])
    return tmp_path


def test_cifar10_runs_when_asked(small_cifar, capsys):
    scope = after("cifar-run", with_cifar10=True, data_root=str(small_cifar), device=CPU)
    assert len(scope["cifar_dl"]) == 2 and capsys.readouterr().out.count("epoch 5 of 5") == 2
    assert scope["cifar_model"].linear1.in_features == 3072 and scope["cifar_model"].linear2.out_features == 10
