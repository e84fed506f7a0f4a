"""data/prepare.py on small files and a server on 127.0.0.1: every fault ends in the right files or in a clear
message, and nothing of the user's is lost. The real files come from MNIST_MIRROR, or from data/MNIST/raw."""

import gzip
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler

import pytest

import prepare
from proxy import RAW, serving

ZIPPED = [name for name in prepare.FILES if name.endswith(".gz")]
EXTRACTED = [name.removesuffix(".gz") for name in ZIPPED]
SMALL = {name: random.Random(name).randbytes(500_000 if "images" in name else 1000) for name in EXTRACTED}
SMALL |= {f"{name}.gz": gzip.compress(SMALL[name], mtime=0) for name in EXTRACTED}
SUMS = {name: hashlib.sha256(SMALL[name]).hexdigest() for name in prepare.FILES}

POSIX_ONLY = pytest.mark.skipif(os.name != "posix", reason="signals, limits and pipes are POSIX's")
NOWHERE = "http://someone:secret@127.0.0.1:1"   # nobody listens there
NOT_READ = "can't be read, or there is no connection ("
BAD_MIRRORS = {   # a kind of answer, an address or a folder: words
    "404": "it answered 404 (Not Found)", "503": "it answered 503 (Service Unavailable)",
    "html": "is a web page", "flipped": "its SHA-256 is not MNIST's", "endless": "its SHA-256 is not MNIST's",
    "cut": NOT_READ, "stall": NOT_READ, "drip": "too slow: less than 1,000 bytes a second",
    NOWHERE: NOT_READ, "http://a..b": NOT_READ, "no/such/folder": NOT_READ,
}
RUN = """
import os, signal, sys
sys.path.insert(0, {folder!r})
import prepare
vars(prepare).update({constants!r}, ROOT=prepare.Path.cwd())
{first}
sys.exit(prepare.command(prepare.__doc__, prepare.get_mnist, 3))
"""


class Place:
    """A folder of a test's own, for MNIST's files, small ones, and runs of prepare.py on it."""

    def __init__(self, root):
        self.root, self.raw = root, root / "MNIST" / "raw"

    def start(self, *mirrors, first="", stdout=subprocess.PIPE, **constants):
        """Start a process with other constants, and a line to execute before."""
        constants = {"MIRRORS": mirrors, "FILES": SUMS} | constants
        code = RUN.format(folder=str(prepare.ROOT), constants=constants, first=first)
        return subprocess.Popen([sys.executable, "-c", code], cwd=self.root, text=True,
                                stdout=stdout, stderr=subprocess.PIPE)

    def run(self, *mirrors, **how):
        """Run it, and return its exit status and what it said."""
        process = self.start(*mirrors, **how)
        said = "".join(filter(None, process.communicate(timeout=60)))
        assert "Traceback" not in said and "secret" not in said
        assert not list(self.raw.glob(".*")), "something half-made"
        return process.returncode, said

    def put(self, names, folder=None):
        folder = folder or self.raw
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_bytes(SMALL[name])

    def there(self):
        """The names of the files in raw; each must be right."""
        names = {name for name in SMALL if (self.raw / name).exists()}
        assert all((self.raw / name).read_bytes() == SMALL[name] for name in names)
        return names


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in os.environ:
        if name == "MNIST_MIRROR" or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return Place(tmp_path)


class Mirror(BaseHTTPRequestHandler):
    """Answers /KIND/NAME with the file NAME and the fault KIND."""

    def do_GET(self):
        kind, name = self.path.split("/")[-2:]
        self.server.served.add(name)
        if kind.isdigit():
            return self.send_error(int(kind))
        right = SMALL[name]
        data = {"html": b"<!DOCTYPE html>".ljust(len(right)), "flipped": right[:-1] + bytes([right[-1] ^ 4]),
                "cut": right[:500], "stall": right[:500]}.get(kind, right)
        self.send_response(200)
        if kind == "labelled":
            self.send_header("Content-Encoding", "gzip")
        if kind != "endless":
            self.send_header("Content-Length", str(len(right)))
        self.end_headers()
        size, pause = {"stall": (500, 99), "drip": (1, 0.05), "slow": (8192, 0.003)}.get(kind, (10**6, 0))
        while data:
            self.wfile.write(data[:size])
            time.sleep(pause)
            data = data if kind == "endless" else data[size:]


@pytest.fixture
def server():
    with serving(Mirror) as server:
        server.at = lambda kind: f"http://127.0.0.1:{server.server_port}/{kind}"
        yield server


@pytest.mark.parametrize("kind", BAD_MIRRORS)
def test_a_bad_mirror(kind, place, server):
    """Alone it ends with status 3 and the ways out, before a good one with the right files, asked once."""
    bad, patience = kind if "/" in kind else server.at(kind), {"STALL": 2, "WINDOW": 3, "SLOWEST": 1000}
    status, said = place.run(bad, **patience)
    assert status == 3 and BAD_MIRRORS[kind] in said and place.there() == set()
    assert "MNIST_MIRROR" in said and str(place.root / "stand_in.py") in said
    status, said = place.run(bad, server.at("good"), **patience)
    assert status == 0 and BAD_MIRRORS[kind] in said and place.there() == set(SMALL)
    assert said.count(" from ") == 5


@pytest.mark.parametrize("own", ["", "good/", "labelled"])
def test_mnist_mirror_with_an_address(own, place, server, monkeypatch):
    monkeypatch.setenv("MNIST_MIRROR", own and server.at(own))
    assert place.run(server.at("404" if own else "good"))[0] == 0
    assert place.there() == set(SMALL) and server.served == set(ZIPPED)


@pytest.mark.parametrize("lacks", [[], ZIPPED[2:]])
def test_mnist_mirror_with_a_folder(lacks, place, server, monkeypatch):
    """It is asked first. The terminal knows no letter of its name."""
    folder = place.root / "Größe  и 数字 (1)"
    place.put(set(ZIPPED) - set(lacks), folder)
    monkeypatch.setenv("MNIST_MIRROR", str(folder))
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert place.run(server.at("good"))[0] == 0
    assert place.there() == set(SMALL) and server.served == set(lacks)


def test_a_second_run_changes_nothing_and_asks_nobody(place, server):
    place.put(SMALL)
    before = {path: path.stat().st_mtime_ns for path in [place.raw, *place.raw.iterdir()]}
    assert place.run(server.at("good"))[0] == 0 and server.served == set()
    assert before == {path: path.stat().st_mtime_ns for path in [place.raw, *place.raw.iterdir()]}


@pytest.mark.parametrize("names, status", [(ZIPPED, 0), (EXTRACTED, 0), (EXTRACTED[1:], 3)])
def test_the_extracted_files_are_all_that_is_needed(names, status, place):
    place.put(names)
    assert place.run(NOWHERE)[0] == status and place.there() >= set(names)


@pytest.mark.parametrize("name", [ZIPPED[0], EXTRACTED[3]])
def test_a_file_with_other_bytes(name, place, server):
    """It stays while there is no other, and is kept when there is one, also a second time."""
    place.put(set(SMALL) - {f"{name}.gz"})
    for kept in (1, 2):
        (place.raw / name).write_bytes(b"mine")
        (place.raw / f"{name}.gz").unlink(missing_ok=True)
        assert place.run(server.at("404"))[0] == (0 if name in ZIPPED else 3)
        assert (place.raw / name).read_bytes() == b"mine"
        status, said = place.run(server.at("good"))
        assert status == 0 and f"{name} is not MNIST's: kept in {name}.damaged-" in said
        assert place.there() == set(SMALL)
        assert [path.read_bytes() for path in place.raw.glob(f"{name}.damaged-*/{name}")] == [b"mine"] * kept


@POSIX_ONLY
@pytest.mark.parametrize("first, words", [
    ("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))", "File too large"),
    # Root can write there all the same. So it becomes another user, who can import nothing more.
    ("os.chmod('MNIST/raw', 0o555); prepare.argparse.ArgumentParser().parse_args(); "
     "os.getuid() or os.setuid(65534)", "Permission denied"),
], ids=["no room", "read-only"])
def test_a_folder_that_can_t_be_filled(first, words, place, server):
    place.put([])
    (place.raw / ZIPPED[0]).write_bytes(b"mine")
    status, said = place.run(server.at("good"), first=first)
    assert status == 3 and words in said
    assert [path.read_bytes() for path in place.raw.iterdir()] == [b"mine"]


@POSIX_ONLY
@pytest.mark.parametrize("number, status, words", [(2, 130, "Stopped. Nothing is half-written"), (9, -9, "")])
def test_stopped_by_ctrl_c_or_killed_half_way(number, status, words, place, server):
    # What runs these tests in the background may have Ctrl-C ignored.
    process = place.start(server.at("stall"), first="signal.signal(2, signal.default_int_handler)")
    process.stdout.readline()
    time.sleep(1)
    process.send_signal(number)
    assert process.communicate(timeout=20)[1].startswith(words) and process.returncode == status
    assert place.there() == set()
    assert place.run(server.at("good"))[0] == 0 and place.there() == set(SMALL)


def test_four_at_once(place, server):
    processes = [place.start(server.at("slow")) for _ in range(4)]
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert place.there() == set(SMALL) and not list(place.raw.glob("*.damaged*"))


@POSIX_ONLY
def test_nobody_reads_the_lines(place, server):
    """As `prepare.py | head`."""
    unread, stdout = os.pipe()
    os.close(unread)
    assert place.run(server.at("good"), stdout=stdout) == (0, "") and place.there() == set(SMALL)
    os.close(stdout)


@pytest.mark.parametrize("command, status, words", [
    ("prepare.py", 3, "(ProxyError)"), ("prepare.py --help", 0, "MNIST_MIRROR"),
    ("prepare.py --stand-in", 2, "usage: "), ("-S prepare.py", 1, "The package requests is missing: "),
    ("-S stand_in.py", 1, "The package matplotlib is missing: ")])
def test_the_scripts_themselves(command, status, words, place, monkeypatch):
    """Without a network: a proxy doesn't answer. -S: without packages."""
    monkeypatch.setenv("https_proxy", NOWHERE)
    for name in ("prepare.py", "stand_in.py"):
        shutil.copy(prepare.ROOT / name, place.root)
    result = subprocess.run([sys.executable, *command.split()], cwd=place.root, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert result.returncode == status and words in result.stdout
    assert "Traceback" not in result.stdout and "secret" not in result.stdout


@pytest.mark.mnist
def test_the_real_files(tmp_path, monkeypatch):
    own = os.environ.get("MNIST_MIRROR") or str(RAW)
    monkeypatch.setenv("MNIST_MIRROR", own if "://" in own else os.path.abspath(own))
    status, said = Place(tmp_path).run(FILES=prepare.FILES)
    assert status == 0 and "8 files, each with the right SHA-256." in said, said
