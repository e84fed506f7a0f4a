"""The core on a pretended accelerator: the stored digits, and an error wherever a tensor is not where it should be."""

import pytest

from cells import code_cells, core
from execute import executed
from compare import difference
from pretended_accelerator import REGISTER


@pytest.mark.mnist
@pytest.mark.timeout(600)
def test_the_core_on_an_accelerator(stored, folder_with_data):
    fresh = executed(core(stored), before_it=REGISTER, folder=folder_with_data)
    for before, after in zip(code_cells(core(stored)), code_cells(fresh), strict=True):
        assert difference(before, after.outputs) == [], before.id
    printed = {cell.id: cell.outputs[0].get("text") for cell in code_cells(fresh) if cell.outputs}
    assert printed["wrap-loaders"] == "We train on: pretended. The batch is on: pretended:0.\n"
