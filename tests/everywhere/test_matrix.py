"""The core in the rows that differ most from a plain run; `make matrix` does all rows, whole."""

import pytest

from matrix import check


@pytest.mark.mnist
@pytest.mark.parametrize("name", [
    "2 threads, no vector instructions", "MKL_CBWR=COMPATIBLE, 2 threads",
    "locale C, UTC+14, cold cache, path with spaces, no vector instructions, 2 threads"])
def test_same_digits(name, tmp_path):
    assert check(name, tmp_path, core_only=True) == ""
