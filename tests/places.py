"""A script of data/, run on a folder of a test's own, where no run can touch data/ itself.

`python tests/places.py prepare SETTINGS` is such a run in a process of its own. Many are started, so pytest
and mock are imported only where they are needed: that takes longer than Python needs to start.
"""

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"
POSIX = os.name == "posix"
sys.path.insert(0, str(DATA))


class Place:
    """A folder of a test's own, and ways to run a script of data/, a module, on it.

    `settings` become the script's constants; see also `constants` and `main`.
    """

    def __init__(self, script, root):
        self.script, self.root = script, root

    def settings(self, **more):
        return {"ROOT": self.root} | more

    def environment(self, **more):
        """The environment without what would lead the script elsewhere."""
        clean = {name: value for name, value in os.environ.items()
                 if name != "MNIST_MIRROR" and not name.lower().endswith("_proxy")}
        return clean | {"PYTHONIOENCODING": "utf-8"} | more

    def run(self, *args, env={}, **settings):
        """Run the script in this process: one of its own takes ten times as long."""
        from unittest import mock

        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with (mock.patch.multiple(self.script, **constants(**self.settings(*args, **settings))),
              mock.patch.dict(os.environ, self.environment(**env), clear=True), contextlib.chdir(self.root),
              contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)):
            status = self.script.main([])
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess(self.script.__name__, status, out.read(), err.read())

    def run_apart(self, *args, env={}, **settings):
        """Run the script in a process of its own, which may die, or change what belongs to a process."""
        return subprocess.run(self.command(*args, **settings), env=self.environment(**env), cwd=self.root,
                              capture_output=True, encoding="utf-8", timeout=60)

    def start(self, *args, **settings):
        return subprocess.Popen(
            self.command(*args, **settings), env=self.environment(), cwd=self.root, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c if POSIX else None)

    def command(self, *args, **settings):
        settings = json.dumps(self.settings(*args, **settings), default=str)
        return [sys.executable, __file__, self.script.__name__, settings]


def heed_ctrl_c():
    """In a process to be started: what runs these tests in the background may have it ignored."""
    import signal
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def folder_for_others():
    """A folder outside pytest's private ones, where another user can go."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        folder.chmod(0o755)
        yield folder
        change_modes(folder, 0o755)


def change_modes(root, mode):
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            path.chmod(mode)


def make_read_only(place):
    """Take away the right to write, and return the settings to run under."""
    if not POSIX:
        import pytest
        pytest.skip("folders are made read-only by mode bits here, which this system lacks")
    change_modes(place.root, 0o555)
    return {"user": 65534} if os.geteuid() == 0 else {}  # mode bits don't stop root


def damage(kind, data):
    """The bytes `data`, damaged in one of the ways that happen."""
    middle = len(data) // 2
    return {
        "truncated": data[:middle],
        "padded": data + b"\0" * 100,
        "empty": b"",
        "html": b"<!DOCTYPE html>\n<title>Log in</title>" + b"." * 2000,
        "flipped": data[:middle] + bytes(byte ^ 4 for byte in data[middle:middle + 1]) + data[middle + 1:],
    }[kind]


def constants(blank=False, **settings):
    """What to change in the script: its constants and, for blank images, which take no time, what draws."""
    return settings | {"draw": draw_blank} if blank else settings


def draw_blank(sizes):
    import numpy
    return {part: (numpy.zeros((n, 28, 28), "uint8"), numpy.zeros(n, "uint8")) for part, n in sizes.items()}


def main():
    """Run a script as the settings say."""
    script, settings = importlib.import_module(sys.argv[1]), json.loads(sys.argv[2])
    die_at = settings.pop("die_at", None)            # end at once at this line, counted
    file_limit = settings.pop("file_limit", None)    # bytes: no file can grow beyond
    user = settings.pop("user", None)                # to run as
    if file_limit is not None:
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    if user is not None:
        import requests, tqdm  # noqa: E401, F401  while they can be read
        os.setuid(user)
    lines = 0

    def trace(frame, event, argument):
        nonlocal lines
        if frame.f_code.co_filename.startswith(str(DATA)):
            lines += event == "line"
            if lines == die_at:
                os._exit(99)
            return trace

    for name, value in constants(**settings | {"ROOT": Path(settings["ROOT"])}).items():
        setattr(script, name, value)
    if die_at is not None:
        threading.settrace(trace)
        sys.settrace(trace)
    status = script.main([])
    sys.settrace(None)
    if die_at is not None:
        print("LINES", lines)
    sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
