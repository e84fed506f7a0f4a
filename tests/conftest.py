"""How the notebook is checked: nbval compares the text, this adds the pictures."""

import copy

import pytest
from nbval.plugin import IPyNbCell

from cells import definitions, read
from execute import refreshed
from outputs import is_varying_picture, png, same_picture
from prose import answers, asking_cell


def pytest_collectstart(collector):
    # nbval compares no pictures unless told to.
    if hasattr(collector, "skip_compare"):
        collector.skip_compare = tuple(key for key in collector.skip_compare if key != "image/png")


def compare_outputs(cell, fresh, stored, skip_compare=None, nbval_compare=IPyNbCell.compare_outputs):
    """nbval's comparison, with pictures compared as pictures."""
    for i, (before, after) in enumerate(zip(stored, fresh)):
        name = f"{cell.cell.get('id', cell.cell_num)}-{i}"
        pictures = png(before), png(after)
        if None not in pictures and (is_varying_picture(before) or same_picture(*pictures, name=name)):
            after.data["image/png"] = before.data["image/png"]
    return nbval_compare(cell, fresh, stored, skip_compare)


IPyNbCell.compare_outputs = compare_outputs


@pytest.fixture(scope="session")
def stored():
    """The committed notebook."""
    return read()


@pytest.fixture(scope="session")
def fresh_and_values(stored):
    """The notebook executed anew as `make refresh` does it, and what the claims in its text come to."""
    asking = copy.deepcopy(stored)
    asking.cells.append(asking_cell(stored))
    executed = refreshed(asking)
    return executed, answers(executed.cells.pop())


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
