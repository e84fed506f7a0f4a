"""A file of the user's is replaced whole or not at all."""

import os
import shutil
from pathlib import Path

import pytest

import execute
from cells import read
from replacing import replace


@pytest.fixture
def full_disk(monkeypatch):
    """Files take only their first ten bytes."""
    write = Path.write_bytes

    def full(path, data):
        write(path, data[:10])
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(Path, "write_bytes", full)


def test_replaced(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    path.chmod(0o640)
    replace(path, "née 新")
    assert path.read_text(encoding="utf-8") == "née 新" and os.listdir(tmp_path) == ["page.html"]
    assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o640
    replace(path, b"\xff")
    assert path.read_bytes() == b"\xff"


def test_what_a_link_leads_to_is_replaced(tmp_path):
    (tmp_path / "elsewhere").write_text("old")
    (tmp_path / "link").symlink_to("elsewhere")
    replace(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "elsewhere").read_text() == "new"


def test_a_full_disk_leaves_the_old_one(tmp_path, full_disk):
    (tmp_path / "page.html").write_text("old and not to be lost")
    with pytest.raises(OSError, match="No space left"):
        replace(tmp_path / "page.html", "a new page of twenty bytes")
    assert os.listdir(tmp_path) == ["page.html"] and (tmp_path / "page.html").read_text() == "old and not to be lost"


def test_refresh_on_a_full_disk_leaves_the_notebook(tmp_path, monkeypatch, full_disk):
    paths = [tmp_path / "notebook.ipynb", tmp_path / "film.png"]
    for name, path in zip(("NOTEBOOK", "FILM"), paths):
        shutil.copy(getattr(execute, name), path)
        monkeypatch.setattr(execute, name, path)
    before = [path.read_bytes() for path in paths]
    fresh = read()
    fresh.cells[-1].source += " changed"
    monkeypatch.setattr(execute, "executed", lambda nb: fresh)
    with pytest.raises(OSError, match="No space left"):
        execute.refresh()
    assert [path.read_bytes() for path in paths] == before and sorted(tmp_path.iterdir()) == sorted(paths)


def test_an_edit_while_the_notebook_is_executed_stays(tmp_path, monkeypatch, stored):
    """`make refresh` takes a minute and a half: what a reader saves in the meantime is not overwritten."""
    path = tmp_path / "notebook.ipynb"
    path.write_text(execute.as_text(stored))
    monkeypatch.setattr(execute, "NOTEBOOK", path)
    monkeypatch.setattr(execute, "read", lambda: stored)

    def executed(nb):
        path.write_text("an edit")
        return nb
    monkeypatch.setattr(execute, "executed", executed)
    with pytest.raises(SystemExit, match="changed while it was executed"):
        execute.refresh()
    assert path.read_text() == "an edit" and os.listdir(tmp_path) == ["notebook.ipynb"]
