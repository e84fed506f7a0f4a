"""Install what the notebook needs into .venv. `make` does this first; without make, call it yourself.

    python tools/install.py           requirements.txt
    python tools/install.py --tests   and tests/requirements.txt

The exact version of every package is in tests/constraints.txt. What is installed stays. An environment that
can't be used, because its Python is gone or is another than the packages are for, is made anew.
"""
# Python 3.6 and newer must be able to read this file, to say that they are too old.

import ast
import hashlib
import os
import platform
import re
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
    if system == "Darwin" and machine != "arm64":
        return ("The pinned torch has no wheel for Macs with Intel processors, nor for Pythons made "
                "for them. Run the notebook on a site such as Colab, which README names.")
    if system == "Darwin" and int(macos.split(".")[0]) < 14:
        return f"The pinned torch has wheels for macOS 14 and newer; this is {macos}."
    return None


def usable():
    """Whether .venv has pip, and a Python that runs and that the packages are for."""
    ask = "import pip, sys; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run([str(PYTHON), "-c", ask], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return False
    return answer.returncode == 0 and fault(tuple(map(int, answer.stdout.split()))) is None


def arguments(lists):
    """pip's arguments that install these lists of packages."""
    return ["install", "--disable-pip-version-check", "--constraint", str(CONSTRAINTS),
            *(argument for path in lists for argument in ("--requirement", str(path)))]


# pip's settings that people need. Others may put packages elsewhere, or nowhere.
ALLOWED = ["index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "proxy", "cert",
           "client-cert", "cache-dir", "no-cache-dir", "timeout", "default-timeout", "retries",
           "keyring-provider", "prefer-binary"]


def environment():
    """The environment for pip: of its settings, in variables and in its files, only the allowed ones."""
    env = {name: value for name, value in os.environ.items()
           if not name.upper().startswith("PIP_") and name != "PYTHONPATH"}
    own_file = {name: value for name, value in os.environ.items() if name == "PIP_CONFIG_FILE"}
    listed = subprocess.run([str(PYTHON), "-m", "pip", "config", "list", "--disable-pip-version-check"],
                            stdout=subprocess.PIPE,
                            text=True, env=dict(env, **own_file)).stdout
    env["PIP_CONFIG_FILE"] = os.devnull
    for key, _, value in (line.partition("=") for line in listed.splitlines()):   # section.name='value'
        section, _, name = key.partition(".")
        if section in ("global", "install") and name in ALLOWED:
            env["PIP_" + name.upper().replace("-", "_")] = ast.literal_eval(value)
    for name in ("PIP_" + name.upper().replace("-", "_") for name in ALLOWED):   # variables stand above files
        if name in os.environ:
            env[name] = os.environ[name]
    return env


def missing(lists, env):
    """The packages of these lists that .venv doesn't have, by itself."""
    names = [re.split(r"[^\w.-]", line)[0] for path in lists for line in path.read_text().splitlines()
             if line.strip() and line[0] not in "#-"]
    ask = ("import importlib.metadata as m, sys\n"
           "print(*[name for name in sys.argv[1:] if not list(m.distributions(name=name))])")
    found = subprocess.run([str(PYTHON), "-c", ask] + names, stdout=subprocess.PIPE, text=True, env=env)
    return found.stdout.split()


def install(lists):
    """Bring .venv into order; return the exit status."""
    def state(path):
        return hashlib.sha256(path.read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()

    there = usable()
    if not there and PYTHON.exists():   # uv's environments have no pip
        subprocess.run([str(PYTHON), "-m", "ensurepip"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        there = usable()
    done = set(DONE.read_text().split()) if there and DONE.exists() else set()
    if done.issuperset(map(state, lists)):
        return 0
    if not there:
        if fault():
            print(fault(), file=sys.stderr)
            return 1
        if VENV.is_symlink():
            VENV.unlink()   # what it leads to is somebody's
        elif VENV.is_dir() and any(VENV.iterdir()) and not (VENV / "pyvenv.cfg").exists():
            print("The folder .venv holds something else than Python's packages. "
                  "Move it elsewhere, and run this again.",
                  file=sys.stderr)
            return 1
        elif VENV.exists():
            print("The Python of .venv can't be used: making .venv anew.", flush=True)
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)]).returncode
        if made:
            return made
    if DONE.exists():
        DONE.unlink()   # pip may change what is installed, and be stopped
    env = environment()
    installed = subprocess.run([str(PYTHON), "-m", "pip"] + arguments(lists), env=env).returncode
    if installed:
        return installed
    lacking = missing(lists, env)
    if lacking:
        print("pip said that it was done, but .venv has no {}. Delete .venv and run this again.".format(
            ", ".join(lacking)), file=sys.stderr)
        return 1
    DONE.write_text("\n".join(map(state, lists)))
    return 0


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--tests"]):
        sys.exit(__doc__)
    try:
        sys.exit(install(LISTS if sys.argv[1:] else LISTS[:1]))
    except KeyboardInterrupt:
        sys.exit("\nStopped: run it again to go on.")
