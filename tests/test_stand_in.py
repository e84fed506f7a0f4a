"""data/stand_in.py: digits of its own in MNIST's format, whole or not there at all."""

import hashlib
import os
import random
import shutil
import subprocess
import sys

import pytest

from places import DATA, Place, damage, folder_for_others, make_read_only
from torch_settings import kept

import prepare  # places knows where it is
import stand_in


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A place with the whole stand-in, drawn once: it takes the longest here."""
    place = Place(stand_in, tmp_path_factory.mktemp("stand-in"))
    with kept():
        place.result = place.run()
    return place


@pytest.fixture(scope="session")
def sets(drawn):
    from torchvision.datasets import MNIST

    root = drawn.root / "stand-in"
    return MNIST(root), MNIST(root, train=False)


def test_stand_in_says_what_it_is(drawn):
    assert drawn.result.returncode == 0, drawn.result.stderr
    assert "These are not the MNIST digits" in drawn.result.stdout
    marker = (drawn.root / "stand-in" / "STAND-IN.txt").read_text(encoding="utf-8")
    assert marker.startswith("These are not the MNIST digits: data/stand_in.py drew them")
    assert not (drawn.root / "MNIST").exists()


def test_stand_in_has_mnists_format_and_sizes(drawn, sets):
    train, test = sets
    assert (train.data.shape, test.data.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert (len(train.targets), len(test.targets)) == (60_000, 10_000)
    for name in (name for name in prepare.FILES if not name.endswith(".gz")):
        path = drawn.root / "stand-in" / "MNIST" / "raw" / name
        assert path.is_file() and not prepare.is_right(path)  # never MNIST itself


def test_stand_in_looks_like_mnist(sets):
    """White on black, ten classes of like size, a box of about 20 × 20 in the middle."""
    for each in sets:
        share = each.targets.bincount(minlength=10) / len(each)
        assert share.min() > 0.085 and share.max() < 0.115
        ink = each.data.float() / 255
        assert 0.10 < ink.mean() < 0.17  # MNIST: 0.13
        assert ink.amax(dim=(1, 2)).min() > 0.4
        for axis in (1, 2):
            profile = ink.sum(dim=3 - axis)  # [n, 28]
            place = (profile * (profile.new_tensor(range(28)) + 0.5)).sum(dim=1) / profile.sum(dim=1)
            assert abs(place.mean() - 14) < 0.3 and place.std() < 1.5
        height = (ink.amax(dim=2) > 0.2).sum(dim=1).float()
        assert 16 < height.mean() < 21


def test_stand_in_has_no_image_twice(sets):
    train, test = sets
    images = [image.tobytes() for each in (train, test) for image in each.data.numpy()]
    assert len(set(images)) == len(images) == 70_000


@kept()
def test_stand_in_can_be_learned_and_is_not_trivial(sets):
    """The notebook's training: 95 % after five epochs, 96 % after ten; a linear model well below."""
    import torch
    from torch import nn

    train, test = ((each.data.reshape(-1, 784).float() / 255, each.targets) for each in sets)
    images, labels = train

    def learn(model, epochs_and_rates):
        for epochs, rate in epochs_and_rates:
            sgd = torch.optim.SGD(model.parameters(), lr=rate)
            for _ in range(epochs):
                for batch in torch.randperm(48_000).split(100):
                    sgd.zero_grad()
                    nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
                    sgd.step()

    def accuracy(model, images, labels):
        with torch.no_grad():
            return (model(images).argmax(dim=1) == labels).float().mean().item()

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
    learn(network, [(5, 0.5)])
    assert accuracy(network, images[48_000:], labels[48_000:]) >= 0.95
    learn(network, [(5, 0.1)])
    final = accuracy(network, images[48_000:], labels[48_000:])
    assert 0.965 <= final <= 0.99 and accuracy(network, *test) >= 0.965
    linear = nn.Linear(784, 10)
    learn(linear, [(2, 0.5), (2, 0.1)])
    assert accuracy(linear, images[48_000:], labels[48_000:]) < final - 0.04


def test_stand_in_a_second_run_changes_nothing(drawn):
    home = drawn.root / "stand-in"
    before = {p: p.stat().st_mtime_ns for p in home.rglob("*")}
    result = drawn.run()
    assert result.returncode == 0 and "Drawing" not in result.stdout
    assert {p: p.stat().st_mtime_ns for p in home.rglob("*")} == before


@kept()
def test_stand_in_is_the_same_each_time(tmp_path):
    """In another process, and on a processor that knows fewer instructions."""
    def digest(parts):
        return hashlib.sha256(b"".join(a.tobytes() for pair in parts.values() for a in pair)).hexdigest()

    sizes = {"train": 2000, "t10k": 50}
    code = f"""
import hashlib, sys
sys.path.insert(0, {str(DATA)!r})
import stand_in
parts = stand_in.draw({sizes})
print(hashlib.sha256(b"".join(a.tobytes() for pair in parts.values() for a in pair)).hexdigest())
"""
    other = subprocess.run([sys.executable, "-Bc", code], capture_output=True, text=True, timeout=60,
                           env=os.environ | {"ATEN_CPU_CAPABILITY": "default"})
    assert digest(stand_in.draw(sizes)) == digest(stand_in.draw(sizes)) == other.stdout.strip(), other.stderr


BLANK = {"blank": True, "SIZES": {"train": 130, "t10k": 50}}


@pytest.fixture
def place(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    return Place(stand_in, root)


def test_stand_in_damaged_is_kept_and_made_again(place):
    assert place.run(**BLANK).returncode == 0
    home = place.root / "stand-in"
    labels = home / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    labels.write_bytes(damage("flipped", labels.read_bytes()))
    result = place.run(**BLANK)
    assert result.returncode == 0 and stand_in.stand_in_fault(home) is None
    assert "stand-in is damaged (MNIST/raw/t10k-labels-idx1-ubyte): kept in stand-in.damaged-" in result.stdout
    assert list(place.root.glob("stand-in.damaged-*/stand-in/STAND-IN.txt"))


def test_stand_in_ended_at_many_lines(place):
    """Half made, it is not there at all; the next run makes it."""
    home = place.root / "stand-in"
    lines = int(place.run_apart(**BLANK, die_at=-1).stdout.split("LINES ")[1])
    for die_at in random.Random(4).sample(range(1, lines), 8):
        shutil.rmtree(home, ignore_errors=True)
        assert place.run_apart(**BLANK, die_at=die_at).returncode == 99
        assert stand_in.stand_in_fault(home) in ("is missing", None), die_at
        assert place.run(**BLANK).returncode == 0
        assert stand_in.stand_in_fault(home) is None


STAND_IN_FAULTS = {
    "no marker": "is damaged ([Errno 2] No such file or directory",
    "another recipe": "was made by another recipe",
    "a file gone": "is damaged ([Errno 2] No such file or directory",
    "a cut marker": "is damaged (STAND-IN.txt)",
    "a cut sum": "is damaged (MNIST/raw/train-images-idx3-ubyte)",
    "the user's own folder": "is damaged ([Errno 2] No such file or directory",
}


@pytest.mark.parametrize("what", STAND_IN_FAULTS)
def test_stand_in_that_is_not_whole_is_noticed(what, tmp_path):
    home = tmp_path / "stand-in"
    raw = home / "MNIST" / "raw"
    raw.mkdir(parents=True)
    mark = stand_in.STAND_IN_MARK
    some = hashlib.sha256(b"some").hexdigest()
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{part}-ubyte").write_bytes(b"some")
        mark += f"{some}  MNIST/raw/{part}-ubyte\n"

    def write(text):
        (home / "STAND-IN.txt").write_text(text, encoding="utf-8", newline="\n")

    write(mark)
    assert stand_in.stand_in_fault(home) is None
    if what == "no marker":
        (home / "STAND-IN.txt").unlink()
    elif what == "another recipe":
        write(mark.replace("Recipe", "Old recipe"))
    elif what == "a file gone":
        (raw / "train-images-idx3-ubyte").unlink()
    elif what == "a cut marker":
        write(mark.removesuffix(f"{some}  MNIST/raw/t10k-labels-idx1-ubyte\n"))
    elif what == "a cut sum":
        write(mark.replace(some, some[1:], 1))
    else:
        shutil.rmtree(home)
        home.mkdir()
    assert stand_in.stand_in_fault(home).startswith(STAND_IN_FAULTS[what])


def test_stand_in_in_a_read_only_folder():
    with folder_for_others() as folder:
        place = Place(stand_in, folder)
        settings = make_read_only(place)
        result = place.run_apart(**settings)
    assert result.returncode == 1
    assert "The stand-in can't be made in" in result.stderr
    assert "Permission denied" in result.stderr


def test_stand_in_exit_status_of_the_script_itself(place):
    for name in ("prepare.py", "stand_in.py"):
        shutil.copy(DATA / name, place.root)
    (place.root / ".lock").mkdir()  # so it ends before it draws
    result = subprocess.run([sys.executable, place.root / "stand_in.py"], env=place.environment(),
                            cwd=place.root, capture_output=True, encoding="utf-8", timeout=60)
    assert result.returncode == 1
    assert result.stderr.startswith("The stand-in can't be made in ") and "Traceback" not in result.stderr


def test_stand_in_help_and_wrong_arguments():
    script = DATA / "stand_in.py"
    result = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and "data/stand_in.py" in result.stdout
    result = subprocess.run([sys.executable, script, "--stand-in"], capture_output=True, text=True)
    assert result.returncode == 2
