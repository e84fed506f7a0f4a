"""The core runs on the stand-in, and its asserts hold."""

import subprocess
import sys

from cells import ROOT, code_cells, core
from execute import executed


def test_the_core_runs_on_the_stand_in(stored, tmp_path):
    subprocess.run([sys.executable, ROOT / "data" / "stand_in.py"], check=True)
    nb = core(stored)
    parameters = next(cell for cell in nb.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source += f"\ndata_root = {str(ROOT / 'data' / 'stand-in')!r}"
    first_output = next(cell.outputs[0].text for cell in code_cells(executed(nb, folder=tmp_path)) if cell.outputs)
    assert first_output.startswith("These are NOT the MNIST digits")
