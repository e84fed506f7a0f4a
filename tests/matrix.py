"""The strict check on every kind of run that this machine can do. `make matrix` calls this.

    python tests/matrix.py          every row of matrix.toml; writes the table in tests/RESULTS.md
    python tests/matrix.py NAME …   the rows of these names

Each row checks a copy of the project in a folder of its own, under build/matrix. Other versions of Python and
the oldest supported torch and torchvision get environments there, of 5 GB each. uv makes them, and downloads
a Python that isn't on the path.
"""

import concurrent.futures
import datetime
import functools
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import torch

from files import write_part
from install import CONSTRAINTS, LISTS
from notebook_file import BUILD, NOTEBOOK, ROOT, core, read
from sandbox import copy_project, run_pytest

MATRIX = BUILD / "matrix"
ROWS = tomllib.loads((ROOT / "tests" / "matrix.toml").read_text(encoding="utf-8"))
OLDEST = ["torch==2.6.0", "torchvision==0.21.0"]


@functools.cache
def interpreter(python):
    """A Python of this version, or "oldest", with everything installed; needs uv (pip install uv)."""
    if python is None:
        return sys.executable
    venv, oldest = MATRIX / f"venv-{python}", python == "oldest"
    wanted = [line for path in LISTS for line in path.read_text(encoding="utf-8").splitlines()
              if not (oldest and line.startswith("torch"))]
    # The oldest torch needs other packages than the constraints hold.
    constraints = [] if oldest else ["--constraints", CONSTRAINTS]
    for command in (["venv", "--allow-existing", "--python", sys.executable if oldest else python, venv],
                    ["pip", "install", "--python", venv, "--requirements", "-", *constraints]):
        subprocess.run([sys.executable, "-m", "uv", "--quiet", *command], encoding="utf-8", check=True,
                       input="\n".join(wanted + OLDEST * oldest))
    return venv / "bin" / "python"


def check(name, folder=MATRIX, core_only=False):
    """What pytest says of a row, on the whole notebook or on its core; "" if it passes."""
    environment = {"threads": 1, "python": None, "folder": f"row-{[*ROWS].index(name) + 1}", **ROWS[name]}
    threads, python, called = (environment.pop(what) for what in ("threads", "python", "folder"))
    copy = folder / called
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    copy_project(copy)
    nb = core(read()) if core_only else read()
    options = ["-k", "not figure"] if core_only else []   # some figures in the text are of later sections
    line = "torch.set_num_threads({})"
    cell, = [cell for cell in nb.cells if line.format(1) in cell.source]
    cell.source = cell.source.replace(line.format(1), line.format(threads))
    # Threads that wait asleep leave the processor to others; how they wait changes no digit.
    environment |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    done = run_pytest(copy, nb, [NOTEBOOK.name, *options], interpreter(python), **environment)
    return done.stdout + done.stderr if done.returncode else ""


def main(names):
    rows, outcomes = names or [*ROWS], {}
    for python in {ROWS[name].get("python") for name in rows}:
        interpreter(python)   # the environments one after the other, before anything runs
    for threads in (1, 2):
        # Rows of one thread share the machine; threads that wait for each other have it to themselves.
        group = [name for name in rows if ROWS[name].get("threads", 1) == threads]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() if threads == 1 else 1) as pool:
            for name, said in zip(group, pool.map(check, group)):
                outcomes[name] = "failed" if said else "passed"
                print(outcomes[name], name, said, flush=True)
    if not names:
        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
        write_part(ROOT / "tests" / "RESULTS.md", "matrix", [
            f"On {datetime.date.today()}, {platform.machine()}, {os.cpu_count()} processor cores, "
            f"GPU: {gpu}.", "",
            "| run | result |", "|---|---|", *(f"| {name} | {outcomes[name]} |" for name in ROWS), "",
            f"{[*outcomes.values()].count('passed')} of {len(ROWS)} passed."])
    sys.exit("failed" in outcomes.values())


if __name__ == "__main__":
    main(sys.argv[1:])
