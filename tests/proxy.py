"""Servers on 127.0.0.1, and a network in which only a proxy answers, for the tests that download MNIST."""

import contextlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from notebook_file import ROOT

RAW = ROOT / "data" / "MNIST" / "raw"


@contextlib.contextmanager
def serving(handler):
    """A server whose handler notes in `served` the files that it was asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.served = set()
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


class Proxy(BaseHTTPRequestHandler):
    """A company's proxy: no https, and behind it one mirror that has MNIST."""

    MIRROR = "http://yann.lecun.com/exdb/mnist/"

    def do_CONNECT(self):
        self.send_error(403)

    def do_GET(self):
        file = RAW / self.path.removeprefix(self.MIRROR)
        if file not in RAW.glob("*.gz"):   # nor an address that doesn't begin so
            return self.send_error(404)
        self.server.served.add(file.name)
        self.send_response(200)
        self.send_header("Content-Length", file.stat().st_size)
        self.end_headers()
        self.wfile.write(file.read_bytes())


@pytest.fixture
def proxy():
    with serving(Proxy) as server:
        yield server


def behind(port):
    """The environment of a process whose every download goes through a proxy on this port."""
    env = {name: value for name, value in os.environ.items()
           if name not in ("PYTHONPATH", "NO_PROXY", "no_proxy", "MNIST_MIRROR")}
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    return env | dict.fromkeys(names, f"http://127.0.0.1:{port}")
