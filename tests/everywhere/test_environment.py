"""tools/install.py with real environments, `make` in a folder that was moved, and tools/execute.py stopped half-way."""

import os
import shlex
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from cells import NOTEBOOK, ROOT, before, read
from places import heed_ctrl_c
from sandbox import copy_project

pytestmark = pytest.mark.skipif(os.name == "nt", reason="make and signals are POSIX's")


def make(folder, *arguments):
    """Status and output of make, not as a part of the make that may run these tests."""
    own = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}
    done = subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, timeout=300,
                          env=own | {"PYTHON": sys.executable})
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path):
    """The project with nothing to install, so that only the environment itself is made."""
    copy_project(tmp_path / "project")
    for name in ("requirements.txt", "tests/requirements.txt"):
        (tmp_path / "project" / name).write_text("")
    return tmp_path / "project"


def python(folder):
    return folder / ".venv" / "bin" / "python"


def test_an_environment_that_broke_is_made_anew(folder):
    status, said = make(folder, "install")
    assert status == 0 and "anew" not in said and python(folder).exists()
    assert make(folder, "install") == (0, "")
    python(folder).unlink()
    python(folder).symlink_to("/gone/python3")
    (folder / ".venv" / "mark").touch()
    status, said = make(folder, "install")
    assert status == 0 and "The Python of .venv can't be used: making .venv anew." in said
    assert subprocess.run([python(folder), "-m", "pip", "--version"]).returncode == 0 and not (folder / ".venv" / "mark").exists()


def test_a_clone_may_be_moved(folder):
    """Scripts in .venv/bin name the folder that they were made in; `make` calls none of them."""
    make(folder, "install")
    moved = folder.rename(folder.with_name("moved and renamed"))
    script = moved / ".venv" / "bin" / "pip"
    with pytest.raises(FileNotFoundError):
        subprocess.run([script, "--version"])
    assert make(moved, "install") == (0, "")
    commands = "".join(make(moved, "--dry-run", target)[1] for target in ("run", "lab", "refresh", "zh", "test", "everywhere", "mutants"))
    called = {word for word in commands.split() if word.startswith(".venv/bin/")}
    assert called == {".venv/bin/python"} and subprocess.run([python(moved), "-c", ""]).returncode == 0


@pytest.mark.mnist
def test_one_line_when_a_run_is_stopped(tmp_path):
    """By Ctrl-C, while the notebook is executed; what an earlier run left is as it was."""
    copy_project(tmp_path)
    (tmp_path / "build").mkdir()
    old = [tmp_path / "build" / NOTEBOOK.with_suffix(suffix).name for suffix in (".ipynb", ".html")]
    for path in old:
        path.write_text("old")
    run = subprocess.Popen([sys.executable, "tools/execute.py", "run"], cwd=tmp_path, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed_ctrl_c)
    said = ""
    while "Executing:   1%" not in said:   # the kernel is at work
        assert (letter := run.stderr.read(1)), said
        said += letter
    time.sleep(1)
    os.killpg(run.pid, signal.SIGINT)
    rest = run.communicate(timeout=30)[1].splitlines()
    assert run.returncode == 130 and [line for line in rest if "cell" not in line and line.strip()] == ["Stopped."]
    assert sorted(os.listdir(tmp_path / "build")) == sorted(path.name for path in old)
    assert {path.read_text() for path in old} == {"old"}


def test_readme_s_sweep_in_a_fresh_clone(tmp_path):
    """The line as it stands there, for one width, on a notebook that ends after the settings."""
    copy_project(tmp_path)
    nbformat.write(before(read(), "data-intro"), tmp_path / NOTEBOOK.name)
    line, = (line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if "papermill 04" in line)
    line = line.replace("16 64 256", "16").replace(".venv/bin/python", shlex.quote(sys.executable))
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and (tmp_path / "build" / "hidden-16.ipynb").exists(), done.stderr
