"""Committing to Jovian from the notebook: the real client, 0.2.47, against a stand-in of its service."""

import json
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from nbformat.v4 import new_code_cell, new_notebook

from execute import executed
from notebook_file import NOTEBOOK, read

CELL, = [cell.source for cell in read().cells if cell.id == "jovian"]


class Jovian(BaseHTTPRequestHandler):
    """Takes what is posted: `server.posted` has the path, the key and the content of each."""

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.path, self.headers["Authorization"], content))
        answer = json.dumps({"data": {"slug": "0123456789abcdef", "title": NOTEBOOK.stem, "version": 1,
                                      "owner": {"username": "reader"}}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)


def test_nothing_unasked(monkeypatch):
    """As the cell stands, it imports nothing and asks nobody."""
    monkeypatch.setitem(sys.modules, "jovian", None)   # importing it would fail
    exec(CELL, {})


def test_commit_when_asked(tmp_path, monkeypatch):
    shutil.copy(NOTEBOOK, tmp_path)
    (tmp_path / ".jovian").mkdir()
    nowhere = "http://127.0.0.1:9/"   # for what else the client looks up, such as its newest version
    for name, value in {"HOME": tmp_path, "USERPROFILE": tmp_path, "no_proxy": "127.0.0.1",
                        "http_proxy": nowhere, "https_proxy": nowhere}.items():
        monkeypatch.setenv(name, str(value))
    with HTTPServer(("127.0.0.1", 0), Jovian) as server:
        server.posted, address = [], f"http://127.0.0.1:{server.server_port}/"
        keys = {"API_URL": address, "WEBAPP_URL": address, "API_KEY": "the-key"}
        (tmp_path / ".jovian" / "credentials.json").write_text(json.dumps(keys))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = CELL.replace("commit_to_jovian = False", "commit_to_jovian = True")
        nb = executed(new_notebook(cells=[new_code_cell(asked)]), folder=tmp_path)
        server.shutdown()
    assert f"Committed successfully! {address}reader/{NOTEBOOK.stem}" in str(nb.cells[0].outputs)
    (path, key, content), = server.posted
    assert (path, key) == ("/gist/create", "Bearer the-key")
    assert f'filename="{NOTEBOOK.name}"'.encode() in content and NOTEBOOK.read_bytes() in content
