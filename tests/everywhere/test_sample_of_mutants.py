"""A small fixed sample of the mutants; `make mutants` does all of them."""

import subprocess
import sys

import pytest

from cells import ROOT


@pytest.mark.mnist
def test_a_sample_of_mutants_is_noticed():
    result = subprocess.run([sys.executable, ROOT / "tests" / "mutants.py", "sample"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
