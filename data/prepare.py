"""Get MNIST, into data/MNIST/raw: python data/prepare.py. It is looked for there, then in MNIST_MIRROR
(a folder or an address that holds the four .gz files), then at the mirrors below.
Exit status: 0 done; 3 MNIST can't be had; 1 anything else; 130 stopped."""

import argparse
import gzip
import hashlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

MIRRORS = [  # addresses that hold the four .gz files
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://raw.githubusercontent.com/fgnt/mnist/master",
]
FILES = {  # name: SHA-256
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
STALL = 10  # seconds without a byte after which a mirror is given up
WINDOW, SLOWEST = 30, 10_000  # it has so many seconds, and one more for each so many bytes
ROOT = Path(os.path.abspath(__file__)).parent


class NoData(Exception):
    """The data can't be had; the message says why."""


def say(line):
    """Print one line at once. Nobody has to read it: `prepare.py | head` gets MNIST all the same."""
    try:
        print(line, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def set_aside(path, why):
    """Move what is at `path` into a new folder beside it, and say so."""
    aside = Path(tempfile.mkdtemp(prefix=f"{path.name}.damaged-", dir=path.parent))
    os.rename(path, aside / path.name)
    say(f"{path} {why}: kept in {aside.name}.")


def is_right(path):
    """Whether a file is MNIST's, by its name and SHA-256."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == FILES[path.name]
    except OSError:
        return False


def put(data, path):
    """Check a file's bytes, write them beside `path`, and rename them; NoData if they are not MNIST's."""
    if hashlib.sha256(data).hexdigest() != FILES[path.name]:
        is_page = data[:100].lstrip().startswith(b"<")
        raise NoData(f"{path.name} is a web page" if is_page else f"{path.name}: its SHA-256 is not MNIST's")
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as folder:
        Path(folder, path.name).write_bytes(data)
        if os.path.lexists(path) and not is_right(path):
            set_aside(path, "is not MNIST's")
        os.replace(Path(folder, path.name), path)


def fetch(mirror, name):
    """Return the bytes of a .gz file from a mirror, a folder or an address; NoData if it fails."""
    import requests
    from tqdm import tqdm
    from urllib3.exceptions import HTTPError
    data, end = bytearray(), time.monotonic() + WINDOW  # the largest file has 9.9 MB
    try:
        if "://" not in mirror:
            return Path(os.path.expanduser(mirror), name).read_bytes()
        # Some servers call the .gz file itself an encoding: none is asked for, and none undone.
        with (requests.get(f"{mirror.rstrip('/')}/{name}", stream=True, timeout=STALL,
                           headers={"Accept-Encoding": "identity"}) as reply,
              tqdm(total=reply.raw.length_remaining, unit="B", unit_scale=True, leave=False,
                   disable=None) as bar):
            if not reply.ok:
                raise NoData(f"it answered {reply.status_code} ({reply.reason})")
            while len(data) < 10**7 and (block := reply.raw.read1(65536, decode_content=False)):
                data += block
                bar.update(len(block))
                if time.monotonic() > end + len(data) / SLOWEST:
                    raise NoData(f"too slow: less than {SLOWEST:,} bytes a second")
        return data
    except (OSError, ValueError, HTTPError) as error:  # ValueError: no usable address
        raise NoData(f"{name} can't be read, or there is no connection ({type(error).__name__})") from None


def get_mnist():
    """Leave MNIST's eight files in ROOT/MNIST/raw; NoData if the four extracted ones can't be had."""
    raw = ROOT / "MNIST" / "raw"
    wrong = [name for name in FILES if not is_right(raw / name)]
    mirrors = [mirror for mirror in (os.environ.get("MNIST_MIRROR"), *MIRRORS) if mirror]
    try:
        raw.mkdir(parents=True, exist_ok=True)
        for path in [raw / name for name in wrong]:
            zipped = path.with_suffix(".gz")
            while path == zipped and mirrors and not is_right(path):
                say(f"Getting {path.name} from {re.sub('://[^/]*@', '://', mirrors[0])}")  # no password
                try:
                    put(fetch(mirrors[0], path.name), path)
                except NoData as reason:
                    say(f"  {reason}")
                    mirrors.pop(0)
            if path != zipped and is_right(zipped):
                put(gzip.decompress(zipped.read_bytes()), path)
    except OSError as error:
        say(f"  {raw}: {error}")
    wrong = [name for name in wrong if not is_right(raw / name)]
    if any(not name.endswith(".gz") for name in wrong):
        raise NoData(f"""MNIST can't be had. Missing or wrong in {raw}: {', '.join(wrong)}.
Try again later, put its four .gz files there, or set MNIST_MIRROR to a folder or an address with them;
or draw the stand-in: python {ROOT / 'stand_in.py'}, data_root = "data/stand-in" in the notebook.""")
    say(f"MNIST is in {raw}: {8 - len(wrong)} files, each with the right SHA-256.")


def command(description, work, no_data):
    """Do a script's work, with what stops it in words; return the exit status, `no_data` if it is NoData."""
    argparse.ArgumentParser(description=description).parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a path may hold any letter
    try:
        work()
        return 0
    except NoData as message:
        status, words = no_data, message
    except ModuleNotFoundError as error:
        status, words = 1, f"The package {error.name} is missing: python -m pip install -r requirements.txt"
    except KeyboardInterrupt:
        status, words = 130, "Stopped. Nothing is half-written: run it again to go on."
    print(words, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(command(__doc__, get_mnist, 3))
