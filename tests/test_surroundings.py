"""Settings of the user's own don't reach what is executed, checked and stored."""

import os
import subprocess
import sys

import pytest
from nbformat.v4 import new_code_cell, new_notebook

import surroundings
from cells import ROOT
from execute import executed

CODE = """1
import matplotlib.pyplot as plt
assert plt.rcParams["font.size"] == 10
plt.plot([1, 2, 3])
plt.show()"""
OWN = {"MPLBACKEND": "agg", "PYTHONOPTIMIZE": "1", "PYTHONDEVMODE": "1"}


@pytest.fixture
def settings_of_ones_own(tmp_path, monkeypatch):
    """No pictures, no assertions, large letters, every line's value shown, and a file that prints at the start."""
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "own.py").write_text("two = 2")
    (tmp_path / "profile_default" / "ipython_config.py").write_text(
        'get_config().InteractiveShell.ast_node_interactivity = "all"')
    (tmp_path / "matplotlibrc").write_text("font.size: 30")
    for name, value in (OWN | {"IPYTHONDIR": str(tmp_path), "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}).items():
        monkeypatch.setenv(name, value)


def outputs():
    cells = [new_code_cell(CODE), new_code_cell("'two' in globals()")]
    first, second = executed(new_notebook(cells=cells)).cells
    return [sorted(output.get("data", {})) for output in first.outputs], second.outputs[0].data["text/plain"]


def test_they_change_what_a_kernel_gives(settings_of_ones_own):
    """The control of the next test: these settings are ones that matter."""
    shown, startup = outputs()
    assert ["image/png", "text/plain"] not in shown and len(shown) > 1 and startup == "True"


def test_they_are_shut_out(settings_of_ones_own):
    surroundings.shut_out()
    assert outputs() == ([["image/png", "text/plain"]], "False")


@pytest.mark.parametrize("module", ["execute", "check_notebook"])
def test_whoever_starts_a_kernel_shuts_them_out(module):
    done = subprocess.run([sys.executable, "-c", f"import {module}, os; print({sorted(OWN)} & os.environ.keys())"],
                          env=os.environ | OWN | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tools"), str(ROOT / "tests")])},
                          capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
