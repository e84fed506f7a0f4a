"""A network in which only a proxy answers: fixtures for the tests that download MNIST."""

import contextlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from notebook_file import ROOT

RAW = ROOT / "data" / "MNIST" / "raw"


class Proxy(BaseHTTPRequestHandler):
    """A company's proxy: no https, and behind it one mirror that has MNIST."""

    MIRROR = "http://yann.lecun.com/exdb/mnist/"

    def do_CONNECT(self):
        self.send_error(403)

    def do_GET(self):
        file = RAW / self.path.removeprefix(self.MIRROR)
        if not self.path.startswith(self.MIRROR) or file not in RAW.glob("*.gz"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", file.stat().st_size)
        self.end_headers()
        with contextlib.suppress(ConnectionError):   # torchvision hangs up once to see where an address leads
            self.wfile.write(file.read_bytes())
        self.server.served.add(file.name)

    def log_message(self, *args):
        pass


@pytest.fixture
def proxy():
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.served = set()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def behind(port):
    """The environment of a process whose every download goes through a proxy on this port."""
    env = {name: value for name, value in os.environ.items()
           if name not in ("PYTHONPATH", "NO_PROXY", "no_proxy", "MNIST_MIRROR")}
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        env[name] = f"http://127.0.0.1:{port}"
    return env
