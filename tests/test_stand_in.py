"""data/stand_in.py: digits of its own in MNIST's format, whole or not there at all."""

import os
import shutil
import subprocess
import sys

import pytest

import prepare
import stand_in
from torch_settings import kept


def test_it_looks_like_mnist(tmp_path):
    """The same sizes, white on black, in the middle, ten classes of like size, and no image twice."""
    import torch
    from torchvision.datasets import MNIST
    with kept():
        stand_in.write_stand_in(tmp_path)
    sets = [MNIST(tmp_path, train=train) for train in (True, False)]
    assert [tuple(each.data.shape) for each in sets] == [(60_000, 28, 28), (10_000, 28, 28)]
    images = [image.tobytes() for each in sets for image in each.data.numpy()]
    assert len(set(images)) == len(images)
    for each in sets:
        share = each.targets.bincount(minlength=10) / len(each)
        assert 0.085 < share.min() and share.max() < 0.115
        ink = each.data.double() / 255
        assert 0.10 < ink.mean() < 0.17  # MNIST: 0.13
        for axis in (1, 2):
            profile = ink.mean(dim=(0, axis))
            assert abs(profile @ (torch.arange(28) + 0.5).double() / profile.sum() - 14) < 0.3
    # The nearest of the ten classes' means is the right one more often than not, and far from always.
    (x, y), (test, labels) = [(each.data.flatten(1) / 255, each.targets) for each in sets]
    means = torch.stack([x[y == digit].mean(dim=0) for digit in range(10)])
    assert 0.6 < (torch.cdist(test, means).argmin(dim=1) == labels).double().mean() < 0.85


def test_it_is_the_same_each_time():
    """In another process, too, and on a processor that knows fewer instructions."""
    code = "import stand_in; print([array.tolist() for array in stand_in.draw((400, 20))])"
    runs = [subprocess.run([sys.executable, "-Bc", code], cwd=prepare.ROOT, env=os.environ | more, check=True,
                           capture_output=True).stdout for more in ({}, {"ATEN_CPU_CAPABILITY": "default"})]
    assert runs[0] == runs[1]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Where a small stand-in goes, of blank images, which take no time."""
    import numpy as np
    monkeypatch.setattr(stand_in, "draw", lambda sizes: [np.zeros((30, 28, 28), "uint8")] * 4)
    monkeypatch.setattr(stand_in, "ROOT", tmp_path)
    return tmp_path / "stand-in"


def test_a_second_run_says_what_it_is_and_changes_nothing(small, capsys):
    stand_in.make_stand_in()
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    stand_in.make_stand_in()
    said = capsys.readouterr().out
    assert said.count("These are not the MNIST digits") == 2 and said.count("Drawing") == 1
    assert (small / "STAND-IN.txt").read_bytes().startswith(b"These are not the MNIST digits")
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == before


@pytest.mark.parametrize("damage", [
    lambda home: (home / "STAND-IN.txt").write_bytes(b"These are not the MNIST digits"),
    lambda home: (home / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(b"some"),
    lambda home: shutil.rmtree(home / "MNIST"),
], ids=["another marker", "other bytes", "no files"])
def test_damaged_it_is_kept_and_made_again(damage, small, capsys):
    stand_in.make_stand_in()
    damage(small)
    left = sorted(path.name for path in small.rglob("*"))
    stand_in.make_stand_in()
    said = "stand-in is damaged, or was made by another recipe: kept in stand-in.damaged-"
    assert stand_in.is_whole(small) and said in capsys.readouterr().out
    aside, = small.parent.glob("stand-in.damaged-*/stand-in")
    assert sorted(path.name for path in aside.rglob("*")) == left


def test_a_folder_that_can_t_be_written_gets_a_sentence(small, monkeypatch):
    monkeypatch.setattr(stand_in, "ROOT", small / "missing")
    with pytest.raises(prepare.NoData, match="The stand-in can't be made in .*missing: .*missing"):
        stand_in.make_stand_in()
