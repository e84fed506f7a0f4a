"""Install what the notebook needs into .venv. `make` does this first; without make, call it yourself.

    python tools/install.py           requirements.txt
    python tools/install.py --tests   and tests/requirements.txt

The exact version of every package is in tests/constraints.txt. What is installed stays. An environment that
can't be used, because its Python is gone or is another than the packages are for, is made anew.
"""
# Python 3.6 and newer must be able to read this file, to say that they are too old.

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
DONE = VENV / "installed"   # a line for each list of packages that is installed
LISTS = [ROOT / "requirements.txt", ROOT / "tests" / "requirements.txt"]
CONSTRAINTS = ROOT / "tests" / "constraints.txt"


def fault(version=sys.version_info[:2], system=platform.system(), machine=platform.machine(),
          macos=platform.mac_ver()[0]):
    """Why the pinned packages can't be had for a Python on a system, in a sentence; None if they can."""
    if not (3, 11) <= version <= (3, 14):
        too_old = version < (3, 11)
        why = "Python 3.11 or newer is needed" if too_old else "the pinned numpy has no wheel for it yet"
        return (f"This is Python {version[0]}.{version[1]}: {why}. Name one from 3.11 to 3.14: "
                "make PYTHON=python3.13 run, or python3.13 tools/install.py")
    if system == "Darwin" and (machine != "arm64" or int(macos.split(".")[0]) < 14):
        return ("The pinned torch needs macOS 14 or newer and a Python for Apple's processors. This is macOS "
                f"{macos} and a Python for {machine}. Run the notebook on a site that README names.")


def usable():
    """Whether .venv has a Python that runs and that the packages are for."""
    ask = [str(PYTHON), "-I", "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(ask, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return False
    return answer.returncode == 0 and fault(tuple(map(int, answer.stdout.split()))) is None


def run(python, *arguments):
    """Where a command fails, it has said why: end with its status."""
    status = subprocess.run([str(python), *arguments]).returncode
    if status:
        sys.exit(status)


def install(lists):
    """Bring .venv into order."""
    states = [hashlib.sha256(path.read_bytes() + CONSTRAINTS.read_bytes()).hexdigest() for path in lists]
    there = usable()
    if there and DONE.exists() and set(states) <= set(DONE.read_text().split()):
        return
    if not there:
        if fault():
            sys.exit(fault())
        if VENV.is_symlink() or VENV.exists() and not (VENV / "pyvenv.cfg").exists():
            sys.exit("What is at .venv is a link, or something else than Python's packages. "
                     "Move it elsewhere, and run this again.")
        if VENV.exists():
            print("The Python of .venv can't be used: making .venv anew.", flush=True)
        run(sys.executable, "-m", "venv", "--clear", str(VENV))
    DONE.write_text("")   # pip may change what is installed, and be stopped
    if subprocess.run([str(PYTHON), "-I", "-c", "import pip"], stderr=subprocess.DEVNULL).returncode:
        run(PYTHON, "-I", "-m", "ensurepip")   # uv's environments have no pip
    # People need pip's settings, for mirrors; but not those that put packages elsewhere.
    run(PYTHON, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-user", "--target=",
        "--constraint", str(CONSTRAINTS), *(f"--requirement={path}" for path in lists))
    DONE.write_text("\n".join(states))


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--tests"]):
        sys.exit(__doc__)
    try:
        install(LISTS if sys.argv[1:] else LISTS[:1])
    except KeyboardInterrupt:
        sys.exit("\nStopped: run it again to go on.")
