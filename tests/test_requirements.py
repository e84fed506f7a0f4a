"""requirements.txt and environment.yml name the same packages, pinned."""

import re

import pytest
import yaml

from cells import ROOT

CONDA_NAMES = {"torch": "pytorch"}


def pip_requirements(path):
    lines = [line.split("#")[0].strip() for line in (ROOT / path).read_text(encoding="utf-8").splitlines()]
    return dict(re.fullmatch(r"([\w.-]+?)([=<>].*)", line).groups() for line in lines if line)


def test_environment_is_in_step():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == "04-feedforward-nn" and environment["channels"] == ["conda-forge"]
    *conda, from_pip = environment["dependencies"]
    conda = {re.match(r"[\w-]+", entry)[0]: entry for entry in conda}
    assert conda.pop("python") == "python>=3.11" and conda.pop("pip")
    expected = pip_requirements("requirements.txt")
    assert from_pip == {"pip": [f"jovian{expected.pop('jovian')}"]}
    assert conda == {CONDA_NAMES.get(name, name): CONDA_NAMES.get(name, name) + pin.replace("==", "=")
                     for name, pin in expected.items()}


@pytest.mark.parametrize("path", ["requirements.txt", "tests/requirements.txt"])
def test_pinned_exactly(path):
    loose = {name: pin for name, pin in pip_requirements(path).items() if not pin.startswith("==")}
    assert loose == ({"setuptools": ">=77.0.3,<81"} if path == "requirements.txt" else {})
