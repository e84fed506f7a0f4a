"""Committing to Jovian from the notebook: the real client against a stand-in of its service (jovian_server.py).

What the hosted service does is not checked here.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from cells import NOTEBOOK, read
from jovian_server import USER, JovianServer

CELL, = [cell.source for cell in read().cells if cell.id == "jovian"]


def closed_port():
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module", autouse=True)
def real_home_left_alone():
    """The client keeps its key, and what it notes of the user, in ~/.jovian."""
    folder = Path.home() / ".jovian"
    before = {path: path.read_bytes() for path in folder.glob("*")} if folder.exists() else None
    yield
    after = {path: path.read_bytes() for path in folder.glob("*")} if folder.exists() else None
    assert after == before, "a test wrote into the user's own ~/.jovian"


@pytest.fixture
def jovian(tmp_path):
    """A project folder with the notebook, a home folder with a key, and the service."""
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    (home / ".jovian").mkdir(parents=True)
    shutil.copy(NOTEBOOK, project)
    # Whatever else the client looks up (its newest version, four times in five) goes to a closed port.
    env = os.environ | {"HOME": str(home), "USERPROFILE": str(home), "no_proxy": "127.0.0.1"}
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        env[name] = f"http://127.0.0.1:{closed_port()}/"
    with JovianServer() as server:
        key = {"API_URL": server.url, "WEBAPP_URL": server.url, "API_KEY": server.key}
        (home / ".jovian" / "credentials.json").write_text(json.dumps(key))
        yield types.SimpleNamespace(project=project, env=env, server=server)


def run_cell(jovian, source):
    """Execute it in a kernel of its own, beside the notebook. Returns what it prints."""
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(nb, kernel_name="python3", timeout=100, coalesce_streams=True,
                   resources={"metadata": {"path": jovian.project}}).execute(env=jovian.env)
    return "".join(output.text for output in nb.cells[0].outputs if output.get("name") == "stdout")


def without_kernelspec(path):
    nb = json.loads(path.read_text(encoding="utf-8"))
    nb["metadata"].pop("kernelspec", None)
    return nb


def test_nothing_unasked(monkeypatch):
    """As the cell stands, it imports nothing and asks nobody."""
    monkeypatch.setitem(sys.modules, "jovian", None)   # importing it would fail
    names = {}
    exec(CELL, names)
    assert {name for name in names if not name.startswith("__")} == {"commit_to_jovian"}


def test_commit_when_asked_and_clone(jovian):
    asked = CELL.replace("commit_to_jovian = False\n", "commit_to_jovian = True\n")
    assert asked != CELL
    printed = run_cell(jovian, asked)
    assert f"Committed successfully! {jovian.server.url}{USER}/{NOTEBOOK.stem}" in printed
    assert jovian.server.committed == {NOTEBOOK.name: (jovian.project / NOTEBOOK.name).read_bytes()}

    empty = jovian.project.parent / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-W", "ignore", "-m", "jovian", "clone", f"{USER}/{NOTEBOOK.stem}"], cwd=empty,
                   env=jovian.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    cloned = empty / NOTEBOOK.stem / NOTEBOOK.name
    assert without_kernelspec(cloned) == without_kernelspec(NOTEBOOK)
    nbformat.validate(read(cloned))
