"""A small fixed sample of the mutants; `make mutants` does all of them."""

import subprocess
import sys

import pytest

from notebook_file import ROOT


@pytest.mark.mnist
def test_a_sample_of_mutants_is_noticed():
    done = subprocess.run([sys.executable, ROOT / "tests" / "mutants.py", "sample"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
