"""The core on a pretended accelerator: the stored digits, and an error where a tensor is misplaced."""

import pytest

from execute import executed
from notebook_file import core
from pretended_accelerator import REGISTER


@pytest.mark.mnist
@pytest.mark.timeout(600)
def test_the_core_on_an_accelerator(stored, folder_with_data, differing):
    fresh = executed(core(stored), before_it=REGISTER, folder=folder_with_data)
    printed = {cell.id: cell.outputs[0].text for cell in fresh.cells if cell.id == "wrap-loaders"}
    assert printed == {"wrap-loaders": "We train on: pretended. The batch is on: pretended:0.\n"}
    assert differing(fresh) == []
