"""What tools/install.py installs, into which Python, and that it says why where it can't. In real environments: everywhere/test_environment.py."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import zipfile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import install
from cells import ROOT
from install import LISTS


def requirements(path):
    """The requirements of a list that are meant for this system."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [each for each in map(Requirement, filter(None, lines)) if each.marker is None or each.marker.evaluate()]


def pinned():
    """The version of each package by the constraints, on this system."""
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in requirements(install.CONSTRAINTS)}


# Constraints

def test_the_constraints_hold_what_the_lists_name():
    for each in [each for path in LISTS for each in requirements(path)]:
        assert each.specifier.contains(pinned()[canonicalize_name(each.name)]), f"{each}: run tools/pins.py"


def test_what_is_installed_is_what_the_constraints_say():
    """So one who installs in two years gets what was checked, and `make test` changed nothing that `make run` installed."""
    installed = {canonicalize_name(each.metadata["Name"]): each.version for each in importlib.metadata.distributions()}
    assert {name: version for name, version in pinned().items() if Version(installed[name]).public != version} == {}


def test_they_name_no_place():
    assert not re.search(r"://|@|--", install.CONSTRAINTS.read_text(encoding="utf-8"))


# Which Python

@pytest.mark.parametrize("version, system, machine, macos, words", [
    ((3, 11), "Linux", "x86_64", "", None), ((3, 14), "Windows", "AMD64", "", None), ((3, 13), "Darwin", "arm64", "14.1", None),
    ((3, 10), "Linux", "x86_64", "", "This is Python 3.10: Python 3.11 or newer is needed."),
    ((3, 15), "Linux", "x86_64", "", "This is Python 3.15: the pinned numpy has no wheel for it yet. Name one from 3.11 to 3.14"),
    ((3, 13), "Darwin", "x86_64", "15.0", "no wheel for Macs with Intel processors"),
    ((3, 13), "Darwin", "arm64", "13.7.1", "macOS 14 and newer; this is 13.7.1."),
])
def test_which_python_on_which_system(version, system, machine, macos, words):
    said = install.fault(version, system, machine, macos)
    assert said is None if words is None else words in said


def test_an_old_python_can_read_it():
    """Without what came after Python 3.6, which still says that it is too old."""
    import ast
    ast.parse((ROOT / "tools" / "install.py").read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of its own with two lists, in which a script plays .venv's Python. Returns it, and what makes the script."""
    if os.name == "nt":
        pytest.skip("the script that plays Python is a shell's")
    for name, value in {"VENV": tmp_path / ".venv", "PYTHON": tmp_path / ".venv" / "bin" / "python",
                        "DONE": tmp_path / ".venv" / "installed", "CONSTRAINTS": tmp_path / "constraints.txt"}.items():
        monkeypatch.setattr(install, name, value)
    for name in ("constraints.txt", "a.txt", "b.txt"):
        (tmp_path / name).write_text(name)

    def python(version, status=0, pip_status=0, lacks=""):
        install.PYTHON.parent.mkdir(parents=True, exist_ok=True)
        install.PYTHON.write_text(f'#!/bin/sh\nif [ "$3" = config ]; then exit 0; fi\n'
                                  f'if [ "$1" = -c ]; then [ $# = 2 ] && echo {version} || echo {lacks}; exit {status}; fi\n'
                                  f'echo "$@" >> "{tmp_path}/calls"; exit {pip_status}\n')
        install.PYTHON.chmod(0o755)
    return tmp_path, python


def calls(folder):
    return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


@pytest.mark.parametrize("version, status, usable", [("3 12", 0, True), ("3 10", 0, False), ("3 15", 0, False), ("3 12", 1, False)])
def test_usable(place, version, status, usable):
    assert not install.usable()   # there is none
    place[1](version, status)
    assert install.usable() == usable


def test_a_python_that_is_gone_is_not_usable(place):
    install.PYTHON.parent.mkdir(parents=True)
    install.PYTHON.symlink_to("gone")
    assert not install.usable()


def test_what_is_installed_stays(place):
    folder, python = place
    python("3 12")
    lists = [folder / "a.txt", folder / "b.txt"]
    assert install.install(lists[:1]) == 0 and install.install(lists[:1]) == 0 and len(calls(folder)) == 1
    assert install.install(lists) == 0 and install.install(lists) == 0 and install.install(lists[:1]) == 0
    assert len(calls(folder)) == 2 and calls(folder)[1].count("--requirement") == 2
    assert all(f"--constraint {folder}/constraints.txt" in call and call.startswith("-m pip install") for call in calls(folder))
    (folder / "constraints.txt").write_text("another version")
    install.install(lists)
    assert len(calls(folder)) == 3
    (folder / "constraints.txt").write_text("constraints.txt")   # back to the first
    install.install(lists)
    assert len(calls(folder)) == 4


def test_a_stopped_installation_is_taken_up_again(place, monkeypatch):
    folder, python = place
    python("3 12")
    assert install.install([folder / "a.txt"]) == 0
    (folder / "a.txt").write_text("another list")
    python("3 12", pip_status=1)
    assert install.install([folder / "a.txt"]) == 1
    (folder / "a.txt").write_text("a.txt")
    python("3 12")
    assert install.install([folder / "a.txt"]) == 0 and len(calls(folder)) == 3


def test_what_is_called_done_was_looked_at(place, capsys):
    folder, python = place
    python("3 12", lacks="a.txt")
    assert install.install([folder / "a.txt"]) == 1 and not install.DONE.exists()
    assert "has no a.txt" in capsys.readouterr().err
    python("3 12")
    assert install.install([folder / "a.txt"]) == 0 and install.DONE.exists()


def test_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(install, "PYTHON", sys.executable)
    (tmp_path / "list.txt").write_text("# comment\npytest==1.0\nsetuptools>=77,<81\nno-such-thing==2\n")
    assert install.missing([tmp_path / "list.txt"], os.environ) == ["no-such-thing"]
    assert install.missing(LISTS, os.environ) == []


def test_of_pip_s_settings_those_that_people_need(tmp_path, monkeypatch):
    """Where packages come from, and by which way; not where they go, nor whether."""
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://a.org/simple\nextra-index-url =\n  https://b.org\n  https://c.org\n"
                                       "cert = /etc/own.pem\ntarget = /elsewhere\n[install]\nno-deps = true\n[download]\nno-index = true\n")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    own = {"CONFIG_FILE": str(tmp_path / "pip.conf"), "TARGET": "/elsewhere", "PREFIX": "/elsewhere", "ROOT": "/elsewhere",
           "DRY_RUN": "1", "USER": "1", "NO_DEPS": "1", "IGNORE_INSTALLED": "1", "INDEX_URL": "https://d.org/simple",
           "PROXY": "http://proxy:1", "CACHE_DIR": "/cache"}
    for name, value in own.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setattr(install, "PYTHON", sys.executable)
    found = {name: value for name, value in install.environment().items() if name.startswith("PIP_")}
    assert found.pop("PIP_EXTRA_INDEX_URL").split() == ["https://b.org", "https://c.org"]
    found = {name: value for name, value in found.items() if name in ("PIP_CONFIG_FILE", "PIP_NO_INDEX", "PIP_INDEX_URL", "PIP_CERT", "PIP_PROXY", "PIP_CACHE_DIR", *(f"PIP_{each}" for each in own))}
    assert found == {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "https://d.org/simple", "PIP_CERT": "/etc/own.pem",
                     "PIP_PROXY": "http://proxy:1", "PIP_CACHE_DIR": "/cache"}


def test_what_a_link_leads_to_stays(place, monkeypatch):
    """Where .venv is a link that can't be used, only the link goes."""
    folder, python = place
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "mine").touch()
    install.VENV.symlink_to("elsewhere")
    monkeypatch.setattr(install.sys, "executable", "true")   # in place of making one
    with pytest.raises(FileNotFoundError):
        install.install([folder / "a.txt"])
    assert (folder / "elsewhere" / "mine").exists() and not install.VENV.exists()


def test_one_sentence_where_the_environment_can_t_be_made(place, monkeypatch, capsys):
    monkeypatch.setattr(install, "fault", lambda *version: "This is Python 3.10.")
    assert install.install([place[0] / "a.txt"]) == 1
    assert capsys.readouterr().err == "This is Python 3.10.\n" and not install.VENV.exists()


# The CPU build of torch

def wheel(folder, name, version, needs=()):
    """A package without content, as an index holds it."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(folder / name / f"{stem}-py3-none-any.whl", "w") as file:
        info = f"{stem}.dist-info"
        file.writestr(f"{info}/METADATA", "\n".join(
            ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs)]))
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    links = "".join(f'<a href="{path.name}">{path.name}</a>' for path in (folder / name).glob("*.whl"))
    (folder / name / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")


def test_the_cpu_build_is_chosen_and_nothing_else_changes(tmp_path):
    """By what README says to set; two small made-up indexes stand for PyPI's and PyTorch's."""
    setting, = re.findall(r"PIP_EXTRA_INDEX_URL=(\S+) make run", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert setting == "https://download.pytorch.org/whl/cpu"
    versions = pinned()
    for each in requirements(LISTS[0]):
        for_gpus = ["triton", "cuda-toolkit"] if each.name == "torch" else []
        wheel(tmp_path / "main", each.name, versions[canonicalize_name(each.name)], for_gpus)
    for name in ("triton", "cuda-toolkit"):
        wheel(tmp_path / "main", name, "1")
    for name in ("torch", "torchvision"):
        wheel(tmp_path / "cpu", name, versions[name] + "+cpu")
        wheel(tmp_path / "cpu", name, "99+cpu")
    for name in ("numpy", "pillow"):
        wheel(tmp_path / "cpu", name, "99")
    free = tmp_path / "constraints.txt"   # the GPU's packages are pinned on Linux alone, and differ by system
    free.write_text("\n".join(f"{name}=={version}" for name, version in versions.items() if name not in ("triton", "cuda-toolkit")))

    own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}

    def chosen(**settings):
        arguments = [str(free) if each == str(install.CONSTRAINTS) else each for each in install.arguments(LISTS[:1])]
        done = subprocess.run([sys.executable, "-m", "pip", *arguments, "--dry-run", "--ignore-installed", "--quiet",
                               "--report", "-"], capture_output=True, text=True, env=own | settings | {
            "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": (tmp_path / "main").as_uri()})
        assert done.returncode == 0, done.stderr
        return {each["metadata"]["name"]: each["metadata"]["version"] for each in json.loads(done.stdout)["install"]}

    usual, cpu = chosen(), chosen(PIP_EXTRA_INDEX_URL=(tmp_path / "cpu").as_uri())
    assert usual.pop("triton") and usual.pop("cuda-toolkit")
    assert cpu == usual | {name: versions[name] + "+cpu" for name in ("torch", "torchvision")}
