"""The core, strictly compared, in the runs that differ most from a plain one; `make matrix` does all of them, whole."""

import pytest

from matrix import EVERYWHERE, ROWS, check


@pytest.mark.mnist
@pytest.mark.parametrize("name", EVERYWHERE)
def test_same_digits(name, tmp_path):
    row = next(row for row in ROWS if row.name == name)
    outcome, seconds, output = check(row, tmp_path, core_only=True)
    assert outcome == "passed", output
