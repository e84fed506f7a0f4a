"""A file of the user's is replaced whole or not at all."""

import os
from pathlib import Path

import pytest

import execute
from cells import NOTEBOOK, read
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


def test_refresh_on_a_full_disk_leaves_the_notebook(monkeypatch, full_disk):
    def with_another_output(nb):
        fresh = read()
        fresh.cells[-1].source += " changed"
        return fresh
    before = NOTEBOOK.read_bytes()
    monkeypatch.setattr(execute, "executed", with_another_output)
    with pytest.raises(OSError, match="No space left"):
        execute.refresh()
    assert NOTEBOOK.read_bytes() == before
