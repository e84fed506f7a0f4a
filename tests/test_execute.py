"""Nothing of the user's is lost; settings of their own don't reach what is executed, checked and stored."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import execute
from files import replace, write_part
from notebook_file import ROOT

OUTPUTS = """
from execute import executed
from nbformat.v4 import new_code_cell, new_notebook
code = '''1
import matplotlib.pyplot as plt
assert plt.rcParams["font.size"] == 10
plt.plot([1, 2, 3])
plt.show()'''
first, second = executed(new_notebook(cells=[new_code_cell(code), new_code_cell("'two' in globals()")])).cells
print([sorted(output.get("data", [])) for output in first.outputs], second.outputs[0].data["text/plain"])
"""


@pytest.fixture
def full_disk(monkeypatch):
    """Files take only their first ten bytes."""
    write = Path.write_bytes

    def full(path, data):
        write(path, data[:10])
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(Path, "write_bytes", full)


@pytest.mark.parametrize("name", ["page.html", "link"])
@pytest.mark.parametrize("content", ["née 新", b"\xff"])
def test_a_file_is_replaced_whole(tmp_path, name, content):
    """With its rights; of a link, what it leads to."""
    page, link = tmp_path / "page.html", tmp_path / "link"
    page.write_text("old")
    page.chmod(0o640)
    link.symlink_to(page.name)
    replace(tmp_path / name, content)
    assert page.read_bytes() == (content if isinstance(content, bytes) else content.encode("utf-8"))
    assert sorted(os.listdir(tmp_path)) == ["link", "page.html"] and link.is_symlink()
    assert os.name == "nt" or page.stat().st_mode & 0o777 == 0o640


def test_a_full_disk_leaves_the_old_part_of_a_page(tmp_path, request):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- b: written by c -->\nd\n<!-- end of b -->\ne\n")
    write_part(page, "b", ["", "f"])
    written = page.read_text()
    assert written == "a\n<!-- b: written by c -->\n\nf\n<!-- end of b -->\ne\n"
    request.getfixturevalue("full_disk")
    with pytest.raises(OSError, match="No space left"):
        write_part(page, "b", ["g"])
    assert os.listdir(tmp_path) == ["page.md"] and page.read_text() == written


@pytest.mark.parametrize("saved_meanwhile", [False, True])
def test_refresh_loses_nothing(tmp_path, monkeypatch, stored, request, saved_meanwhile):
    """On a full disk; and it takes a minute and a half, in which a reader may save an edit."""
    notebook, film = tmp_path / "notebook.ipynb", tmp_path / "film.png"
    notebook.write_text(before := execute.as_text(stored), encoding="utf-8")
    film.write_text("film")

    def executed(nb):
        if saved_meanwhile:
            notebook.write_text("an edit")
        else:
            request.getfixturevalue("full_disk")
        return nb
    for name, value in {"NOTEBOOK": notebook, "FILM": film, "executed": executed}.items():
        monkeypatch.setattr(execute, name, value)
    monkeypatch.setattr(execute, "read", lambda: stored)
    with pytest.raises(SystemExit if saved_meanwhile else OSError, match="was changed|No space left"):
        execute.refresh()
    assert notebook.read_text(encoding="utf-8") == ("an edit" if saved_meanwhile else before)
    assert film.read_text() == "film" and set(tmp_path.iterdir()) == {notebook, film}


@pytest.mark.parametrize("code, printed", [
    (OUTPUTS, "[['image/png', 'text/plain']] False"),
    ("import check_notebook, os; print(os.environ['IPYTHONDIR'] == sys.argv[1])", "False")],
    ids=["execute", "check_notebook"])
def test_settings_are_shut_out(code, printed, tmp_path):
    """No pictures, no assertions, large letters, every line's value shown, a file executed at the start."""
    profile = tmp_path / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "own.py").write_text("two = 2")
    (profile / "ipython_config.py").write_text('get_config().InteractiveShell.ast_node_interactivity = "all"')
    (tmp_path / "matplotlibrc").write_text("font.size: 30")
    own = {"MPLBACKEND": "agg", "PYTHONDEVMODE": "1", "PYTHONOPTIMIZE": "1", "IPYTHONDIR": str(tmp_path),
           "MPLCONFIGDIR": str(tmp_path), "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    start = f"import sys; sys.path[:0] = {[str(ROOT / name) for name in ('tools', 'tests')]}\n"
    done = subprocess.run([sys.executable, "-c", start + code, tmp_path], env=os.environ | own,
                          capture_output=True, text=True)
    assert done.stdout == f"{printed}\n", done.stderr
