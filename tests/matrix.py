"""The strict check on every kind of run that this machine can do. `make matrix` calls this.

    python tests/matrix.py          every row; writes the table in tests/README.md
    python tests/matrix.py NAME …   the rows of these names

Each row checks a copy of the project in a folder of its own, under build/matrix. Other versions of Python and
the oldest supported torch and torchvision, get environments there: 5 GB each, made by uv.
"""

import concurrent.futures
import datetime
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from cells import BUILD, ROOT, read
from install import CONSTRAINTS, LISTS
from marked import write_part
from sandbox import copy_project, run_pytest

MATRIX = BUILD / "matrix"
OLDEST = ["torch==2.6.0", "torchvision==0.21.0"]


class Row(NamedTuple):
    """One way to run the notebook."""
    name: str
    environment: dict = {}
    threads: int = 1
    folder: str = ""   # what the copy's folder is called
    python: str = ""   # a version, or "oldest": the oldest torch; empty for the environment that runs this


AVX2, BASELINE = {"ATEN_CPU_CAPABILITY": "avx2"}, {"ATEN_CPU_CAPABILITY": "default"}
COMPATIBLE, SSE4 = {"MKL_CBWR": "COMPATIBLE"}, {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
FAR_EAST, COLD_CACHE = {"TZ": "Pacific/Kiritimati"}, {"MPLCONFIGDIR": "matplotlib-cache"}
PYTHONS = {"3.12": "Python 3.12", "3.13": "Python 3.13", "3.14": "Python 3.14",
           "oldest": " and ".join(OLDEST)}

ROWS = [
    Row("1 thread"), Row("2 threads", threads=2),
    Row("1 thread, AVX2", AVX2), Row("2 threads, AVX2", AVX2, threads=2),
    Row("1 thread, no vector instructions", BASELINE),
    Row("2 threads, no vector instructions", BASELINE, threads=2),
    Row("MKL_CBWR=COMPATIBLE", COMPATIBLE), Row("MKL_CBWR=COMPATIBLE, 2 threads", COMPATIBLE, threads=2),
    Row("MKL_CBWR=COMPATIBLE, no vector instructions, 2 threads", COMPATIBLE | BASELINE, threads=2),
    Row("MKL with SSE4.2", SSE4), Row("MKL with SSE4.2, 2 threads", SSE4, threads=2),
    Row("locale C", C_LOCALE), Row("UTF-8 locale", {"LC_ALL": "C.UTF-8"}),
    Row("time zone UTC+14", FAR_EAST), Row("hash seed 1", {"PYTHONHASHSEED": "1"}),
    Row("cold matplotlib cache", COLD_CACHE),
    Row("a path with spaces and an umlaut", folder="a päth with spaces"),
    Row("locale C, UTC+14, cold cache, path with spaces, no vector instructions, 2 threads",
        C_LOCALE | FAR_EAST | COLD_CACHE | BASELINE, threads=2, folder="everything at once"),
    *(Row(f"{name}, {how}", environment, threads, python=python) for python, name in PYTHONS.items()
      for how, environment, threads in [
          ("1 thread", {}, 1), ("2 threads", {}, 2), ("no vector instructions", BASELINE, 1)]),
]


def interpreter(row):
    """The interpreter for a row, with everything installed. SystemExit if uv isn't there or can't do it."""
    if not row.python:
        return sys.executable
    if importlib.util.find_spec("uv") is None:
        sys.exit("uv is missing: python -m pip install uv")
    venv, oldest = MATRIX / f"venv-{row.python}", row.python == "oldest"
    wanted = [line for path in LISTS for line in path.read_text(encoding="utf-8").splitlines()
              if not (oldest and line.startswith("torch"))]
    for command in (["venv", "--allow-existing", "--python", sys.executable if oldest else row.python, venv],
                    # The oldest torch needs other packages than the constraints hold.
                    ["pip", "install", "--python", venv, "--requirements", "-",
                     *([] if oldest else ["--constraints", CONSTRAINTS])]):
        if subprocess.run([sys.executable, "-m", "uv", *command, "--quiet"], encoding="utf-8",
                          input="\n".join(wanted + OLDEST * oldest)).returncode:
            sys.exit(f"uv can't make the environment for {PYTHONS[row.python]}.")
    return venv / "bin" / "python"


def check(row, folder=MATRIX, core_only=False):
    """Check one row, on the whole notebook or its core: (whether it passed, seconds, what pytest says)."""
    python = interpreter(row)
    copy = folder / (row.folder or f"row-{ROWS.index(row) + 1}")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    copy_project(copy)
    nb, line = read(), "torch.set_num_threads({})"
    cell, = [cell for cell in nb.cells if line.format(1) in cell.source]
    cell.source = cell.source.replace(line.format(1), line.format(row.threads))
    # Threads that wait asleep leave the processor to others; how they wait changes no digit.
    own = {"OMP_NUM_THREADS": str(row.threads), "OMP_WAIT_POLICY": "passive", **row.environment}
    if "MPLCONFIGDIR" in own:
        own["MPLCONFIGDIR"] = str(copy / own["MPLCONFIGDIR"])
    start = time.monotonic()
    done = run_pytest(copy, nb, core_only=core_only, python=python, **own)
    return done.returncode == 0, time.monotonic() - start, done.stdout + done.stderr


def device():
    """The name of the GPU that the notebook trains on, or "none"."""
    import torch
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"


def main(names):
    unknown = set(names) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"There is no row {', '.join(unknown)}. The rows: {'; '.join(row.name for row in ROWS)}.")
    rows = [row for row in ROWS if not names or row.name in names]
    for row in rows:
        interpreter(row)   # the environments one after the other, before anything runs
    outcomes = {}
    for threads in (1, 2):
        # Rows of one thread share the machine; threads that wait for each other have it to themselves.
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() if threads == 1 else 1) as pool:
            group = [row for row in rows if row.threads == threads]
            for row, (passed, seconds, said) in zip(group, pool.map(check, group)):
                outcomes[row.name] = "passed" if passed else "failed"
                print(f"{outcomes[row.name]} {seconds:4.0f} s  {row.name}", flush=True)
                if not passed:
                    print(said)
    if not names:
        write_part(ROOT / "tests" / "README.md", "matrix", [
            f"On {datetime.date.today()}, {platform.machine()}, {os.cpu_count()} processor cores, "
            f"GPU: {device()}.", "",
            "| run | result |", "|---|---|", *(f"| {row.name} | {outcomes[row.name]} |" for row in rows), "",
            f"{list(outcomes.values()).count('passed')} of {len(rows)} passed."])
    sys.exit("failed" in outcomes.values())


if __name__ == "__main__":
    main(sys.argv[1:])
