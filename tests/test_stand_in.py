"""The whole notebook runs on the stand-in, and its checks hold."""

import subprocess
import sys

import papermill

from cells import NOTEBOOK, ROOT, code_cells


def test_the_notebook_runs_on_the_stand_in(tmp_path):
    subprocess.run([sys.executable, ROOT / "data" / "prepare.py", "--stand-in"], check=True)
    nb = papermill.execute_notebook(NOTEBOOK, tmp_path / NOTEBOOK.name, cwd=tmp_path, progress_bar=False,
                                    parameters={"data_root": str(ROOT / "data" / "stand-in")})
    first_output = next(cell.outputs[0].text for cell in code_cells(nb) if cell.outputs)
    assert first_output.startswith("These are NOT the MNIST digits")
