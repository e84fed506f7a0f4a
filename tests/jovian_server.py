"""A stand-in for Jovian's service on this machine: what the client 0.2.47 needs to commit a notebook and to clone it.

    with JovianServer() as server:      # server.url, server.key
        ...                             # server.committed: name of the file → its bytes; server.requests
"""

import asyncio
import threading

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

USER, SLUG = "reader", "0123456789abcdef"


class Handler(RequestHandler):
    """One request; `self.server` is the JovianServer."""

    def initialize(self, server):
        self.server = server

    def prepare(self):
        self.server.requests.append(f"{self.request.method} {self.request.path}")

    def describe(self, title, **more):
        self.finish({"data": {"slug": SLUG, "title": title, "owner": {"username": USER}, "version": 1} | more})


class Create(Handler):
    def post(self):
        if self.request.headers.get("Authorization") != f"Bearer {self.server.key}":
            raise HTTPError(401)
        file = self.request.files["files"][0]
        self.server.committed[file.filename] = file.body
        self.describe(file.filename.removesuffix(".ipynb"))


class Gist(Handler):
    """Public, as what a new account commits is."""

    def get(self, title):
        files = [{"filename": name, "folder": None, "artifact": False, "rawUrl": f"{self.server.url}raw/{name}"}
                 for name in self.server.committed]
        if not files:
            raise HTTPError(404)
        self.describe(title, files=files)


class Raw(Handler):
    def get(self, name):
        self.finish(self.server.committed[name])


class JovianServer:
    def __init__(self):
        self.key = "the-right-key"
        self.committed, self.requests = {}, []

    def __enter__(self):
        ready = threading.Event()
        self.thread = threading.Thread(target=asyncio.run, args=(self.serve(ready),))
        self.thread.start()
        ready.wait()
        return self

    async def serve(self, ready):
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        parts = [("/gist/create", Create), (f"/user/{USER}/gist/([^/]+)", Gist), ("/raw/([^/]+)", Raw)]
        application = Application([(path, handler, {"server": self}) for path, handler in parts],
                                  log_function=lambda handler: None)
        http = HTTPServer(application)
        sockets = bind_sockets(0, "127.0.0.1")
        http.add_sockets(sockets)
        self.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/"
        ready.set()
        await self.stop.wait()
        http.stop()
        await http.close_all_connections()

    def __exit__(self, *exception):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join()
