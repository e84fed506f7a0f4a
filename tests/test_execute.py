"""`make run` and `make refresh`: what they write, and that nothing of the user's is lost."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import execute
from files import replace, write_part
from notebook_file import NOTEBOOK
from sandbox import copy_project

CODE = """1
import matplotlib.pyplot as plt
print(data_root, __debug__, plt.rcParams["font.size"])
plt.plot([1, 2, 3])
plt.show()"""


def write_notebook(folder, code):
    """Settings and this code, under the ids without which no notebook of ours is read."""
    cells = [new_code_cell(text, id=cell_id, metadata={"tags": [tag]}) for text, cell_id, tag in (
        ("data_root = 'data'", "parameters", "parameters"), (code, "title", "result"))]
    nbformat.write(new_notebook(cells=cells), folder / NOTEBOOK.name)


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_run(tmp_path):
    """On the stand-in, which is said twice. A stop gives one line, and leaves all as it was.

    Settings of the user's own are shut out: no pictures, no assertions, large letters, every line's value.
    """
    copy_project(tmp_path / "project")
    folder, build = tmp_path / "project", tmp_path / "project" / "build"
    (folder / "data" / "prepare.py").write_text("raise SystemExit(3)")
    (folder / "data" / "stand_in.py").write_text("")
    write_notebook(folder, CODE)
    (tmp_path / ".ipython" / "profile_default").mkdir(parents=True)
    (tmp_path / ".ipython" / "profile_default" / "ipython_config.py").write_text(
        'get_config().InteractiveShell.ast_node_interactivity = "all"')
    (tmp_path / "matplotlibrc").write_text("font.size: 30")
    own = dict.fromkeys(["HOME", "MATPLOTLIBRC", "MPLCONFIGDIR"], str(tmp_path))
    own |= {"MPLBACKEND": "agg", "PYTHONOPTIMIZE": "1"}
    command = [sys.executable, "tools/execute.py", "run"]
    said = subprocess.run(command, cwd=folder, env=os.environ | own, stdout=subprocess.PIPE, text=True).stdout
    assert said.count(execute.STAND_IN_NOTICE) == 2 and "\ndata/stand-in True 10.0\n" in said
    written = {path.name: path.read_bytes() for path in build.iterdir()}
    assert {name for name, content in written.items() if re.search(b"image/(png|webp)", content)} == {
        NOTEBOOK.stem + suffix for suffix in (".ipynb", ".html", ".zh.ipynb", ".zh.html")}

    write_notebook(folder, "import pathlib, time; pathlib.Path('started').touch(); time.sleep(60)")
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not (folder / "started").exists():
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    lines = process.communicate(timeout=30)[1].splitlines()
    assert process.returncode == 130
    assert [line for line in lines if "cell" not in line and line.strip()] == ["Stopped."]
    assert {path.name: path.read_bytes() for path in build.iterdir()} == written


def test_a_part_of_a_page_is_replaced(tmp_path):
    """The page keeps its rights; of a link, what it leads to is written."""
    page, link = tmp_path / "page.md", tmp_path / "link"
    replace(page, "née\n<!-- b: written by c -->\nd\n<!-- end of b -->\ne\n")
    page.chmod(0o640)
    link.symlink_to(page.name)
    write_part(link, "b", ["", "新"])
    assert page.read_text("utf-8") == "née\n<!-- b: written by c -->\n\n新\n<!-- end of b -->\ne\n"
    assert link.is_symlink() and (os.name == "nt" or page.stat().st_mode & 0o777 == 0o640)


@pytest.mark.parametrize("saved_meanwhile", [False, True])
def test_refresh_loses_nothing(tmp_path, monkeypatch, stored, saved_meanwhile):
    """On a full disk; and it takes a minute and a half, in which a reader may save an edit."""
    notebook, film = tmp_path / "notebook.ipynb", tmp_path / "film.png"
    notebook.write_text("old")
    film.write_text("old")

    def executed(nb):
        if saved_meanwhile:
            notebook.write_text("an edit")
        return nb

    def write_bytes(path, data):
        path.write_text("ten bytes.")
        raise OSError("No space left")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    settings = {"NOTEBOOK": notebook, "FILM": film, "executed": executed, "read": lambda: stored}
    for name, value in settings.items():
        monkeypatch.setattr(execute, name, value)
    with pytest.raises(SystemExit if saved_meanwhile else OSError, match="was changed|No space left"):
        execute.refresh()
    assert [notebook.read_text(), film.read_text()] == ["an edit" if saved_meanwhile else "old", "old"]
    assert set(tmp_path.iterdir()) == {notebook, film}
