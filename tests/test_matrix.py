"""The strict check in the four runs that differ most from a plain one; `make matrix` does all of them."""

import pytest

from matrix import CI_ROWS, ROWS, check


@pytest.mark.digits
@pytest.mark.parametrize("name", CI_ROWS)
def test_same_everywhere(name, tmp_path):
    row = next(row for row in ROWS if row.name == name)
    outcome, seconds, output = check(row, tmp_path)
    assert outcome == "passed", output
