"""A stand-in for Jovian's service on this machine: what the client 0.2.47 speaks, no more.

    with JovianServer() as server:      # server.url, server.key
        ...                             # server.gists, server.requests

`server.trouble` makes it fail: "silent" (never answers), "page" (an HTML error page with status 500),
"wrong page" (an HTML page with status 200), "gone" (hangs up without an answer); `server.trouble_from`
is the part of the service that fails ("" all of it, "upload" attachments and new versions).
"""

import asyncio
import threading
import uuid

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

USER = "reader"
PAGE = "<html>\n<body>\n<h1>Sorry</h1>\n</body>\n</html>\n"


class Handler(RequestHandler):
    """One request; `self.server` is the JovianServer."""

    def initialize(self, server):
        self.server = server

    async def prepare(self):
        server = self.server
        server.requests.append(f"{self.request.method} {self.request.uri}")
        if server.trouble is None or server.trouble_from not in self.request.path:
            return
        if server.trouble == "silent":
            await asyncio.Event().wait()
        elif server.trouble == "gone":
            self.request.connection.detach().close()
            self._finished = True
        else:
            self.set_status(500 if server.trouble == "page" else 200)
            self.finish(PAGE)

    def sign_in(self):
        """Whether the request has the right key; answers 401 if not."""
        if self.request.headers.get("Authorization") == f"Bearer {self.server.key}":
            return True
        self.set_status(401)
        self.finish({"errors": [{"message": "Unauthorized"}]})
        return False

    def data(self, data):
        self.finish({"data": data})

    def gist_or_404(self, gist):
        if gist is None:
            self.set_status(404)
            self.finish({"errors": [{"message": "Not found"}]})
            return
        version = int(self.get_query_argument("gist_version", len(gist["versions"])))
        files = [{"filename": name, "folder": folder or None, "artifact": False,
                  "rawUrl": f"{self.server.url}raw/{gist['slug']}/{version}/{folder}/{name}"}
                 for folder, name in gist["versions"][version - 1]]
        self.data(describe(gist) | {"version": version, "files": files})


def describe(gist):
    return {"slug": gist["slug"], "title": gist["title"], "owner": {"username": USER},
            "version": len(gist["versions"])}


class Profile(Handler):
    def get(self):
        if self.sign_in():
            self.data({"username": USER})


class Create(Handler):
    def post(self):
        if not self.sign_in():
            return
        file = self.request.files["files"][0]
        title = self.get_body_argument("title", file.filename.rsplit(".", 1)[0])
        gist = {"slug": uuid.uuid4().hex, "title": title, "versions": [{("", file.filename): file.body}]}
        self.server.gists[gist["slug"]] = gist
        self.data(describe(gist))


class Upload(Handler):
    """Without `gist_version` a new version of the notebook, with it an attachment to that version."""

    def post(self, slug):
        if not self.sign_in():
            return
        gist, file = self.server.gists[slug], self.request.files["files"][0]
        version = self.get_query_argument("gist_version", None)
        if version is None:
            gist["versions"].append({("", file.filename): file.body})
        else:
            folder = self.get_body_argument("folder", "")
            gist["versions"][int(version) - 1][folder, file.filename] = file.body
        self.data(describe(gist))


class Access(Handler):
    def get(self, slug):
        if self.sign_in():
            self.data({"read": True, "write": True})


class Gist(Handler):
    """Public, as what a new account commits is."""

    def get(self, slug):
        self.gist_or_404(self.server.gists.get(slug))


class UserGist(Handler):
    def get(self, user, title):
        found = [gist for gist in self.server.gists.values() if (user, title) == (USER, gist["title"])]
        self.gist_or_404(found[0] if found else None)


class Raw(Handler):
    def get(self, slug, version, folder, name):
        self.finish(self.server.gists[slug]["versions"][int(version) - 1][folder, name])


class JovianServer:
    def __init__(self):
        self.key = "the-right-key"
        self.gists, self.requests = {}, []
        self.trouble, self.trouble_from = None, ""

    def __enter__(self):
        ready = threading.Event()
        self.thread = threading.Thread(target=asyncio.run, args=(self.serve(ready),))
        self.thread.start()
        ready.wait()
        return self

    async def serve(self, ready):
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        parts = [("/user/profile", Profile), ("/gist/create", Create), ("/gist/([^/]+)/upload", Upload),
                 ("/gist/([^/]+)/check-access", Access), ("/gist/([^/]+)", Gist),
                 ("/user/([^/]+)/gist/([^/]+)", UserGist), ("/raw/([^/]+)/([^/]+)/(.*)/([^/]+)", Raw)]
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
