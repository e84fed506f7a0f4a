"""What several test files use."""

import importlib.util

import pytest

from cells import ROOT, code_cells, definitions, has_tag, read
from outputs import same_outputs
from torch_settings import kept


@pytest.fixture(scope="session")
def stored():
    """The committed notebook."""
    return read()


@pytest.fixture(scope="session")
def functions(stored):
    """What the notebook defines, by name."""
    return definitions(stored)


@pytest.fixture
def differing(stored):
    """A function: the ids of a run's cells that were not executed, or gave other outputs than stored."""
    cells = {cell.id: cell for cell in stored.cells}

    def found(fresh):
        return [cell.id for cell in code_cells(fresh) if cell.execution_count is None or not same_outputs(
            cells[cell.id].outputs, cell.outputs, has_tag(cells[cell.id], "varies"))]
    return found


@pytest.fixture
def folder_with_data(tmp_path):
    """An empty folder but for data/, to execute the notebook in."""
    (tmp_path / "data").symlink_to(ROOT / "data", target_is_directory=True)
    return tmp_path


@pytest.fixture
def notebook_precision():
    """Torch's settings as the notebook's cell `set-up` makes them; afterwards as they were."""
    import torch
    with kept():
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(1)
        yield


@pytest.fixture
def ddp(notebook_precision):
    """examples/ddp.py as a module, with the notebook's functions in it, under its settings."""
    spec = importlib.util.spec_from_file_location("ddp", ROOT / "examples" / "ddp.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
