"""A file of the user's is replaced whole or not at all."""

import os
from pathlib import Path

import pytest

import execute
from replacing import replace


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
def test_replaced(tmp_path, name, content):
    """Whole, with its rights; of a link, what it leads to."""
    page, link = tmp_path / "page.html", tmp_path / "link"
    page.write_text("old")
    page.chmod(0o640)
    link.symlink_to(page.name)
    replace(tmp_path / name, content)
    assert page.read_bytes() == (content if isinstance(content, bytes) else content.encode("utf-8"))
    assert sorted(os.listdir(tmp_path)) == ["link", "page.html"] and link.is_symlink()
    assert os.name == "nt" or page.stat().st_mode & 0o777 == 0o640


def test_a_full_disk_leaves_the_old_one(tmp_path, full_disk):
    (tmp_path / "page.html").write_text("old and not to be lost")
    with pytest.raises(OSError, match="No space left"):
        replace(tmp_path / "page.html", "a new page of twenty bytes")
    assert os.listdir(tmp_path) == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "old and not to be lost"


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
