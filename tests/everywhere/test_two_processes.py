"""examples/ddp.py: two processes print the digits that the notebook has of one, to rounding."""

import os
import subprocess
import sys

import pytest
import torch

from notebook_file import ROOT

pytestmark = [pytest.mark.mnist, pytest.mark.timeout(300),
              pytest.mark.skipif(sys.platform == "win32", reason="torchrun has not been tried on Windows")]


def torchrun(processes, folder):
    """Run the example in a folder, on CPUs."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run([*command, ROOT / "examples" / "ddp.py"], cwd=folder, capture_output=True,
                          text=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})


def test_two_processes_give_the_result_of_one(stored, tmp_path):
    done = torchrun(2, tmp_path)
    one, = [cell.outputs[0].text for cell in stored.cells if cell.id == "first-fit"]
    assert done.stdout == one, done.stderr
    weights = torch.load(tmp_path / "mnist-ddp.pth", weights_only=True)
    assert [*weights] == ["linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias"]


def test_a_batch_that_cannot_be_shared(tmp_path):
    assert "A batch of 100 can't be shared equally by 3 processes." in torchrun(3, tmp_path).stderr
