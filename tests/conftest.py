"""What several test files use."""

import pytest

from cells import definitions, read
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
def notebook_precision():
    """Torch's settings as the notebook's cell `precision` makes them; afterwards as they were."""
    import torch
    with kept():
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(1)
        yield
