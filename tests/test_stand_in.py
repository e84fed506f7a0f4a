"""data/stand_in.py: digits of its own in MNIST's format, whole or not there at all."""

import os
import random
import shutil
import subprocess
import sys

import pytest

from places import DATA, Place, folder_for_others, make_read_only
from torch_settings import kept

import prepare  # places knows where it is
import stand_in

BLANK = {"blank": True, "SIZES": {"train": 130, "t10k": 50}}


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
    return [MNIST(drawn.root / "stand-in", train=train) for train in (True, False)]


@pytest.fixture
def place(tmp_path):
    return Place(stand_in, tmp_path)


def test_it_says_what_it_is_and_a_second_run_changes_nothing(drawn):
    home = drawn.root / "stand-in"
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    for result in (drawn.result, drawn.run()):
        assert result.returncode == 0 and "These are not the MNIST digits" in result.stdout
    assert (home / "STAND-IN.txt").read_text(encoding="utf-8").startswith("These are not the MNIST digits")
    assert not (drawn.root / "MNIST").exists()
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_it_has_mnists_format_and_sizes(drawn, sets):
    assert [tuple(each.data.shape) for each in sets] == [(60_000, 28, 28), (10_000, 28, 28)]
    for name in (name for name in prepare.FILES if not name.endswith(".gz")):
        assert not prepare.is_right(drawn.root / "stand-in" / "MNIST" / "raw" / name)   # never MNIST itself


def test_it_looks_like_mnist(sets):
    """White on black, ten classes of like size, a box of about 20 × 20 in the middle, no image twice."""
    images = [image.tobytes() for each in sets for image in each.data.numpy()]
    assert len(set(images)) == len(images)
    for each in sets:
        share = each.targets.bincount(minlength=10) / len(each)
        assert 0.085 < share.min() and share.max() < 0.115
        ink = each.data.float() / 255
        assert 0.10 < ink.mean() < 0.17  # MNIST: 0.13
        assert ink.amax(dim=(1, 2)).min() > 0.4
        for axis in (1, 2):
            profile = ink.sum(dim=3 - axis)  # [n, 28]
            centre = profile @ (profile.new_tensor(range(28)) + 0.5) / profile.sum(dim=1)
            assert abs(centre.mean() - 14) < 0.3 and centre.std() < 1.5
        assert 16 < (ink.amax(dim=2) > 0.2).sum(dim=1).float().mean() < 21  # the height


@kept()
def test_it_can_be_learned_and_is_not_trivial(sets):
    """A network learns it about as well as MNIST, a linear model clearly worse."""
    import torch
    from torch import nn
    torch.set_num_threads(1)
    torch.manual_seed(0)
    (x, y), test = [(each.data.reshape(-1, 784) / 255, each.targets) for each in sets]

    def accuracy(model):
        for rate in (0.5, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1):   # of an epoch
            sgd = torch.optim.SGD(model.parameters(), lr=rate)
            for batch in torch.randperm(len(x)).split(100):
                sgd.zero_grad()
                nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
                sgd.step()
        return (model(test[0]).argmax(dim=1) == test[1]).float().mean().item()

    network = accuracy(nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10)))
    assert 0.965 <= network <= 0.99 and accuracy(nn.Linear(784, 10)) < network - 0.04


def test_it_is_the_same_each_time():
    """In another process, too, and on a processor that knows fewer instructions."""
    code = f"""
import hashlib, sys
sys.path.insert(0, {str(DATA)!r})
import stand_in
for images, labels in stand_in.draw({{"train": 2000, "t10k": 50}}).values():
    print(hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest())
"""
    runs = [subprocess.run([sys.executable, "-Bc", code], capture_output=True, text=True, check=True,
                           env=os.environ | more).stdout for more in ({}, {"ATEN_CPU_CAPABILITY": "default"})]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("damage", [
    lambda home: (home / "STAND-IN.txt").unlink(),
    lambda home: (home / "STAND-IN.txt").write_text("These are not the MNIST digits", encoding="utf-8"),
    lambda home: (home / "STAND-IN.txt").write_bytes(b"\xff"),
    lambda home: (home / "MNIST" / "raw" / "train-images-idx3-ubyte").unlink(),
    lambda home: (home / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(b"some"),
    lambda home: shutil.rmtree(home / "MNIST"),
], ids=["no marker", "another marker", "an unreadable marker", "a file gone", "other bytes", "no files"])
def test_damaged_it_is_kept_and_made_again(damage, place):
    assert place.run(**BLANK).returncode == 0
    home = place.root / "stand-in"
    damage(home)
    left = sorted(path.name for path in home.rglob("*"))
    result = place.run(**BLANK)
    assert "stand-in is damaged, or was made by another recipe: kept in stand-in.damaged-" in result.stdout
    assert result.returncode == 0 and stand_in.stand_in_fault(home) is None
    kept_aside, = place.root.glob("stand-in.damaged-*/stand-in")
    assert sorted(path.name for path in kept_aside.rglob("*")) == left


def test_ended_at_any_line_it_is_not_there_at_all(place):
    home = place.root / "stand-in"
    lines = int(place.run_apart(**BLANK, die_at=-1).stdout.split("LINES ")[1])
    for die_at in random.Random(4).sample(range(1, lines), 8):
        shutil.rmtree(home, ignore_errors=True)
        assert place.run_apart(**BLANK, die_at=die_at).returncode == 99
        assert stand_in.stand_in_fault(home) in ("is missing", None), die_at
        assert place.run(**BLANK).returncode == 0
        assert stand_in.stand_in_fault(home) is None


def test_a_read_only_folder_gets_a_sentence():
    with folder_for_others() as folder:
        place = Place(stand_in, folder)
        result = place.run_apart(**make_read_only(place))
    assert result.returncode == 1
    assert "The stand-in can't be made in" in result.stderr
    assert "Permission denied" in result.stderr


def test_the_script_itself(place):
    for name in ("prepare.py", "stand_in.py"):
        shutil.copy(DATA / name, place.root)
    for arguments, status, said in [([], 1, "The package matplotlib is"), (["--other"], 2, "usage: ")]:
        result = subprocess.run([sys.executable, "-S", place.root / "stand_in.py", *arguments], timeout=60,
                                env=place.environment(), capture_output=True, encoding="utf-8")
        assert result.returncode == status and result.stderr.startswith(said)
        assert "Traceback" not in result.stderr
