"""The core with other settings runs to the end."""

import pytest

from cells import ROOT, code_cells, core, has_tag
from execute import executed

SHORT = {"epochs": 1, "fine_epochs": 1}
GRID = [
    {"bits": 32},
    {"hidden_size": 64, "seed": 7},
    {"hidden_size": 1, "batch_size": 1000, "lr": 0.05, "seed": 0, **SHORT},
    {"hidden_size": 200, "batch_size": 290, "fine_lr": 1, "seed": 2 ** 32 - 1, **SHORT},
]


@pytest.mark.mnist
@pytest.mark.parametrize("settings", GRID, ids=str)
def test_sensible_settings_run_to_the_end(stored, settings, tmp_path):
    nb = core(stored)
    parameters, = [cell for cell in nb.cells if has_tag(cell, "parameters")]
    parameters.source += "".join(f"\n{name} = {value!r}" for name, value in
                                 {**settings, "data_root": str(ROOT / "data")}.items())
    cells = {cell.id: cell for cell in code_cells(executed(nb, folder=tmp_path))}
    assert all(cell.execution_count for cell in cells.values())
    assert f"[{settings.get('hidden_size', 32)}, 784]" in cells["model-create"].outputs[0].text
    assert cells["logits"].outputs[0].text.startswith(f"[{settings.get('batch_size', 100)}, 10]")
