"""The whole notebook on the pretended accelerator, and mistakes that it notices."""

import pytest
from nbclient.exceptions import CellExecutionError

from cells import code_cells, core, has_tag
from execute import executed
from outputs import same_outputs
from pretended_accelerator import REGISTER

pytestmark = [pytest.mark.mnist, pytest.mark.timeout(1200)]

# Cell, what stands there, what it becomes, the cell that fails.
MISTAKES = [
    ("device-data-loader", "yield to_device(batch, self.device)", "yield batch", "check-device"),
    ("untrained", "model = to_device(model, device)\n", "", "untrained"),
    ("test-predict", "for xb, yb in test_dl]).cpu()", "for xb, yb in test_dl])", "test-score"),
    ("hidden-units", ".detach().cpu()", ".detach()", "hidden-units"),
]


def test_all_sections_on_an_accelerator(stored, folder_with_data):
    fresh = executed(stored, before_it=REGISTER, folder=folder_with_data)
    for before, after in zip(code_cells(stored), code_cells(fresh), strict=True):
        assert same_outputs(before.outputs, after.outputs, has_tag(before, "varies")), before.id


@pytest.mark.parametrize("cell_id, was, becomes, failing", MISTAKES, ids=[mistake[0] for mistake in MISTAKES])
def test_a_mistake_is_noticed(stored, folder_with_data, cell_id, was, becomes, failing):
    nb = core(stored)
    cell, = [cell for cell in nb.cells if cell.id == cell_id]
    assert was in cell.source
    cell.source = cell.source.replace(was, becomes)
    with pytest.raises(CellExecutionError) as failure:
        executed(nb, before_it=REGISTER, folder=folder_with_data)
    source = next(cell.source for cell in nb.cells if cell.id == failing)
    assert source in str(failure.value)
