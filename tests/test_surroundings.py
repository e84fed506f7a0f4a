"""Settings of the user's own don't reach what is executed, checked and stored."""

import os
import subprocess
import sys

import pytest

from cells import ROOT

OUTPUTS = """
from execute import executed
from nbformat.v4 import new_code_cell, new_notebook
code = '''1
import matplotlib.pyplot as plt
assert plt.rcParams["font.size"] == 10
plt.plot([1, 2, 3])
plt.show()'''
first, second = executed(new_notebook(cells=[new_code_cell(code), new_code_cell("'two' in globals()")])).cells
print([sorted(output.get("data", [])) for output in first.outputs], second.outputs[0].data["text/plain"])
"""


@pytest.mark.parametrize("code, printed", [
    (OUTPUTS, "[['image/png', 'text/plain']] False"),
    ("import check_notebook, os; print(os.environ['IPYTHONDIR'] == sys.argv[1])", "False")],
    ids=["execute", "check_notebook"])
def test_they_are_shut_out(code, printed, tmp_path):
    """No pictures, no assertions, large letters, every line's value shown, a file executed at the start."""
    profile = tmp_path / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "own.py").write_text("two = 2")
    (profile / "ipython_config.py").write_text('get_config().InteractiveShell.ast_node_interactivity = "all"')
    (tmp_path / "matplotlibrc").write_text("font.size: 30")
    own = {"MPLBACKEND": "agg", "PYTHONDEVMODE": "1", "PYTHONOPTIMIZE": "1", "IPYTHONDIR": str(tmp_path),
           "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    start = f"import sys; sys.path[:0] = {[str(ROOT / name) for name in ('tools', 'tests')]}\n"
    done = subprocess.run([sys.executable, "-c", start + code, tmp_path], env=os.environ | own,
                          capture_output=True, text=True)
    assert done.stdout == f"{printed}\n", done.stderr
