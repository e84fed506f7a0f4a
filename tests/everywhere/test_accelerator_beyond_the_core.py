"""The whole notebook on the pretended accelerator, and mistakes that it notices."""

import copy

import pytest
from nbclient.exceptions import CellExecutionError

from cells import code_cells, core, has_tag
from execute import executed
from compare import difference
from pretended_accelerator import REGISTER

pytestmark = [pytest.mark.mnist, pytest.mark.timeout(1200)]

# Cell, what stands there, what it becomes, the cell that fails.
MISTAKES = [
    ("to-device", "yield to_device(batch, self.device)", "yield batch", "wrap-loaders"),
    ("untrained", "model = to_device(model, device)\n", "", "untrained"),
    ("way-back", "xb[hardest, 0].cpu()", "xb[hardest, 0]", "way-back"),
    ("predict", "for xb, yb in valid_dl]).cpu()", "for xb, yb in valid_dl])", "predict"),
    ("hidden-units", '["linear1.weight"].cpu()', '["linear1.weight"]', "hidden-units"),
    ("why", "parameter.detach().cpu()", "parameter.detach()", "why"),
    ("draw-a-digit", "images.to(model.linear1.weight)", "images", "draw"),
    ("compare-times", "targets = to_device(dataset.targets, device)", "targets = dataset.targets", "compare-times"),
    ("trials", "to_device(deep_model(sizes), train_dl.device)", "deep_model(sizes)", "sizes-run"),
    ("steps", "to_device([xb[:100].float(), yb[:100]], place)", "[xb[:100].float(), yb[:100]]", "steps"),
]


def test_all_sections_on_an_accelerator(stored, folder_with_data):
    fresh = executed(stored, before_it=REGISTER, folder=folder_with_data)
    for before, after in zip(code_cells(stored), code_cells(fresh), strict=True):
        assert difference(before, after.outputs) == [], before.id


def up_to(nb, last):
    """A copy of the notebook to this cell, with short trainings; beyond the core, only with what that cell needs."""
    shorter, in_core = copy.deepcopy(nb), {cell.id for cell in core(nb).cells}
    end = [cell.id for cell in nb.cells].index(last) + 1
    shorter.cells = [cell for cell in shorter.cells[:end]
                     if cell.id in in_core | {last} or has_tag(cell, "definition")]
    parameters, = [cell for cell in shorter.cells if has_tag(cell, "parameters")]
    parameters.source += "\nepochs = fine_epochs = 1"
    return shorter


@pytest.mark.parametrize("cell_id, was, becomes, failing", MISTAKES, ids=[mistake[0] for mistake in MISTAKES])
def test_a_mistake_is_noticed(stored, folder_with_data, cell_id, was, becomes, failing):
    nb = up_to(stored, failing)
    cell, = [cell for cell in nb.cells if cell.id == cell_id]
    assert was in cell.source
    cell.source = cell.source.replace(was, becomes)
    with pytest.raises(CellExecutionError) as failure:
        executed(nb, before_it=REGISTER, folder=folder_with_data)
    source = next(cell.source for cell in nb.cells if cell.id == failing)
    assert source in str(failure.value)
