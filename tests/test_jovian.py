"""Committing to Jovian from the notebook: the real client, 0.2.47, against a stand-in of its service.

What the hosted service does is not checked here.
"""

import email
import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import nbformat
import pytest

from execute import executed
from notebook_file import NOTEBOOK, read

CELL, = [cell for cell in read().cells if cell.id == "jovian"]
USER, KEY = "reader", "the-right-key"
OWN_FOLDER = Path.home() / ".jovian"   # where the client keeps its key, and what it notes of the user


class Jovian(BaseHTTPRequestHandler):
    """What the client asks, to commit a notebook and to clone it. `server.committed`: its name and bytes."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if (self.path, self.headers["Authorization"]) == ("/gist/create", f"Bearer {KEY}"):
            form = f"Content-Type: {self.headers['Content-Type']}\n\n".encode() + body
            parts = email.message_from_bytes(form).get_payload()
            file, = [part for part in parts if part.get_filename()]
            self.server.committed = file.get_filename(), file.get_payload(decode=True)
            self.describe()
        else:
            self.send_error(401)

    def do_GET(self):
        if self.path == f"/raw/{NOTEBOOK.name}":
            self.answer(self.server.committed[1])
        elif self.path == f"/user/{USER}/gist/{NOTEBOOK.stem}":
            self.describe()
        else:
            self.send_error(404)

    def describe(self):
        """A notebook that is public, as what a new account commits."""
        name = self.server.committed[0]
        url = f"{self.server.url}/raw/{name}"
        file = {"filename": name, "folder": None, "artifact": False, "rawUrl": url}
        self.answer(json.dumps({"data": {
            "slug": "0123456789abcdef", "title": name.removesuffix(".ipynb"), "version": 1,
            "owner": {"username": USER}, "files": [file]}}).encode())

    def answer(self, content):
        self.send_response(200)
        self.send_header("Content-Length", len(content))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The service, and a home folder with its address and a key for it."""
    with HTTPServer(("127.0.0.1", 0), Jovian) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        credentials = {"API_URL": f"{server.url}/", "WEBAPP_URL": f"{server.url}/", "API_KEY": KEY}
        (tmp_path / ".jovian").mkdir()
        (tmp_path / ".jovian" / "credentials.json").write_text(json.dumps(credentials))
        for name in ("HOME", "USERPROFILE"):
            monkeypatch.setenv(name, str(tmp_path))
        # Whatever else the client looks up, such as its newest version, goes to a port with no service.
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9/")
        yield server
        server.shutdown()
        thread.join()


def contents(folder):
    return {path: path.read_bytes() for path in folder.glob("*")}


def test_nothing_unasked(monkeypatch):
    """As the cell stands, it imports nothing and asks nobody."""
    monkeypatch.setitem(sys.modules, "jovian", None)   # importing it would fail
    names = {}
    exec(CELL.source, names)
    assert {name for name in names if not name.startswith("__")} == {"commit_to_jovian"}


def test_commit_when_asked_and_clone(server, tmp_path):
    own = contents(OWN_FOLDER)
    shutil.copy(NOTEBOOK, tmp_path)
    asked = CELL.source.replace("commit_to_jovian = False\n", "commit_to_jovian = True\n")
    assert asked != CELL.source
    nb = executed(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(asked)]), folder=tmp_path)
    printed = "".join(output.text for output in nb.cells[0].outputs if output.get("name") == "stdout")
    assert f"Committed successfully! {server.url}/{USER}/{NOTEBOOK.stem}" in printed
    assert server.committed == (NOTEBOOK.name, NOTEBOOK.read_bytes())

    subprocess.run([sys.executable, "-W", "ignore", "-m", "jovian", "clone", f"{USER}/{NOTEBOOK.stem}"],
                   cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    cloned, expected = read(tmp_path / NOTEBOOK.stem / NOTEBOOK.name), read()
    for nb in (cloned, expected):
        nb.metadata.pop("kernelspec", None)
    assert cloned == expected
    assert contents(OWN_FOLDER) == own, "the test wrote into the user's own ~/.jovian"
