"""The core with other settings, and on the stand-in, runs to the end."""

import subprocess
import sys

import pytest

from execute import executed
from notebook_file import ROOT, core

SHORT = {"epochs": 1, "fine_epochs": 1}


def printed(nb, folder, **settings):
    """The text of each cell's first output, in a run of the core with these settings."""
    nb = core(nb)
    parameters, = [cell for cell in nb.cells if cell.id == "parameters"]
    parameters.source += "".join(f"\n{name} = {value!r}" for name, value in settings.items())
    cells = executed(nb, folder=folder).cells
    return {cell.id: cell.outputs[0].get("text") for cell in cells if cell.get("outputs")}


@pytest.mark.mnist
@pytest.mark.parametrize("settings", [
    {"bits": 32},
    {"hidden_size": 64, "seed": 7},
    {"hidden_size": 1, "batch_size": 1000, "lr": 0.05, "seed": 0, **SHORT},
    {"hidden_size": 200, "batch_size": 290, "fine_lr": 1, "seed": 2 ** 32 - 1, **SHORT},
], ids=str)
def test_other_settings(stored, settings, tmp_path):
    outputs = printed(stored, tmp_path, data_root=str(ROOT / "data"), **settings)
    assert f"[{settings.get('hidden_size', 32)}, 784]" in outputs["model-create"]
    assert outputs["logits"].startswith(f"[{settings.get('batch_size', 100)}, 10]")


def test_the_stand_in(stored, tmp_path):
    subprocess.run([sys.executable, ROOT / "data" / "stand_in.py"], check=True)
    outputs = printed(stored, tmp_path, data_root=str(ROOT / "data" / "stand-in"))
    assert next(iter(outputs.values())).startswith("These are NOT the MNIST digits")
