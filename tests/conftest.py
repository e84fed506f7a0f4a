"""What several test files use."""

from unittest import mock

import pytest

from compare import difference
from notebook_file import ROOT, code_cells, read
from torch_settings import kept


@pytest.fixture(scope="session")
def stored():
    """The committed notebook."""
    return read()


@pytest.fixture
def differing(stored):
    """A function: the ids of a run's cells that were not executed, or gave other outputs than stored."""
    cells = {cell.id: cell for cell in stored.cells}
    return lambda fresh: [cell.id for cell in code_cells(fresh)
                          if cell.execution_count is None or difference(cells[cell.id], cell.outputs)]


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
def after(stored, tmp_path, monkeypatch):
    """Execute cells of the notebook after its definitions, with other names: returns all names afterwards."""
    import matplotlib.pyplot as plt
    import torch

    from notebook_names import NAMES
    sources = {cell.id: cell.source for cell in code_cells(stored)}
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))   # where it makes a folder
    monkeypatch.setattr("matplotlib_inline.backend_inline.set_matplotlib_formats", mock.Mock())
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))

    def execute(*cells, **names):
        scope = NAMES | names
        for cell in cells:
            exec(compile(sources[cell], f"<cell {cell}>", "exec"), scope)
        return scope

    with kept(), plt.rc_context():   # what the cell `set-up` sets for the whole process
        yield execute
    plt.close("all")
    torch.set_printoptions(profile="default")
