"""The settings at the top of the notebook: those that make no sense end in one clear sentence."""

import math
import subprocess
import sys

import papermill
import pytest

from notebook_file import NOTEBOOK, ROOT, code_cells

NAMES = {"seed", "bits", "batch_size", "hidden_size", "lr", "epochs", "fine_lr", "fine_epochs", "data_root"}
WHOLE, ABOVE = "a whole number, 1 or more", "a number above 0"
BITS, SEED, FOLDER = "32 or 64", "from 0 to 2**32 - 1", "a folder's name in quotes"


@pytest.mark.parametrize("name, value, wanted", [
    ("hidden_size", 0, WHOLE), ("batch_size", -1, WHOLE), ("epochs", 0, WHOLE), ("fine_epochs", 2.5, WHOLE),
    ("hidden_size", "many", WHOLE), ("hidden_size", True, WHOLE), ("lr", 0, ABOVE), ("lr", math.nan, ABOVE),
    ("lr", math.inf, ABOVE), ("lr", True, ABOVE), ("fine_lr", "small", ABOVE), ("fine_lr", None, ABOVE),
    ("bits", 16, BITS), ("bits", 64.0, BITS), ("bits", "32", BITS),
    ("seed", -1, SEED), ("seed", 2 ** 32, SEED), ("seed", 1.0, SEED), ("data_root", 1, FOLDER)])
def test_nonsense_is_named_at_once(after, tmp_path, name, value, wanted):
    import torch
    torch.set_default_dtype(torch.float16)
    with pytest.raises(ValueError) as error:
        after("set-up", **{name: value})
    assert str(error.value) == f"{name} must be {wanted}, not {value!r}."
    went_on = torch.get_default_dtype() != torch.float16 or any(tmp_path.iterdir())
    assert not went_on, "it went on and set something up"


def test_nonsense_ends_papermill_with_its_sentence(stored, tmp_path):
    """And papermill knows every setting. Only imports and settings come before the cell that checks them."""
    assert [cell.id for cell in code_cells(stored)][:3] == ["imports", "parameters", "set-up"]
    assert set(papermill.inspect_notebook(str(NOTEBOOK))) == NAMES
    command = [sys.executable, "-m", "papermill", NOTEBOOK.name, str(tmp_path / "out.ipynb"),
               "--no-progress-bar", "-p", "hidden_size", "0", "--cwd", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120)
    sentence = "ValueError: hidden_size must be a whole number, 1 or more, not 0."
    assert done.returncode != 0 and done.stderr.strip().endswith(sentence)


@pytest.mark.parametrize("settings", [{}, {"bits": 32}, {"seed": 0, "lr": 1}, {
    "seed": 2 ** 32 - 1, "batch_size": 1, "hidden_size": 1, "epochs": 1, "fine_epochs": 1, "fine_lr": 1e-9}])
def test_what_makes_sense_is_set_up(after, tmp_path, settings):
    """Whatever style and threads the reader had. Each run has a new, empty folder for its weights."""
    import matplotlib
    import torch
    files = []
    for _ in range(2):
        matplotlib.rcParams["lines.linewidth"] = 9
        torch.set_num_threads(2)
        names = after("set-up", **settings)
        files.append(names["weights_file"])
        names["set_matplotlib_formats"].assert_called_with("retina")
        assert torch.get_default_dtype() == (torch.float32 if "bits" in settings else torch.float64)
        assert torch.get_num_threads() == 1
        assert matplotlib.rcParams["lines.linewidth"] == 1.5 and matplotlib.rcParams["figure.dpi"] == 80
    assert {file.parent for file in files} == set(tmp_path.iterdir()) and files[0] != files[1]
    assert not any(file.exists() for file in files)
