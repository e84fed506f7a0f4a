"""tools/install.py: what it installs, into which Python, and that it says why where it can't.

In real environments: everywhere/test_environment.py.
"""

import ast
import importlib.metadata
import os
import re
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import install
from install import LISTS
from notebook_file import ROOT


def requirements(path):
    """The requirements of a list that are meant for this system: name → versions."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    found = [Requirement(line) for line in lines if line]
    return {canonicalize_name(each.name): each.specifier for each in found
            if each.marker is None or each.marker.evaluate()}


CONSTRAINTS = requirements(install.CONSTRAINTS)
PINNED = {name: str(specifier).strip("=") for name, specifier in CONSTRAINTS.items()}


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.parent.name)
def test_the_constraints_hold_what_a_list_names(path):
    outside = [name for name, specifier in requirements(path).items() if not specifier.contains(PINNED[name])]
    assert outside == [], "run tools/pins.py"


def test_what_is_installed_is_what_the_constraints_say():
    """So one who installs in two years gets what was checked."""
    installed = {canonicalize_name(each.metadata["Name"]): Version(each.version).public
                 for each in importlib.metadata.distributions()}
    assert {name: version for name, version in PINNED.items() if installed[name] != version} == {}


def test_conda_s_list_is_in_step():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == "04-feedforward-nn" and environment["channels"] == ["conda-forge"]
    *conda, from_pip = environment["dependencies"]
    lines = LISTS[0].read_text(encoding="utf-8").replace("torch==", "pytorch==").splitlines()
    listed = {line.replace("==", "=") for line in lines if not line.startswith(("#", "jovian"))}
    assert set(conda) == {"python>=3.11", "pip"} | listed
    assert from_pip == {"pip": [line for line in lines if line.startswith("jovian")]}


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.parent.name)
def test_pinned_exactly(path):
    loose = [name for name, specifier in requirements(path).items() if not str(specifier).startswith("==")]
    assert loose == ["setuptools"] * (path == LISTS[0])


@pytest.mark.parametrize("name", ["torch", "torchvision"])
def test_pytorch_s_cpu_build_is_taken(name):
    """Where README's setting makes pip look: the pins allow it, and of two that fit pip takes the higher."""
    cpu = Version(PINNED[name] + "+cpu")
    assert requirements(LISTS[0])[name].contains(cpu) and CONSTRAINTS[name].contains(cpu)
    assert cpu > Version(PINNED[name])


def test_the_constraints_name_no_place():
    assert not re.search(r"://|@|--", install.CONSTRAINTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("version, system, machine, macos, words", [
    ((3, 11), "Linux", "x86_64", "", None),
    ((3, 14), "Windows", "AMD64", "", None),
    ((3, 13), "Darwin", "arm64", "14.1", None),
    ((3, 10), "Linux", "x86_64", "", "This is Python 3.10: Python 3.11 or newer is needed."),
    ((3, 15), "Linux", "x86_64", "", "This is Python 3.15: the pinned numpy has no wheel for it yet."),
    ((3, 13), "Darwin", "x86_64", "15.0", "no wheel for Macs with Intel processors"),
    ((3, 13), "Darwin", "arm64", "13.7.1", "macOS 14 and newer; this is 13.7.1."),
])
def test_which_python_on_which_system(version, system, machine, macos, words):
    said = install.fault(version, system, machine, macos)
    assert said is None if words is None else words in said


def test_an_old_python_can_read_it():
    """Without what came after Python 3.6, which still says that it is too old."""
    ast.parse((ROOT / "tools" / "install.py").read_text(encoding="utf-8"), feature_version=(3, 6))


class Place:
    """A folder with two lists of packages, in which a script plays .venv's Python."""

    def __init__(self, folder):
        self.folder, self.lists = folder, [folder / "a.txt", folder / "b.txt"]

    def python(self, version="3 12", status=0, pip_status=0, lacks=""):
        """The Python says its version, which packages it lacks, and notes what pip is called with."""
        install.PYTHON.parent.mkdir(parents=True, exist_ok=True)
        install.PYTHON.write_text(f"""#!/bin/sh
            if [ "$3" = config ]; then exit 0; fi
            if [ "$1" = -c ]; then [ $# = 2 ] && echo {version} || echo {lacks}; exit {status}; fi
            echo "$@" >> "{self.folder}/calls"; exit {pip_status}""")
        install.PYTHON.chmod(0o755)

    def calls(self):
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def place(tmp_path, monkeypatch):
    if os.name == "nt":
        pytest.skip("the script that plays Python is a shell's")
    for name, path in {"VENV": ".venv", "PYTHON": ".venv/bin/python", "DONE": ".venv/installed",
                       "CONSTRAINTS": "constraints.txt"}.items():
        monkeypatch.setattr(install, name, tmp_path / path)
    for name in ("constraints.txt", "a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    return Place(tmp_path)


@pytest.mark.parametrize("python, usable", [
    ({}, True), ({"version": "3 10"}, False), ({"version": "3 15"}, False), ({"status": 1}, False)])
def test_usable(place, python, usable):
    assert not install.usable()   # there is none
    place.python(**python)
    assert install.usable() == usable


def test_what_is_installed_stays(place):
    place.python()
    for lists, constraints, n_calls in [
            (place.lists[:1], "", 1), (place.lists, "", 2), (place.lists[:1], "", 2),
            (place.lists, "another version", 3), (place.lists, "", 4)]:
        install.CONSTRAINTS.write_text(constraints)
        assert install.install(lists) == install.install(lists) == 0 and len(place.calls()) == n_calls
    assert place.calls()[1].count("--requirement") == 2
    assert all(f"--constraint {install.CONSTRAINTS}" in call for call in place.calls())


def test_a_stopped_installation_is_taken_up_again(place):
    for text, pip_status in [("a", 0), ("another", 1), ("a", 0)]:
        place.lists[0].write_text(text)
        place.python(pip_status=pip_status)
        assert install.install(place.lists) == pip_status
    assert len(place.calls()) == 3


def test_what_is_called_done_was_looked_at(place, capsys):
    place.python(lacks="numpy")
    assert install.install(place.lists) == 1 and not install.DONE.exists()
    assert "has no numpy" in capsys.readouterr().err


def test_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(install, "PYTHON", sys.executable)
    (tmp_path / "list.txt").write_text("# comment\npytest==1.0\nsetuptools>=77,<81\nno-such-thing==2\n")
    assert install.missing([tmp_path / "list.txt"], os.environ) == ["no-such-thing"]


def test_of_pip_s_settings_those_that_people_need(tmp_path, monkeypatch):
    """Where packages come from, and by which way; not where they go, nor whether."""
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://a.org\nextra-index-url =\n  https://b.org\n  https://c.org\n"
        "cert = /etc/own.pem\ntarget = /elsewhere\n[install]\nno-deps = true\n[download]\nno-index = true\n")
    dropped = ["TARGET", "PREFIX", "ROOT", "DRY_RUN", "USER", "NO_DEPS", "IGNORE_INSTALLED"]
    kept = {"INDEX_URL": "https://d.org", "PROXY": "http://proxy:1", "CACHE_DIR": "/cache"}
    for name in ("EXTRA_INDEX_URL", "CERT", "NO_INDEX"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    own = dict.fromkeys(dropped, "1") | kept | {"CONFIG_FILE": str(tmp_path / "pip.conf")}
    for name, value in own.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setattr(install, "PYTHON", sys.executable)
    found = install.environment()
    expected = dict.fromkeys([*dropped, "NO_INDEX"]) | kept | {
        "EXTRA_INDEX_URL": "\nhttps://b.org\nhttps://c.org", "CERT": "/etc/own.pem",
        "CONFIG_FILE": os.devnull}
    assert {name: found.get(f"PIP_{name}") for name in expected} == expected


def test_what_is_somebody_s_stays(place, monkeypatch, capsys):
    """Where .venv is a link to a folder, only the link goes; a folder with something else in it stays."""
    mine = place.folder / "elsewhere" / "mine"
    mine.parent.mkdir()
    mine.touch()
    install.VENV.symlink_to("elsewhere")
    monkeypatch.setattr(install.sys, "executable", "false")   # in place of making one
    assert install.install(place.lists) == 1 and mine.exists() and not install.VENV.is_symlink()
    mine.parent.rename(install.VENV)
    assert install.install(place.lists) == 1 and (install.VENV / "mine").exists()
    assert "holds something else than Python's packages. Move it elsewhere" in capsys.readouterr().err


def test_one_sentence_where_the_environment_can_t_be_made(place, monkeypatch, capsys):
    monkeypatch.setattr(install, "fault", lambda *version: "This is Python 3.10.")
    assert install.install(place.lists) == 1
    assert capsys.readouterr().err == "This is Python 3.10.\n" and not install.VENV.exists()
