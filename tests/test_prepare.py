"""data/prepare.py on small files and a server on 127.0.0.1: every fault ends in the right files or in a clear
message, and nothing of the user's is lost. The real files come from MNIST_MIRROR, or from data/MNIST/raw."""

import gzip
import hashlib
import http.server
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import pytest

from places import DATA, POSIX, Place, damage, folder_for_others, make_read_only

import prepare  # places knows where it is

ZIPPED = [name for name in prepare.FILES if name.endswith(".gz")]
EXTRACTED = [name.removesuffix(".gz") for name in ZIPPED]
IMAGES, LABELS = EXTRACTED[0], EXTRACTED[3]
DAMAGES = ["truncated", "padded", "empty", "html", "flipped"]
NOWHERE = "http://someone:secret@127.0.0.1:1"   # nobody listens there
NOT_READ = "can't be read, or there is no connection ("
BAD_MIRRORS = {   # a kind of answer, an address or a folder: words
    "403": "it answered 403 (Forbidden)", "404": "it answered 404 (Not Found)",
    "500": "it answered 500 (Internal Server Error)", "503": "it answered 503 (Service Unavailable)",
    "drip": "too slow: less than 1,000 bytes a second", "html": "is a web page", "login": "is a web page",
} | dict.fromkeys(
    ["truncated", "padded", "empty", "flipped", "endless"], "its SHA-256 is not MNIST's"
) | dict.fromkeys(
    ["loop", "reset", "cut", "stall", "silent", NOWHERE, "http://no-such-host.invalid",
     "https://127.0.0.1:PORT/good", "http://", "ftp://someone:secret@127.0.0.1/mnist", "/no/such/folder",
     "~nobody-at-all/mnist"], NOT_READ)


class MnistPlace(Place):
    """A data folder of a test's own, for eight small files."""

    def __init__(self, root):
        super().__init__(prepare, root)
        self.raw = root / "MNIST" / "raw"
        draw = random.Random(0)
        self.files = {name: draw.randbytes(500_000 if "images" in name else 1000) for name in EXTRACTED}
        self.files |= {name: gzip.compress(self.files[name.removesuffix(".gz")], mtime=0) for name in ZIPPED}

    def settings(self, mirrors=(), **more):
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        return super().settings(**{"MIRRORS": list(mirrors), "FILES": sums} | more)

    def put(self, names, folder=None):
        folder = folder or self.raw
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_bytes(self.files[name])

    def there(self):
        """The names of the files in raw. Each must be right, and nothing half-made beside them."""
        names = {name for name in self.files if (self.raw / name).exists()}
        assert all((self.raw / name).read_bytes() == self.files[name] for name in names)
        assert not list(self.raw.glob(".*"))
        return names

    def succeeded(self, result):
        return (result.returncode, result.stderr, self.there()) == (0, "", set(self.files))

    def failed(self, result, reason=""):
        """Whether it ended with status 3, the reason and the ways out."""
        ways_out = "MNIST_MIRROR" in result.stderr and str(self.root / "stand_in.py") in result.stderr
        return result.returncode == 3 and reason in result.stdout and ways_out


@pytest.fixture
def place():
    with folder_for_others() as folder:
        yield MnistPlace(folder)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /KIND/NAME with the file NAME and the fault KIND."""

    def do_GET(self):
        kind, name = urllib.parse.unquote(self.path).split("/")[-2:]
        data, over = self.server.files.get(name, b""), self.server.over
        self.server.asked.append(name)
        if kind.isdigit():
            return self.send_error(int(kind))
        if kind == "silent":
            return over.wait()
        if kind in DAMAGES:
            data = damage(kind, data)
        self.send_response(302 if kind in ("login", "loop") else 200)
        self.send_header("Location", "/html/page" if kind == "login" else self.path)
        if kind == "labelled":
            self.send_header("Content-Encoding", "gzip")
        if kind != "endless":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if kind in ("reset", "cut", "stall"):
            data = data[:len(data) // 2]
        size, pause = {"drip": (1, 0.05), "slow": (8192, 0.003)}.get(kind, (65536, 0))
        while data and not over.wait(pause):
            self.wfile.write(data[:size])
            data = data if kind == "endless" else data[size:]
        if kind == "stall":
            over.wait()
        if kind == "reset":
            at_once = struct.pack("ii" if POSIX else "hh", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            self.rfile.close()
            self.connection.close()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    handle_error = lambda *_: None   # the other side has gone

    def at(self, kind):
        return f"http://127.0.0.1:{self.server_port}/{kind}"


@pytest.fixture
def server(place):
    with Server(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked, server.over = place.files, [], threading.Event()
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", BAD_MIRRORS)
def test_a_bad_mirror(kind, place, server):
    """Alone it ends with status 3, and before a good one with the right files. It isn't asked again."""
    bad = kind.replace("PORT", str(server.server_port)) if "/" in kind else server.at(kind)
    patience = {"STALL": 2} if kind in ("stall", "silent") else {}
    patience |= {"WINDOW": 2, "SLOWEST": 1000} if kind == "drip" else {}
    alone = place.run([bad], **patience)
    assert place.failed(alone, BAD_MIRRORS[kind]) and "secret" not in alone.stdout and place.there() == set()
    both = place.run([bad, server.at("good")], **patience)
    assert place.succeeded(both) and BAD_MIRRORS[kind] in both.stdout and both.stdout.count(" from ") == 5


@pytest.mark.parametrize("own", ["", "good/", "labelled", "Größe 数字/good"])
def test_mnist_mirror_with_an_address(own, place, server):
    mirrors, own = ([], server.at(own)) if own else ([server.at("good")], "")
    assert place.succeeded(place.run(mirrors, env={"MNIST_MIRROR": own})) and server.asked == ZIPPED


@pytest.mark.parametrize("lacks", [[], ZIPPED[2:]])
def test_mnist_mirror_with_a_folder(lacks, place, server):
    """It is asked first. The terminal knows no letter of its name."""
    folder = place.root / "Größe  и 数字 (1)"
    place.put(set(ZIPPED) - set(lacks), folder)
    env = {"MNIST_MIRROR": str(folder), "PYTHONIOENCODING": "ascii"}
    assert place.succeeded(place.run_apart([server.at("good")], env=env)) and server.asked == lacks


def test_a_proxy_that_refuses(place, server):
    result = place.run([server.at("good")], env={"HTTP_PROXY": NOWHERE, "http_proxy": NOWHERE})
    assert place.failed(result, "(ProxyError)") and "secret" not in result.stdout


def test_a_second_run_changes_nothing_and_asks_nobody(place, server):
    place.put(place.files)
    before = {path: path.stat().st_mtime_ns for path in place.raw.iterdir()}
    assert place.succeeded(place.run([server.at("good")])) and server.asked == []
    assert before == {path: path.stat().st_mtime_ns for path in place.raw.iterdir()}


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", [f"{IMAGES}.gz", f"{LABELS}.gz", IMAGES, LABELS])
def test_a_damaged_file(name, kind, place, server):
    """It stays while there is no other, and is kept when there is one, also a second time."""
    place.put(set(place.files) - {f"{name}.gz"})
    bad = damage(kind, place.files[name])
    for kept in (1, 2):
        (place.raw / name).write_bytes(bad)
        (place.raw / f"{name}.gz").unlink(missing_ok=True)
        assert place.run([server.at("404")]).returncode == (0 if name.endswith(".gz") else 3)
        assert (place.raw / name).read_bytes() == bad
        result = place.run([server.at("good")])
        assert place.succeeded(result) and f"{name} is not MNIST's: kept in {name}.damaged-" in result.stdout
        assert [path.read_bytes() for path in place.raw.glob(f"{name}.damaged-*/{name}")] == [bad] * kept


def test_what_is_no_file_of_ours(place, server):
    """A folder and a link in files' places, a link as the folder, and what torchvision would load instead."""
    (place.root / "elsewhere" / "raw" / LABELS).mkdir(parents=True)
    (place.root / "elsewhere" / "processed").mkdir()
    (place.root / "MNIST").symlink_to("elsewhere", target_is_directory=True)
    (place.raw / IMAGES).symlink_to(place.root / "mine")
    old = place.root / "MNIST" / "processed" / "training.pt"
    mine = [place.root / "mine", place.raw / LABELS / "labels", old]
    for path in mine:
        path.write_bytes(b"mine")
    assert place.succeeded(place.run([server.at("good")]))
    assert mine[0].read_bytes() == b"mine" and (place.root / "MNIST").is_symlink() and not old.exists()
    for pattern in (f"raw/{IMAGES}.*/{IMAGES}", f"raw/{LABELS}.*/*/labels", "processed.*/*/*"):
        assert [path.read_bytes() for path in (place.root / "MNIST").glob(pattern)] == [b"mine"]


@pytest.mark.parametrize("names, status", [(ZIPPED, 0), (EXTRACTED, 0), (EXTRACTED[1:], 3)])
def test_the_extracted_files_are_all_that_is_needed(names, status, place, server):
    place.put(names)
    assert place.run([server.at("503")]).returncode == status and place.there() >= set(names)


@pytest.mark.parametrize("where", ["MNIST", "MNIST/raw"])
@pytest.mark.parametrize("is_link", [False, True])
def test_something_in_the_folders_place(is_link, where, place, server):
    path = place.root / where
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("gone") if is_link else path.write_bytes(b"mine")
    assert place.failed(place.run([server.at("good")]), str(path)) and os.path.lexists(path)


@pytest.mark.parametrize("names", [[], ZIPPED, [*ZIPPED, *EXTRACTED]])
def test_a_read_only_folder(names, place, server):
    place.put(names)
    result = place.run_apart([server.at("good")], **make_read_only(place))
    assert place.succeeded(result) if len(names) == 8 else place.failed(result, "Permission denied")


@pytest.mark.skipif(not POSIX, reason="this system has no limit on the size of files")
@pytest.mark.parametrize("names", [[], ZIPPED])
def test_no_room(names, place, server):
    place.put(names)
    assert place.failed(place.run_apart([server.at("good")], file_limit=100_000), "File too large")
    assert place.there() >= set(names) and place.succeeded(place.run([server.at("good")]))


def test_ended_at_many_lines(place):
    """As by a kill: each file is the old or the new one, the user's isn't lost, the next run ends well."""
    mirror, mine = place.root / "mirror", f"MNIST/raw/**/{LABELS}"
    place.put(ZIPPED, mirror)

    def end_at(line):
        shutil.rmtree(place.raw.parent, ignore_errors=True)
        place.put([f"{IMAGES}.gz"])
        (place.raw / LABELS).write_bytes(b"mine")
        return place.run_apart([str(mirror)], die_at=line)

    lines = int(end_at(-1).stdout.split("LINES ")[1])
    for line in random.Random(3).sample(range(1, lines), 24):
        assert end_at(line).returncode == 99
        for name in place.files:
            whole = (b"mine", place.files[name]) if name == LABELS else (place.files[name],)
            assert not (place.raw / name).exists() or (place.raw / name).read_bytes() in whole
        assert place.run([str(mirror)]).returncode == 0
        assert [path.read_bytes() for path in place.root.glob(mine)].count(b"mine") == 1


def test_four_at_once(place, server):
    processes = [place.start([server.at("slow")]) for _ in range(4)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    assert place.there() == set(place.files) and not list(place.raw.glob("*.damaged*"))


@pytest.mark.skipif(not POSIX, reason="Ctrl-C can't be sent to one process here")
def test_stopped_with_ctrl_c(place, server):
    process = place.start([server.at("stall")])
    process.stdout.readline()
    process.send_signal(2)
    assert process.communicate(timeout=20)[1] == "Stopped. Nothing is half-written: run it again to go on.\n"
    assert process.returncode == 130 and place.there() == set()


@pytest.mark.skipif(not POSIX, reason="this system has no pseudo-terminal")
def test_a_bar_on_a_terminal_and_nobody_who_reads_the_lines(place, server):
    """As `prepare.py | head`."""
    import pty
    import termios

    (screen, stderr), (unread, stdout) = pty.openpty(), os.pipe()
    termios.tcsetwinsize(stderr, (24, 100))
    os.close(unread)
    command, env = place.command([server.at("slow")]), place.environment()
    assert subprocess.run(command, env=env, stdout=stdout, stderr=stderr, timeout=60).returncode == 0
    assert place.there() == set(place.files)
    assert b"%|" in os.read(screen, 65536)


def test_the_script_itself(place):
    script = shutil.copy(DATA / "prepare.py", place.root)
    (place.root / "missing").mkdir()
    (place.root / "missing" / "requests.py").write_text("raise ModuleNotFoundError(name='requests')")
    env = place.environment(HTTPS_PROXY=NOWHERE, https_proxy=NOWHERE)
    lacking = {"PYTHONPATH": str(place.root / "missing")}
    for arguments, more, status, words in [
            ([], {}, 3, "MNIST can't be had."), ([], lacking, 1, "The package requests is missing: "),
            (["--help"], {}, 0, "MNIST_MIRROR"), (["--stand-in"], {}, 2, "usage: ")]:
        command = [sys.executable, script, *arguments]
        result = subprocess.run(command, env=env | more, capture_output=True, text=True)
        assert result.returncode == status and words in result.stdout + result.stderr


@pytest.mark.mnist
def test_the_real_files_are_those_of_torchvision(tmp_path):
    from torchvision.datasets import MNIST

    own = os.environ.get("MNIST_MIRROR") or str(DATA / "MNIST" / "raw")
    own = own if "://" in own else str(Path(own).absolute())
    result = Place(prepare, tmp_path).run(env={"MNIST_MIRROR": own}, MIRRORS=[])
    assert result.returncode == 0, result.stderr
    for name, md5 in MNIST.resources:
        assert hashlib.md5((tmp_path / "MNIST" / "raw" / name).read_bytes()).hexdigest() == md5
    assert (len(MNIST(tmp_path)), len(MNIST(tmp_path, train=False))) == (60_000, 10_000)
