"""Real environments, `make` in a folder that was moved, a run that is stopped, and README's sweep."""

import os
import shlex
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from notebook_file import NOTEBOOK, ROOT, before, read
from sandbox import copy_project

pytestmark = pytest.mark.skipif(os.name == "nt", reason="make and signals are POSIX's")
OWN = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}


def run(*command, folder):
    """What it prints. It is no part of a make that runs these tests."""
    return subprocess.run(command, cwd=folder, check=True, timeout=300, env=OWN | {"PYTHON": sys.executable},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


@pytest.fixture
def folder(tmp_path):
    """The project."""
    copy_project(tmp_path / "project")
    return tmp_path / "project"


def test_an_environment_that_broke_or_was_moved(folder):
    """One that broke is made anew. Scripts in .venv/bin name the folder of their making: make calls none."""
    for name in ("requirements.txt", "tests/requirements.txt"):
        (folder / name).write_text("")   # only the environment itself is made
    python = folder / ".venv" / "bin" / "python"
    for said in ("", "The Python of .venv can't be used: making .venv anew.\n"):
        assert run("make", "install", folder=folder).startswith(said)
        assert run("make", "install", folder=folder) == ""
        run(python, "-m", "pip", "--version", folder=folder)
        python.unlink()
        python.symlink_to("/gone/python3")

    run("make", "install", folder=folder)
    moved = folder.rename(folder.with_name("moved and renamed"))
    with pytest.raises(FileNotFoundError):
        run(moved / ".venv" / "bin" / "pip", "--version", folder=moved)
    assert run("make", "install", folder=moved) == ""
    targets = ["run", "lab", "refresh", "zh", "test", "everywhere", "mutants"]
    words = run("make", "--dry-run", *targets, folder=moved).split()
    assert {word for word in words if word.startswith(".venv/bin/")} == {".venv/bin/python"}
    assert run(moved / ".venv/bin/python", "-c", "", folder=moved) == ""


@pytest.mark.mnist
def test_one_line_when_a_run_is_stopped(folder):
    """By Ctrl-C, while the notebook is executed; what an earlier run left is as it was."""
    build = folder / "build"
    build.mkdir()
    for suffix in (".ipynb", ".html"):
        (build / f"{NOTEBOOK.stem}{suffix}").write_text("old")
    process = subprocess.Popen([sys.executable, "tools/execute.py", "run"], cwd=folder, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    said = ""
    while "Executing:   1%" not in said:   # the kernel is at work
        assert (letter := process.stderr.read(1)), said
        said += letter
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    rest = process.communicate(timeout=30)[1].splitlines()
    assert process.returncode == 130
    assert [line for line in rest if "cell" not in line and line.strip()] == ["Stopped."]
    assert [path.read_text() for path in build.iterdir()] == ["old", "old"]


def test_readme_s_sweep_in_a_fresh_clone(folder):
    """The line as it stands there, for one width, on a notebook that ends after the settings."""
    nbformat.write(before(read(), "data-intro"), folder / NOTEBOOK.name)
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    line, = [line for line in lines if "papermill 04" in line]
    line = line.replace("16 64 256", "16").replace(".venv/bin/python", shlex.quote(sys.executable))
    run("sh", "-c", line, folder=folder)
    assert (folder / "build" / "hidden-16.ipynb").exists()
