"""The settings at the top of the notebook: those that make no sense end in one clear sentence."""

import subprocess
import sys

import papermill
import pytest
import yaml

from cells import NOTEBOOK, ROOT, code_cells

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
    ("fine_lr", "small", "fine_lr must be a number above 0, not 'small'."),
    ("fine_lr", None, "fine_lr must be a number above 0, not None."),
    ("with_cifar10", "no", "with_cifar10 must be True or False, not 'no'."),
    ("seed", -1, "seed must be a whole number from 0 to 2**32 - 1, not -1."),
    ("seed", 2 ** 32, "seed must be a whole number from 0 to 2**32 - 1, not 4294967296."),
    ("seed", 1.0, "seed must be a whole number from 0 to 2**32 - 1, not 1.0."),
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


@pytest.mark.parametrize("name, value, sentence", NONSENSE)
def test_nonsense_is_named_at_once(functions, stored, name, value, sentence):
    check, = [cell.source for cell in stored.cells if cell.id == "check-settings"]
    exec(check, dict(functions))
    with pytest.raises(ValueError) as error:
        exec(check, functions | {name: value})
    assert str(error.value) == sentence


def test_settings_are_checked_before_anything_is_done(stored):
    """Only imports and the settings themselves come before."""
    ids = [cell.id for cell in code_cells(stored)]
    before = ids[:ids.index("check-settings")]
    assert before == ["imports", "parameters"]
    assert set(papermill.inspect_notebook(str(NOTEBOOK))) == {
        "seed", "batch_size", "hidden_size", "lr", "epochs", "fine_lr", "fine_epochs", "data_root", "with_cifar10"}
