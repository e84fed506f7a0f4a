"""What several test files use: the notebook as it is stored, and executed anew once."""

import copy

import pytest

from cells import definitions, read
from execute import executed, refreshed
from prose import answers, asking_cell
from torch_settings import kept


@pytest.fixture(scope="session")
def stored():
    """The committed notebook."""
    return read()


@pytest.fixture(scope="session")
def fresh_and_values(stored):
    """The notebook executed anew as `make refresh` does it, and what the claims in its text come to."""
    asking = copy.deepcopy(stored)
    asking.cells.append(asking_cell(stored))
    run = executed(asking)
    values = answers(run.cells.pop())
    return refreshed(stored, run), values


@pytest.fixture(scope="session")
def fresh(fresh_and_values):
    return fresh_and_values[0]


@pytest.fixture(scope="session")
def values(fresh_and_values):
    return fresh_and_values[1]


@pytest.fixture(scope="session")
def functions(stored):
    """What the notebook defines, by name."""
    return definitions(stored)


@pytest.fixture
def notebook_precision():
    """Torch's settings as the notebook's cell `precision` makes them; afterwards as they were."""
    import torch
    with kept():
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(1)
        yield
