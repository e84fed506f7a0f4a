"""Get MNIST, into data/MNIST/raw.

    python data/prepare.py

It is looked for in this order: what is there already, MNIST_MIRROR (a folder
or an address that holds the four .gz files), three public mirrors. Every file
is checked by its SHA-256. Run again, it checks and does nothing more.

Exit status: 0 done; 3 MNIST can't be had; 1 anything else; 130 stopped.
"""

import argparse
import errno
import hashlib
import http
import itertools
import os
import shutil
import ssl
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(os.path.abspath(__file__)).parent

# Name: size in bytes, SHA-256. The .gz files' MD5 sums are those in torchvision.
FILES = {
    "train-images-idx3-ubyte.gz": (
        9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    "train-images-idx3-ubyte": (
        47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte.gz": (
        28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    "train-labels-idx1-ubyte": (
        60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte.gz": (
        1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    "t10k-images-idx3-ubyte": (
        7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte.gz": (
        4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    "t10k-labels-idx1-ubyte": (
        10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}

MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://raw.githubusercontent.com/fgnt/mnist/master",
]

STALL = 10  # seconds without a byte after which a mirror is given up
WINDOW = 30  # seconds in which at least WINDOW * SLOWEST bytes must arrive
SLOWEST = 10_000  # bytes a second
WAIT = 1800  # seconds to wait for another run in the same folder


class Unfit(Exception):
    """A mirror can't give a file; the message says why."""


class NoData(Exception):
    """There is no way to the data; the message is for the reader."""


def say(line):
    """Print one line at once, also where output goes to a file."""
    print(line, flush=True)


def show(path):
    """The path as the reader knows it: from the current folder if it lies below."""
    path = Path(path)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def hide(mirror):
    """The mirror's address without a name and password that may stand in it."""
    scheme, sep, rest = mirror.partition("://")
    host, slash, path = rest.partition("/")
    return scheme + sep + host.rpartition("@")[2] + slash + path if sep else mirror


# What is in a file


def fault(path, name):
    """Say what is wrong with the file `path`, which should be MNIST's file `name`.

    Returns None when its size and SHA-256 are those in FILES, else words that go
    on from the file's name: "is cut short: 10 of 4,542 bytes".
    """
    size, sha256 = FILES[name]
    path = Path(path)
    if not os.path.lexists(path):
        return "is missing"
    if not os.path.isfile(path):
        return "is not a file"
    try:
        with open(path, "rb") as file:
            found = file.seek(0, os.SEEK_END)
            file.seek(0)
            if found == size and hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return None
            file.seek(0)
            data = file.read(size)
    except OSError as error:
        return f"can't be read ({error.strerror})"
    if not data:
        return "is empty"
    if data[:100].lstrip().startswith(b"<"):
        return "is a web page and no data"
    if name.endswith(".gz"):
        if not data.startswith(b"\x1f\x8b"):
            return "is not a gzip file"
    else:
        images = "-images-" in name
        if data[:4] != (b"\0\0\x08\x03" if images else b"\0\0\x08\x01"):
            return f"doesn't begin as a file of {'images' if images else 'labels'} does (wrong magic number)"
        counted = int.from_bytes(data[4:8], "big")
        right = (size - 16) // 784 if images else size - 8
        if counted != right:
            return f"says that it holds {counted:,} items, and MNIST's holds {right:,}"
    if found < size:
        return f"is cut short: {found:,} of {size:,} bytes"
    if found > size:
        return f"is too long: {found:,} bytes instead of {size:,}"
    if "-labels-" in name and not name.endswith(".gz") and max(data[8:]) > 9:
        return f"holds the label {max(data[8:])}, and labels go from 0 to 9"
    return "has the right size and wrong bytes (its SHA-256 is not MNIST's)"


# Working in a folder that others may use too


def folder_fault(error):
    """Put an OSError about our own folders into words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"there is no room left on the disk ({error.strerror})"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"the folder can't be written to ({error.strerror})"
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{where}"


def make_folder(folder):
    """Make a folder and those above it; NoData if something else has its name."""
    for each in (*reversed(folder.parents), folder):
        if os.path.lexists(each) and not os.path.isdir(each):
            what = "a link that leads nowhere" if os.path.islink(each) else "a file"
            raise NoData(f"{show(each)} is {what}, and a folder has to be there; move it away")
    folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def alone(folder):
    """Hold the folder's lock, and give a fresh subfolder for half-made files.

    What a killed run left there is removed: only the holder of the lock uses it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Another run is at work in {show(folder)}: waiting for it.")
        try:
            lock.acquire(timeout=WAIT)
        except Timeout:
            raise NoData(f"another run has been at work in {show(folder)} for {WAIT} seconds") from None
    partial = folder / ".partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(exist_ok=True)
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        lock.release()


def set_aside(path, why):
    """Rename what is at `path` to an unused name beside it, and say so."""
    names = (f"{path.name}.damaged{n}" for n in itertools.chain([""], itertools.count(2)))
    aside = next(path.with_name(name) for name in names if not os.path.lexists(path.with_name(name)))
    os.rename(path, aside)
    say(f"{show(path)} {why}: kept as {aside.name}.")


def put(part, target):
    """Move a finished file to its place, keeping what stands there."""
    wrong = fault(part, target.name)
    if wrong:
        raise NoData(f"{target.name}, just written, {wrong}: the disk may be failing")
    if os.path.lexists(target):
        set_aside(target, fault(target, target.name))
    os.replace(part, target)


# Mirrors


class Arriving:
    """A file that fills from the network: counts its bytes and shows a bar."""

    def __init__(self, name):
        from tqdm import tqdm

        self.name = name
        self.size = FILES[name][0]
        self.count = 0
        self.file = None
        # disable=None: no bar where there is no terminal.
        self.bar = tqdm(total=self.size, desc=name, unit="B", unit_scale=True, leave=False, disable=None)

    def write(self, data):
        self.count += len(data)
        if self.count > self.size:
            raise Unfit(f"{self.name} is too long: more than {self.size:,} bytes")
        self.file.write(data)
        self.bar.update(len(data))

    def flush(self):
        self.file.flush()


def mirror_fault(error):
    """Put what went wrong with a mirror into words, or raise what isn't its fault."""
    from requests import exceptions as requests
    from urllib3.exceptions import NameResolutionError, ReadTimeoutError

    inner = error.args[0] if error.args else None
    if isinstance(error, Unfit):
        return str(error)
    if isinstance(error, requests.HTTPError):
        status = error.response.status_code
        phrase = {s.value: f" ({s.phrase})" for s in http.HTTPStatus}.get(status, "")
        return f"it answered {status}{phrase}"
    if isinstance(error, requests.ProxyError):
        return "the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names doesn't let us through"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection in {STALL} seconds"
    if isinstance(error, requests.Timeout) or isinstance(inner, ReadTimeoutError):
        return f"it sent nothing for {STALL} seconds"
    if isinstance(error, requests.SSLError):
        return "no secure connection (its certificate or this computer's clock may be wrong)"
    if isinstance(error, requests.ChunkedEncodingError):
        return "the connection broke off in the middle"
    if isinstance(error, requests.TooManyRedirects):
        return "it redirects for ever"
    if isinstance(error, requests.InvalidURL):
        return "this is no usable address"
    if isinstance(error, requests.ConnectionError):
        if isinstance(getattr(inner, "reason", None), NameResolutionError):
            return "its name was not found (is there a network?)"
        return "no connection, or it broke off before an answer"
    ours = (requests.RequestException, ConnectionError, TimeoutError, ssl.SSLError)
    if isinstance(error, OSError) and not isinstance(error, ours):
        raise error
    return f"it failed ({type(error).__name__}: {error})"


def download(url, name, partial):
    """Download one file with pooch and check it; return its path.

    Raises Unfit when the mirror fails, OSError when our own folder does.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    arriving = Arriving(name)
    answers = []

    def note(response, **_):
        answers.append(response)
        # Some servers call the .gz file itself an encoding; requests would undo it.
        response.raw.headers.pop("Content-Encoding", None)

    http_get = pooch.HTTPDownloader(
        chunk_size=16_384, timeout=STALL, headers={"Accept-Encoding": "identity"}, hooks={"response": note})

    def downloader(url, path, _):
        try:
            with open(path, "wb") as arriving.file:
                http_get(url, arriving, None)
        finally:
            for answer in answers:
                answer.close()  # pooch leaves it open when it is refused or broken off
        wrong = fault(path, name)
        if wrong:
            via = f", after a redirect to {hide(answers[-1].url)}" if len(answers) > 1 else ""
            raise Unfit(f"{name} {wrong}{via}")

    failed = []

    def work():
        try:
            pooch.retrieve(url, FILES[name][1], name, partial, downloader=downloader)
        except Exception as error:
            failed.append(error)

    # pooch's timeout starts anew with every byte, and looking up a name has
    # none: so a thread of its own, left behind when too little arrives.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            before, until = arriving.count, time.monotonic() + WINDOW
            while thread.is_alive() and time.monotonic() < until:
                thread.join(0.1)
            if thread.is_alive() and arriving.count - before < WINDOW * SLOWEST:
                raise Unfit(f"too slow: {arriving.count - before:,} bytes in {WINDOW} seconds")
    finally:
        arriving.bar.close()
    if failed:
        raise Unfit(mirror_fault(failed[0]))
    return partial / name


def fetch(mirror, name, partial):
    """Get one .gz file from a mirror, a folder or an address; return its path.

    Raises Unfit when the mirror fails, OSError when our own folder does.
    """
    say(f"Getting {name} ({FILES[name][0]:,} bytes) from {hide(mirror)}")
    if "://" in mirror:
        if not mirror.lower().startswith(("http://", "https://")):
            raise Unfit("an address has to begin with http:// or https:// (a folder needs none)")
        return download(f"{mirror.rstrip('/')}/{name}", name, partial)
    folder = Path(mirror).expanduser()
    if not os.path.isdir(folder):
        raise Unfit("there is no such folder")
    wrong = fault(folder / name, name)
    if wrong:
        raise Unfit(f"{name} {wrong}")
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise Unfit(f"{name} can't be read ({error.strerror})") from None
    (partial / name).write_bytes(data)
    return partial / name


# MNIST


def faults(raw):
    """What is wrong in the folder `raw`: {name: words}, empty when all is right."""
    return {name: wrong for name in FILES if (wrong := fault(raw / name, name))}


def legacy(raw):
    """The folder that torchvision would load, unchecked, in place of raw's files."""
    processed = raw.parent / "processed"
    both = all(os.path.isfile(processed / name) for name in ("training.pt", "test.pt"))
    return processed if both else None


def fill(raw, partial, tried):
    """Bring raw's files into order as far as can be; return the sources used.

    Appends to `tried` a line for each mirror that failed.
    """
    zipped = [name for name in FILES if name.endswith(".gz")]
    needed = [name for name in zipped if fault(raw / name, name)]
    own = os.environ.get("MNIST_MIRROR")
    used = []
    for mirror in ([own] if own else []) + MIRRORS:
        try:
            while needed:
                put(fetch(mirror, needed[0], partial), raw / needed[0])
                needed.pop(0)
                used.append(hide(mirror))
        except Unfit as reason:
            tried.append(f"{hide(mirror)}: {reason}")
            say(f"  {reason}")
    for name in zipped:
        plain = name.removesuffix(".gz")
        if name not in needed and fault(raw / plain, plain):
            import gzip

            with gzip.open(raw / name) as source, open(partial / plain, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            put(partial / plain, raw / plain)
    if legacy(raw):
        set_aside(legacy(raw), "would be loaded by torchvision in place of the checked files")
    return list(dict.fromkeys(used)) or ["the .gz files that were there"]


def get_mnist():
    """Leave MNIST's eight files, checked, in ROOT/MNIST/raw, or raise NoData."""
    raw = ROOT / "MNIST" / "raw"
    if not faults(raw) and not legacy(raw):
        say(f"MNIST is in {show(raw)} already: eight files, each with the right SHA-256.")
        return
    tried, used = [], ["another run"]
    try:
        make_folder(raw)
        with alone(raw) as partial:
            used = fill(raw, partial, tried)
    except NoData as reason:
        tried.append(f"{show(raw)}: {reason}")
    except OSError as error:
        tried.append(f"{show(raw)}: {folder_fault(error)}")
    wrong = faults(raw)
    if not wrong and not legacy(raw):
        say(f"MNIST is in {show(raw)}: eight files, each with the right SHA-256, from {' and '.join(used)}.")
    elif all(name.endswith(".gz") for name in wrong) and not legacy(raw):
        say(f"MNIST is in {show(raw)}: the four extracted files, all that is needed, have the right SHA-256.")
        say(f"Not had: {', '.join(wrong)}.")
    else:
        there = [f"{show(raw)}: {name} {what}" for name, what in wrong.items() if what != "is missing"]
        missing = len(wrong) - len(there)
        if missing:
            there.insert(0, f"{show(raw)}: {missing} of 8 files are missing")
        raise NoData("\n  ".join(["MNIST can't be had. What was tried:", *there, *tried]) + f"""
Three ways out:
  1. Try again, later or with another network: python {show(ROOT / 'prepare.py')}
  2. Put MNIST's four .gz files into {show(raw)}, or set MNIST_MIRROR to a
     folder or an address that holds them, and try again.
  3. Use the stand-in, digits drawn from fonts: python {show(ROOT / 'stand_in.py')}
     and data_root = "data/stand-in" in the notebook.""")


# The command line, of stand_in.py too


def command(description, work, no_data, arguments=None):
    """Do a script's work, with what stops it in words; return the exit status, `no_data` if it is NoData."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a path may hold any letter
    try:
        work()
    except NoData as message:
        sys.stdout.flush()
        print(message, file=sys.stderr)
        return no_data
    except ModuleNotFoundError as error:
        print(f"The package {error.name} is missing: python -m pip install -r requirements.txt", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. Nothing is half-written: run it again to go on.", file=sys.stderr)
        return 130
    return 0


def main(arguments=None):
    """Do what the command line asks; return the exit status."""
    return command(__doc__, get_mnist, 3, arguments)


if __name__ == "__main__":
    sys.exit(main())
