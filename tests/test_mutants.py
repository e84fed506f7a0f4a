"""What tests/mutants.py takes for noticed; everywhere/test_sample_of_mutants.py tries a sample of the mutants."""

import copy
import types

import pytest

import mutants
from cells import NOTEBOOK
from mutants import Mutant, first_noticed

CHANGED = Mutant("accuracy", "def accuracy(outputs, labels):\n    return 1.0", "by hand")
CONTROL = Mutant("", "", "control")


@pytest.fixture
def pytest_ends(monkeypatch):
    """Let each run of pytest end in the next of the given statuses. Returns the files that were run."""
    def ends(*statuses):
        ran, left = [], list(statuses)

        def run(command, **options):
            ran.append(command[command.index("no:xdist") + 1:])
            return types.SimpleNamespace(returncode=left.pop(0), stdout="FAILED tests/test_x.py::test - 1\n", stderr="")
        monkeypatch.setattr(mutants, "copy_project", lambda folder: None)
        monkeypatch.setattr(mutants.subprocess, "run", run)
        return ran
    return ends


def test_a_failed_test_notices_a_mutant(pytest_ends):
    ran = pytest_ends(0, 1)
    assert first_noticed(CHANGED, copy.deepcopy) == "tests/test_x.py"
    assert ran == [mutants.ALONE, [NOTEBOOK.name]]


def test_what_passes_every_check_is_not_noticed(pytest_ends):
    ran = pytest_ends(0, 0, 0)
    assert first_noticed(CHANGED, copy.deepcopy) is None and ran[-1] == mutants.OTHERS


@pytest.mark.parametrize("status", [2, 3, 4, 5, -9])
def test_another_end_of_pytest_notices_nothing(pytest_ends, status):
    pytest_ends(status)
    with pytest.raises(RuntimeError, match=f"ended with status {status} on accuracy"):
        first_noticed(CHANGED, copy.deepcopy)


def test_the_notebook_as_it_is_goes_first(pytest_ends):
    ran = pytest_ends(1)
    with pytest.raises(SystemExit, match="The notebook as it is fails in tests/test_x.py"):
        mutants.main(sample=True)
    assert ran == [["-k", "not figure", NOTEBOOK.name]]


def test_another_check_is_tried_again_on_every_mutant(monkeypatch):
    before = CHANGED.key()
    assert CHANGED.key() == before
    monkeypatch.setattr(mutants, "checks", lambda: b"other checks")
    assert CHANGED.key() != before


def test_all_that_decides_is_part_of_the_key():
    text = mutants.checks().decode()
    for name in ("conftest.py", "check_notebook.py", "test_functions.py", "compare.py", "pyproject.toml"):
        assert name in text


def test_a_change_of_an_assert_is_no_mutant():
    assert Mutant("cell", "x = 1\nassert x == 2", "").changes_a_check("x = 1\nassert x == 1")
    assert not Mutant("cell", "x = 2\nassert x == 1", "").changes_a_check("x = 1\nassert x == 1")
