"""data/prepare.py: every fault ends in the right files or in a clear message.

Each test runs the script against a small data set in MNIST's format and a server
on 127.0.0.1; nothing outside is asked. Tests with the real files take them from
MNIST_MIRROR, or from data/MNIST/raw.
"""

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
import time
import urllib.parse
from pathlib import Path

import pytest

from places import DATA, POSIX, Place, damage, folder_for_others, make_read_only

import prepare  # places knows where it is


# The small data set


def idx(head, shape, data):
    """A file in MNIST's format: magic number, sizes, bytes."""
    return struct.pack(f">{1 + len(shape)}I", head, *shape) + data


@pytest.fixture(scope="session")
def files():
    """{name: bytes} of eight small files in MNIST's format."""
    draw = random.Random(0)
    files = {}
    for part, size in (("train", 1000), ("t10k", 200)):
        plain = {
            f"{part}-images-idx3-ubyte": idx(0x803, (size, 28, 28), draw.randbytes(size * 784)),
            f"{part}-labels-idx1-ubyte": idx(0x801, (size,), bytes(draw.choices(range(10), k=size))),
        }
        for name, data in plain.items():
            files[f"{name}.gz"] = gzip.compress(data, mtime=0)
            files[name] = data
    return files


class MnistPlace(Place):
    """A data folder of a test's own; without `files`, for the real ones."""

    def __init__(self, root, files=None):
        super().__init__(prepare, root)
        self.files = files
        self.raw = root / "MNIST" / "raw"

    def settings(self, mirrors=(), **more):
        more = {"MIRRORS": list(mirrors)} | more
        if self.files:
            more["FILES"] = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in self.files.items()}
        return super().settings(**more)

    def put(self, *names):
        """Put right files, by name, into raw."""
        self.raw.mkdir(parents=True, exist_ok=True)
        for name in names:
            (self.raw / name).write_bytes(self.files[name])

    def is_right(self):
        """All eight files are right, and nothing half-made is left."""
        left = [p for folder in (self.raw, self.root) for p in (folder / ".partial").rglob("*")]
        return not left and all((self.raw / n).read_bytes() == data for n, data in self.files.items())

    def nothing_wrong(self):
        """No file has a right name and wrong bytes."""
        return all((self.raw / n).read_bytes() == data
                   for n, data in self.files.items() if (self.raw / n).exists())


@pytest.fixture
def place(tmp_path, files):
    root = tmp_path / "data"
    root.mkdir()
    return MnistPlace(root, files)


@pytest.fixture
def mirror_folder(tmp_path, files):
    return make_mirror(tmp_path / "mirror", files)


def make_mirror(folder, files):
    folder.mkdir()
    for name, data in files.items():
        if name.endswith(".gz"):
            (folder / name).write_bytes(data)
    return folder


def succeeded(result, place):
    assert (result.returncode, place.is_right()) == (0, True), result.stdout + result.stderr
    return True


def failed(result, *words):
    """It ended with status 3 and one message that has the words and the ways out."""
    assert result.returncode == 3, result.stdout + result.stderr
    for text in (*words, "MNIST can't be had. What was tried:", "1. Try again", "2. Put MNIST's four .gz",
                 "3. Use the stand-in, digits drawn from fonts: python ", "stand_in.py\n"):
        assert text in result.stderr, result.stderr
    assert "Traceback" not in result.stderr
    return True


# The server


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /KIND/NAME with the file NAME and the fault KIND."""

    def do_GET(self):
        kind, name = urllib.parse.unquote(self.path).strip("/").split("/")[-2:]
        self.server.asked.append((kind, name))
        data = self.server.files.get(name, b"")
        try:
            self.answer(kind, name, data)
        except OSError:
            pass  # the other side has gone

    def answer(self, kind, name, data):
        if kind.isdigit():
            return self.send_error(int(kind))
        if kind == "login":
            return self.redirect("/html/page")
        if kind == "loop":
            return self.redirect(self.path)
        if kind == "silent":
            return self.server.over.wait()
        if kind in ("truncated", "padded", "empty", "html", "flipped"):
            data = damage(kind, data)
        self.send_response(200)
        if kind != "endless":
            self.send_header("Content-Length", str(len(data)))
        if kind == "labelled":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if kind == "endless":
            while not self.server.over.is_set():
                self.wfile.write(bytes(65536))
        elif kind in ("reset", "cut", "stall"):
            self.wfile.write(data[:len(data) // 2])
            self.wfile.flush()
            if kind == "stall":
                self.server.over.wait()
            if kind == "reset":
                at_once = struct.pack("ii" if POSIX else "hh", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                self.rfile.close()
                self.connection.close()
        elif kind in ("drip", "slow"):
            size, pause = (1, 0.05) if kind == "drip" else (8192, 0.003)
            for i in range(0, len(data), size):
                self.wfile.write(data[i:i + size])
                if self.server.over.wait(pause):
                    break
        else:
            self.wfile.write(data)

    def redirect(self, where):
        self.send_response(302)
        self.send_header("Location", where)
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a connection that was reset on purpose


@pytest.fixture(scope="session")
def running_server(files):
    server = Server(("127.0.0.1", 0), Handler)
    server.files, server.asked, server.over = files, [], threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(running_server):
    """The server; server.at(kind) is the address of a mirror with that fault."""
    running_server.asked.clear()
    running_server.at = lambda kind: f"http://127.0.0.1:{running_server.server_port}/{kind}"
    return running_server


@pytest.fixture
def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]  # bound, and nobody listens


# Mirrors with faults: each is named with its reason, and the next one tried


NAME = "train-images-idx3-ubyte.gz"
MIRROR_FAULTS = {
    "403": "it answered 403 (Forbidden)",
    "404": "it answered 404 (Not Found)",
    "500": "it answered 500 (Internal Server Error)",
    "503": "it answered 503 (Service Unavailable)",
    "truncated": f"{NAME} is cut short: ",
    "padded": f"{NAME} is too long: more than ",
    "empty": f"{NAME} is empty",
    "html": f"{NAME} is a web page and no data",
    "flipped": f"{NAME} has the right size and wrong bytes (its SHA-256 is not MNIST's)",
    "endless": f"{NAME} is too long: more than ",
    "login": f"{NAME} is a web page and no data, after a redirect to http://127.0.0.1:",
    "loop": "it redirects for ever",
    "reset": "the connection broke off in the middle",
    "cut": "the connection broke off in the middle",
    "stall": "it sent nothing for 1 seconds",
    "silent": "it sent nothing for 1 seconds",
    "drip": "too slow: ",
}
# Less patience where the fault is slowness; the good mirror keeps some, on a busy machine too.
# The script leaves a thread behind then, which is to end with a process.
PATIENCE = {
    "stall": {"STALL": 1, "WINDOW": 8}, "silent": {"STALL": 1, "WINDOW": 8}, "drip": {"WINDOW": 2, "SLOWEST": 1000},
}


@pytest.mark.parametrize("kind", MIRROR_FAULTS)
def test_a_bad_mirror_is_named_and_the_next_one_used(kind, place, server):
    run = place.run_apart if kind in PATIENCE else place.run
    result = run([server.at(kind), server.at("good")], **PATIENCE.get(kind, {}))
    assert succeeded(result, place)
    assert f"  {MIRROR_FAULTS[kind]}" in result.stdout
    assert f"from {server.at('good')}." in result.stdout.splitlines()[-1]
    assert result.stderr == ""


@pytest.mark.parametrize("kind", ["403", "flipped", "login", "reset", "stall", "drip"])
def test_a_bad_mirror_alone_ends_with_status_3(kind, place, server):
    run = place.run_apart if kind in PATIENCE else place.run
    result = run([server.at(kind)], **PATIENCE.get(kind, {}))
    assert failed(result, f"  {server.at(kind)}: {MIRROR_FAULTS[kind]}", "8 of 8 files are missing")
    assert not any((place.raw / name).exists() for name in place.files)


def test_nobody_listens(place, server, closed_port):
    bad = f"http://127.0.0.1:{closed_port}"
    result = place.run([bad, server.at("good")])
    assert succeeded(result, place)
    assert "no connection, or it broke off before an answer" in result.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux leaves a connection waiting in this way")
def test_no_connection(place, server):
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):  # now its queue is full, and a third waits outside
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        result = place.run([f"http://127.0.0.1:{full.getsockname()[1]}", server.at("good")], STALL=1)
    assert succeeded(result, place)
    assert "  no connection in 1 seconds" in result.stdout


def test_a_name_that_does_not_exist(place, server):
    result = place.run(["http://no-such-host.invalid", server.at("good")])
    assert succeeded(result, place)
    assert "its name was not found (is there a network?)" in result.stdout


def test_a_proxy_that_refuses(place, server, closed_port):
    proxy = f"http://someone:secret@127.0.0.1:{closed_port}"
    result = place.run([server.at("good")], env={"HTTP_PROXY": proxy, "http_proxy": proxy})
    assert failed(result, "the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names doesn't let us through")
    assert "secret" not in result.stdout + result.stderr


def test_a_server_that_calls_the_gzip_file_an_encoding(place, server):
    assert succeeded(place.run([server.at("labelled")]), place)


def test_no_secure_connection(place, server):
    result = place.run([server.at("good").replace("http:", "https:"), server.at("good")])
    assert succeeded(result, place)
    assert "  no secure connection (" in result.stdout


def test_an_address_that_is_none(place, server):
    result = place.run(["http://", server.at("good")])
    assert succeeded(result, place)
    assert "  this is no usable address" in result.stdout


def test_a_mirror_that_fails_in_the_middle_of_the_set(place, files, tmp_path, server):
    half = make_mirror(tmp_path / "half", files)
    (half / "t10k-images-idx3-ubyte.gz").unlink()
    result = place.run([server.at("good")], env={"MNIST_MIRROR": str(half)})
    assert succeeded(result, place)
    assert server.asked == [("good", "t10k-images-idx3-ubyte.gz"), ("good", "t10k-labels-idx1-ubyte.gz")]
    assert f"from {half} and {server.at('good')}." in result.stdout


# MNIST_MIRROR


def test_mnist_mirror_comes_before_the_public_mirrors(place, mirror_folder, server):
    result = place.run([server.at("good")], env={"MNIST_MIRROR": str(mirror_folder)})
    assert succeeded(result, place)
    assert server.asked == []
    assert f"from {mirror_folder}." in result.stdout


def test_mnist_mirror_with_an_address(place, server):
    assert succeeded(place.run(env={"MNIST_MIRROR": server.at("good") + "/"}), place)


def test_mnist_mirror_empty_is_not_set(place, server):
    assert succeeded(place.run([server.at("good")], env={"MNIST_MIRROR": ""}), place)


def test_mnist_mirror_with_a_folder_that_is_not_there(place, server, tmp_path):
    result = place.run([server.at("good")], env={"MNIST_MIRROR": str(tmp_path / "gone")})
    assert succeeded(result, place)
    assert "  there is no such folder" in result.stdout


def test_mnist_mirror_with_an_address_that_is_not_http(place):
    result = place.run(env={"MNIST_MIRROR": "ftp://me:secret@127.0.0.1/mnist"})
    assert failed(result, "ftp://127.0.0.1/mnist: an address has to begin with http:// or https://")
    assert "secret" not in result.stdout + result.stderr


@pytest.mark.parametrize("kind", ["truncated", "padded", "empty", "html", "flipped"])
def test_mnist_mirror_with_a_damaged_file(kind, place, mirror_folder, server):
    bad = mirror_folder / NAME
    bad.write_bytes(damage(kind, bad.read_bytes()))
    before = bad.read_bytes()
    result = place.run([server.at("good")], env={"MNIST_MIRROR": str(mirror_folder)})
    assert succeeded(result, place)
    assert f"  {NAME} " in result.stdout
    assert bad.read_bytes() == before


def test_paths_with_spaces_and_other_letters(files, tmp_path):
    mirror = make_mirror(tmp_path / "Größe  и 数字 (1)", files)
    place = MnistPlace(tmp_path / "данные 数字", files)
    place.root.mkdir()
    # A terminal that knows ASCII only must not be the end of it either.
    result = place.run_apart(env={"MNIST_MIRROR": str(mirror), "PYTHONIOENCODING": "ascii"})
    assert succeeded(result, place)


def test_a_mirror_address_with_spaces_and_other_letters(place, server):
    result = place.run(env={"MNIST_MIRROR": server.at("Größe 数字") + "/good"})
    assert succeeded(result, place)


# Files that are there already


def test_a_second_run_changes_nothing_and_asks_nobody(place, server):
    assert succeeded(place.run([server.at("good")]), place)
    server.asked.clear()
    before = {p: p.stat().st_mtime_ns for p in place.raw.iterdir()}
    result = place.run([server.at("good")])
    assert succeeded(result, place)
    assert (server.asked, {p: p.stat().st_mtime_ns for p in place.raw.iterdir()}) == ([], before)
    assert result.stdout.startswith("MNIST is in ") and " already: eight files" in result.stdout


GZ_FAULTS = {
    "truncated": "is cut short: ",
    "padded": "is too long: ",
    "empty": "is empty",
    "html": "is a web page and no data",
    "flipped": "has the right size and wrong bytes",
}


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("kind", GZ_FAULTS)
def test_a_damaged_compressed_file_is_kept_and_replaced(kind, name, place, server):
    place.put(*place.files)
    bad = damage(kind, place.files[f"{name}.gz"])
    (place.raw / f"{name}.gz").write_bytes(bad)
    result = place.run([server.at("good")])
    assert succeeded(result, place)
    assert server.asked == [("good", f"{name}.gz")]
    assert (place.raw / f"{name}.gz.damaged").read_bytes() == bad
    assert f"{name}.gz {GZ_FAULTS[kind]}" in result.stdout
    assert f"kept as {name}.gz.damaged." in result.stdout


@pytest.mark.parametrize("name", ["t10k-images-idx3-ubyte", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize("kind", GZ_FAULTS)
def test_a_damaged_extracted_file_is_kept_and_replaced(kind, name, place, server):
    place.put(*place.files)
    bad = damage(kind, place.files[name])
    (place.raw / name).write_bytes(bad)
    result = place.run([server.at("good")])
    assert succeeded(result, place)
    assert server.asked == []
    assert (place.raw / f"{name}.damaged").read_bytes() == bad
    if (kind, name) != ("flipped", "train-labels-idx1-ubyte"):  # there it may be a label
        assert f"{name} {GZ_FAULTS[kind]}" in result.stdout


EXTRACTED_FAULTS = {
    "a label of 200": (
        "t10k-labels-idx1-ubyte", lambda d: d[:50] + b"\xc8" + d[51:],
        "holds the label 200, and labels go from 0 to 9"),
    "too few labels, by count": (
        "t10k-labels-idx1-ubyte", lambda d: idx(0x801, (199,), d[8:]),
        "says that it holds 199 items, and MNIST's holds 200"),
    "too few labels, a whole file": (
        "t10k-labels-idx1-ubyte", lambda d: idx(0x801, (199,), d[8:-1]),
        "says that it holds 199 items, and MNIST's holds 200"),
    "too many images": (
        "t10k-images-idx3-ubyte", lambda d: idx(0x803, (201, 28, 28), d[16:] + bytes(784)),
        "says that it holds 201 items, and MNIST's holds 200"),
    "images with a wrong magic number": (
        "train-images-idx3-ubyte", lambda d: b"\0\0\x0d\x03" + d[4:],
        "doesn't begin as a file of images does (wrong magic number)"),
    "labels with a wrong magic number": (
        "train-labels-idx1-ubyte", lambda d: b"\0\0\x08\x03" + d[4:],
        "doesn't begin as a file of labels does (wrong magic number)"),
    "still compressed": (
        "t10k-images-idx3-ubyte", gzip.compress, "doesn't begin as a file of images does (wrong magic number)"),
}


@pytest.mark.parametrize("case", EXTRACTED_FAULTS)
def test_an_extracted_file_that_is_not_mnists(case, place):
    name, change, words = EXTRACTED_FAULTS[case]
    place.put(*place.files)
    (place.raw / name).write_bytes(change(place.files[name]))
    result = place.run()
    assert succeeded(result, place)
    assert f"{name} {words}: kept as {name}.damaged." in result.stdout


def test_a_compressed_file_that_was_extracted_under_its_own_name(place, server):
    place.put(*place.files)
    (place.raw / NAME).write_bytes(place.files[NAME.removesuffix(".gz")])
    result = place.run([server.at("good")])
    assert succeeded(result, place)
    assert f"{NAME} is not a gzip file: kept as {NAME}.damaged." in result.stdout


def test_a_damaged_file_stays_where_it_is_while_there_is_no_other(place, server):
    place.put(*place.files)
    bad = damage("flipped", place.files[NAME])
    (place.raw / NAME).write_bytes(bad)
    (place.raw / NAME.removesuffix(".gz")).write_bytes(bad)
    result = place.run([server.at("404")])
    assert failed(result, f"{NAME} has the right size and wrong bytes")
    assert (place.raw / NAME).read_bytes() == bad
    assert not list(place.raw.glob("*.damaged*"))


def test_a_second_damaged_file_does_not_replace_the_first(place):
    for content in (b"mine", b"mine too"):
        place.put(*place.files)
        (place.raw / "t10k-labels-idx1-ubyte").write_bytes(content)
        assert succeeded(place.run(), place)
    assert (place.raw / "t10k-labels-idx1-ubyte.damaged").read_bytes() == b"mine"
    assert (place.raw / "t10k-labels-idx1-ubyte.damaged2").read_bytes() == b"mine too"


def test_only_the_compressed_files_are_there(place):
    place.put(*(name for name in place.files if name.endswith(".gz")))
    result = place.run()
    assert succeeded(result, place)
    assert "from the .gz files that were there." in result.stdout


def test_only_the_extracted_files_are_there_and_no_mirror(place, server):
    place.put(*(name for name in place.files if not name.endswith(".gz")))
    result = place.run([server.at("503")])
    assert result.returncode == 0
    assert "the four extracted files, all that is needed, have the right SHA-256" in result.stdout


def test_a_folder_where_a_file_should_be(place, server):
    folder = place.raw / "t10k-images-idx3-ubyte"
    folder.mkdir(parents=True)
    (folder / "t10k-images.idx3-ubyte").write_bytes(b"mine")
    result = place.run([server.at("good")])
    assert succeeded(result, place)
    assert (place.raw / "t10k-images-idx3-ubyte.damaged" / "t10k-images.idx3-ubyte").read_bytes() == b"mine"
    assert "t10k-images-idx3-ubyte is not a file: kept as" in result.stdout


@pytest.mark.parametrize("where", ["MNIST", "MNIST/raw"])
def test_a_file_where_a_folder_should_be(where, place, server):
    path = place.root / where
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"mine")
    result = place.run([server.at("good")])
    assert failed(result, f"{Path(where)} is a file, and a folder has to be there; move it away")
    assert path.read_bytes() == b"mine"


def test_old_files_that_torchvision_would_prefer(place):
    place.put(*place.files)
    processed = place.root / "MNIST" / "processed"
    processed.mkdir()
    for name in ("training.pt", "test.pt"):
        (processed / name).write_bytes(b"mine")
    result = place.run()
    assert succeeded(result, place)
    assert (place.root / "MNIST" / "processed.damaged" / "training.pt").read_bytes() == b"mine"
    assert "processed would be loaded by torchvision in place of the checked files: kept as" in result.stdout


def link(path, target):
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError as error:
        pytest.skip(f"this system makes no symbolic links: {error}")


def test_a_link_to_a_folder_elsewhere(place, server, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link(place.root / "MNIST", elsewhere)
    assert succeeded(place.run([server.at("good")]), place)
    assert (place.root / "MNIST").is_symlink() and (elsewhere / "raw" / NAME).is_file()


def test_a_link_that_leads_nowhere(place, server, tmp_path):
    link(place.root / "MNIST", tmp_path / "gone")
    assert failed(place.run([server.at("good")]), "MNIST is a link that leads nowhere, and a folder has to be there")


def test_a_link_to_a_damaged_file_of_the_users(place, server, tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    place.raw.mkdir(parents=True)
    link(place.raw / NAME, tmp_path / "mine")
    assert succeeded(place.run([server.at("good")]), place)
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert (place.raw / f"{NAME}.damaged").is_symlink()


# Folders that can't be written to


@pytest.fixture
def others_place(files):
    with folder_for_others() as folder:
        yield MnistPlace(folder, files)


def test_a_read_only_folder(others_place, server):
    settings = make_read_only(others_place)
    result = others_place.run_apart([server.at("good")], **settings)
    assert failed(result, "the folder can't be written to (Permission denied)")


def test_a_read_only_folder_for_the_files(others_place, server):
    others_place.put(NAME)
    settings = make_read_only(others_place)
    result = others_place.run_apart([server.at("good")], **settings)
    assert failed(result, "raw: the folder can't be written to (Permission denied)")


def test_a_read_only_folder_with_everything_in_it(others_place):
    others_place.put(*others_place.files)
    settings = make_read_only(others_place)
    assert succeeded(others_place.run_apart(**settings), others_place)


def test_a_file_that_must_not_be_read(others_place, server):
    others_place.put(*others_place.files)
    os.chmod(others_place.root, 0o777)
    for path in (others_place.raw, others_place.raw / NAME):
        os.chmod(path, 0o777)
    settings = {"user": 65534} if POSIX and os.geteuid() == 0 else {}
    (others_place.raw / NAME).write_bytes(b"mine")
    os.chmod(others_place.raw / NAME, 0)
    if not settings and os.access(others_place.raw / NAME, os.R_OK):
        pytest.skip("this system has no file that its owner can't read")
    result = others_place.run_apart([server.at("good")], **settings)
    assert succeeded(result, others_place)
    assert f"{NAME} can't be read (Permission denied): kept as {NAME}.damaged." in result.stdout


# A disk that is full


@pytest.fixture
def small_disk(tmp_path, files):
    """A place on a disk of 1 MB: the compressed files take 0.9 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine doesn't let us mount a small disk")
    yield MnistPlace(disk, files)
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(small_disk, server):
    result = small_disk.run([server.at("good"), server.at("slow")])
    assert failed(result, "raw: there is no room left on the disk (No space left on device)")
    assert not any(kind == "slow" for kind, _ in server.asked)  # no mirror's fault
    assert small_disk.nothing_wrong()
    assert not (small_disk.raw / ".partial").exists()
    # Room for the rest: then a run ends well.
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk.root)], check=True)
    assert succeeded(small_disk.run([server.at("good")]), small_disk)


@pytest.mark.skipif(not POSIX, reason="this system has no limit on the size of files")
@pytest.mark.parametrize("what", ["downloading", "copying", "extracting"])
def test_no_room_while(what, place, server, mirror_folder):
    if what == "extracting":
        place.put(*(name for name in place.files if name.endswith(".gz")))
    env = {"MNIST_MIRROR": str(mirror_folder)} if what == "copying" else {}
    result = place.run_apart([server.at("good")], env=env, file_limit=100_000)
    assert failed(result, "raw: there is no room left on the disk (File too large)")
    assert place.nothing_wrong()
    assert succeeded(place.run([server.at("good")]), place)


# Killed at any moment


def test_killed_while_downloading_at_many_moments(place, server):
    draw = random.Random(1)
    half_made = 0
    for _ in range(12):
        process = place.start([server.at("slow")])
        process.stdout.readline()  # Getting …
        time.sleep(draw.uniform(0.05, 0.6))
        process.kill()
        process.communicate()
        half_made += (place.raw / ".partial").exists()
        assert place.nothing_wrong()
        for name in place.files:  # so that the next one downloads again
            if draw.random() < 0.5:
                (place.raw / name).unlink(missing_ok=True)
    assert half_made > 0  # it did hit the middle of the work
    assert succeeded(place.run([server.at("good")]), place)


def test_killed_while_extracting_at_many_moments(place):
    place.put(*(name for name in place.files if name.endswith(".gz")))
    draw = random.Random(2)
    half_made = 0
    for _ in range(12):
        process = place.start(slow_extraction=True)
        process.stdout.readline()  # extracting
        time.sleep(draw.uniform(0, 0.15))
        process.kill()
        process.communicate()
        half_made += (place.raw / ".partial").exists()
        assert place.nothing_wrong()
        for name in place.files:
            if not name.endswith(".gz"):
                (place.raw / name).unlink(missing_ok=True)
    assert half_made > 0
    assert succeeded(place.run(), place)


def test_ended_at_many_lines_of_the_script(place, mirror_folder):
    """Every step between two lines is a moment too, renaming a user's file among them."""
    env = {"MNIST_MIRROR": str(mirror_folder)}

    def start_over():
        shutil.rmtree(place.root / "MNIST", ignore_errors=True)
        place.put(NAME)
        (place.raw / "t10k-labels-idx1-ubyte").write_bytes(b"mine")

    start_over()
    whole = place.run_apart(env=env, die_at=-1)
    assert succeeded(whole, place)
    lines = int(whole.stdout.split("LINES ")[1])
    draw = random.Random(3)
    for die_at in draw.sample(range(1, lines), 24):
        start_over()
        assert place.run_apart(env=env, die_at=die_at).returncode == 99
        users = [p for p in place.raw.glob("t10k-labels-idx1-ubyte*") if p.read_bytes() == b"mine"]
        assert len(users) == 1, die_at
        result = place.run(env=env)
        assert succeeded(result, place), die_at
        assert (place.raw / "t10k-labels-idx1-ubyte.damaged").read_bytes() == b"mine"


# Several at once


def test_four_at_once(place, server):
    processes = [place.start([server.at("slow")]) for _ in range(4)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    assert place.is_right()
    assert len(server.asked) == 4  # each file once
    assert any("Another run is at work in" in out for out, _ in outputs)
    assert not list(place.raw.glob("*.damaged*"))


def test_a_run_that_holds_the_folder_for_too_long(place, server):
    from filelock import FileLock

    place.raw.mkdir(parents=True)
    with FileLock(place.raw / ".lock"):
        result = place.run_apart([server.at("good")], WAIT=0.3)
    assert failed(result, "another run has been at work in")


# What the reader sees


def test_plain_lines_where_there_is_no_terminal(place, server):
    result = place.run_apart([server.at("good")])
    assert succeeded(result, place)
    assert "\r" not in result.stdout + result.stderr and "%|" not in result.stdout + result.stderr
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 5


@pytest.mark.skipif(not POSIX, reason="this system has no pseudo-terminal")
def test_a_progress_bar_on_a_terminal(place, server):
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))  # lines and columns
    process = subprocess.Popen(
        place.command([server.at("slow")]), env=place.environment(), cwd=place.root,
        stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 4096):
            seen += block
    except OSError:
        pass  # the end, as Linux tells it
    os.close(ours)
    assert process.wait() == 0
    assert NAME.encode() in seen and b"%|" in seen


@pytest.mark.skipif(not POSIX, reason="Ctrl-C can't be sent to one process here")
def test_stopped_with_ctrl_c(place, server):
    import signal

    process = place.start([server.at("stall")])
    process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "Stopped. Nothing is half-written: run it again to go on.\n"
    assert place.nothing_wrong()
    assert succeeded(place.run([server.at("good")]), place)


def test_a_package_that_is_missing(place, tmp_path, server):
    (tmp_path / "pooch.py").write_text("raise ModuleNotFoundError('No module named pooch', name='pooch')")
    result = place.run_apart([server.at("good")], env={"PYTHONPATH": str(tmp_path)})
    assert result.returncode == 1
    assert result.stderr == "The package pooch is missing: python -m pip install -r requirements.txt\n"


def test_help_and_wrong_arguments():
    script = DATA / "prepare.py"
    result = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and "data/prepare.py" in result.stdout and "MNIST_MIRROR" in result.stdout
    result = subprocess.run([sys.executable, script, "--stand-in"], capture_output=True, text=True)
    assert result.returncode == 2


def test_the_exit_status_of_the_script_itself(place, closed_port):
    script = shutil.copy(DATA / "prepare.py", place.root)
    proxy = f"http://127.0.0.1:{closed_port}"
    result = subprocess.run([sys.executable, script], env=place.environment(HTTPS_PROXY=proxy, https_proxy=proxy),
                            cwd=place.root, capture_output=True, encoding="utf-8", timeout=60)
    assert failed(result, "8 of 8 files are missing")


def test_the_readme_gives_the_sums():
    text = (DATA / "README.md").read_text(encoding="utf-8")
    for name, (size, sha256) in prepare.FILES.items():
        assert f"| `{name}` | {size:,} | `{sha256}` |" in text


def test_the_readme_gives_the_messages():
    text = (DATA / "README.md").read_text(encoding="utf-8")
    for words in [*MIRROR_FAULTS.values(), *GZ_FAULTS.values()]:
        words = words.removeprefix(f"{NAME} ").replace(" 1 seconds", " 10 seconds").replace("127.0.0.1:", "")
        assert words.rstrip() in text


# The real files


@pytest.fixture(scope="session")
def mnist_source():
    own = os.environ.get("MNIST_MIRROR")
    if own:
        return own if "://" in own else str(Path(own).absolute())
    return str(DATA / "MNIST" / "raw")


@pytest.fixture(scope="session")
def real(mnist_source, tmp_path_factory):
    """A place with the real files, as the script left them."""
    place = MnistPlace(tmp_path_factory.mktemp("real") / "data")
    place.root.mkdir()
    place.result = place.run(env={"MNIST_MIRROR": mnist_source})
    return place


@pytest.mark.mnist
def test_real_files_from_the_mirror(real):
    assert real.result.returncode == 0, real.result.stderr
    assert not prepare.faults(real.raw)


@pytest.mark.mnist
def test_real_files_are_those_of_torchvision(real):
    from torchvision.datasets import MNIST

    for name, md5 in MNIST.resources:
        assert hashlib.md5((real.raw / name).read_bytes()).hexdigest() == md5
    train, test = MNIST(real.root), MNIST(real.root, train=False)
    assert (train.data.shape, test.data.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert train.targets.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.targets.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.mnist
def test_real_files_a_second_run_takes_less_than_a_second(real):
    times = []
    for _ in range(3):  # the best of three: the machine may be busy
        start = time.perf_counter()
        result = real.run_apart()
        times.append(time.perf_counter() - start)
        assert result.returncode == 0 and "already" in result.stdout
    assert min(times) < 1


@pytest.mark.mnist
def test_real_files_one_flipped_bit_is_found_and_mended(real):
    path = real.raw / "train-images-idx3-ubyte"
    data = bytearray(path.read_bytes())
    data[30_000_000] ^= 1
    path.write_bytes(data)
    result = real.run()
    assert result.returncode == 0 and not prepare.faults(real.raw)
    assert "train-images-idx3-ubyte has the right size and wrong bytes" in result.stdout
    path.with_name(path.name + ".damaged").unlink()
