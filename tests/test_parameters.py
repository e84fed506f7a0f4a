"""The settings at the top of the notebook: those that make no sense end in one clear sentence."""

import subprocess
import sys
from unittest import mock

import papermill
import pytest
import yaml

from cells import NOTEBOOK, ROOT, code_cells
from torch_settings import kept

NONSENSE = [
    ("hidden_size", 0, "hidden_size must be a whole number, 1 or more, not 0."),
    ("batch_size", -1, "batch_size must be a whole number, 1 or more, not -1."),
    ("epochs", 0, "epochs must be a whole number, 1 or more, not 0."),
    ("fine_epochs", 2.5, "fine_epochs must be a whole number, 1 or more, not 2.5."),
    ("hidden_size", "many", "hidden_size must be a whole number, 1 or more, not 'many'."),
    ("hidden_size", True, "hidden_size must be a whole number, 1 or more, not True."),
    ("lr", 0, "lr must be a number above 0, not 0."),
    ("lr", float("nan"), "lr must be a number above 0, not nan."),
    ("lr", float("inf"), "lr must be a number above 0, not inf."),
    ("lr", True, "lr must be a number above 0, not True."),
    ("fine_lr", "small", "fine_lr must be a number above 0, not 'small'."),
    ("fine_lr", None, "fine_lr must be a number above 0, not None."),
    ("bits", 16, "bits must be 32 or 64, not 16."),
    ("bits", 64.0, "bits must be 32 or 64, not 64.0."),
    ("bits", "32", "bits must be 32 or 64, not '32'."),
    ("seed", -1, "seed must be from 0 to 2**32 - 1, not -1."),
    ("seed", 2 ** 32, "seed must be from 0 to 2**32 - 1, not 4294967296."),
    ("seed", 1.0, "seed must be from 0 to 2**32 - 1, not 1.0."),
]


def papermill_command(folder, parameters):
    """As README has it, with -y in place of several -p."""
    return [sys.executable, "-m", "papermill", NOTEBOOK.name, str(folder / "out.ipynb"), "--no-progress-bar",
            "-y", yaml.safe_dump(parameters), "-p", "data_root", str(ROOT / "data")]


@pytest.mark.mnist
def test_nonsense_ends_papermill_with_its_sentence(tmp_path):
    done = subprocess.run([*papermill_command(tmp_path, {"hidden_size": 0}), "--cwd", tmp_path], cwd=ROOT,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and done.stderr.strip().endswith("ValueError: " + NONSENSE[0][2])


@pytest.fixture
def set_up(functions, stored, tmp_path, monkeypatch):
    """Execute the cell with other settings. What it sets for the whole process is put back afterwards."""
    import matplotlib.pyplot as plt
    import torch
    source, = [cell.source for cell in stored.cells if cell.id == "set-up"]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))   # for the folder that it makes
    formats = mock.Mock()   # the real one needs a kernel
    monkeypatch.setattr("matplotlib_inline.backend_inline.set_matplotlib_formats", formats)

    def execute(**settings):
        names = functions | settings
        exec(source, names)
        return names, formats

    with kept(), plt.rc_context():
        yield execute
    torch.set_printoptions(profile="default")


@pytest.mark.parametrize("name, value, sentence", NONSENSE)
def test_nonsense_is_named_at_once(set_up, tmp_path, name, value, sentence):
    import torch
    torch.set_default_dtype(torch.float16)
    with pytest.raises(ValueError) as error:
        set_up(**{name: value})
    assert str(error.value) == sentence
    went_on = torch.get_default_dtype() != torch.float16 or any(tmp_path.iterdir())
    assert not went_on, "it went on and set something up"


@pytest.mark.parametrize("settings", [{}, {"bits": 32}, {"seed": 0, "lr": 1}, {
    "seed": 2 ** 32 - 1, "batch_size": 1, "hidden_size": 1, "epochs": 1, "fine_epochs": 1, "fine_lr": 1e-9}], ids=str)
def test_what_makes_sense_is_set_up(set_up, settings):
    import matplotlib
    import torch
    matplotlib.rcParams["lines.linewidth"] = 9   # a style of the reader's own
    torch.set_num_threads(2)
    _, formats = set_up(**settings)
    formats.assert_called_once_with("retina")
    assert torch.get_default_dtype() == (torch.float32 if "bits" in settings else torch.float64)
    assert torch.get_num_threads() == 1
    assert matplotlib.rcParams["lines.linewidth"] == 1.5 and matplotlib.rcParams["figure.dpi"] == 80


def test_each_run_has_a_folder_of_its_own_for_the_weights(set_up, tmp_path):
    files = [set_up()[0]["weights_file"] for _ in range(2)]
    folders = [file.parent for file in files]
    assert set(folders) == set(tmp_path.iterdir()) and len(set(folders)) == 2
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


def test_settings_are_checked_before_anything_is_done(stored):
    """Only imports and the settings themselves come before."""
    ids = [cell.id for cell in code_cells(stored)]
    assert ids[:3] == ["imports", "parameters", "set-up"]
    assert set(papermill.inspect_notebook(str(NOTEBOOK))) == {
        "seed", "bits", "batch_size", "hidden_size", "lr", "epochs", "fine_lr", "fine_epochs", "data_root"}
