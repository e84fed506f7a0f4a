"""The strict check on every kind of run that this machine can do. `make matrix` calls this.

    python tests/matrix.py          every row; writes the table in tests/README.md
    python tests/matrix.py NAME …   the rows of these names

Each row checks a copy of the project in a folder of its own, under build/matrix. Other versions of Python, and
the oldest supported torch and torchvision, get virtual environments there (about 5 GB each).
"""

import concurrent.futures
import datetime
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import nbformat

from cells import BUILD, NOTEBOOK, ROOT, core, read
from marked import write_part
from sandbox import copy_project

MATRIX = BUILD / "matrix"
OLDEST = ["torch==2.6.0", "torchvision==0.21.0"]


@dataclass
class Row:
    """One way to run the notebook."""
    name: str
    environment: dict = field(default_factory=dict)
    threads: int = 1
    python: str = ""          # "3.12"; empty for the environment that runs this
    oldest: bool = False      # the oldest supported torch and torchvision
    folder: str = ""          # the name of the copy's folder


AVX2, BASELINE = {"ATEN_CPU_CAPABILITY": "avx2"}, {"ATEN_CPU_CAPABILITY": "default"}
COMPATIBLE, SSE4 = {"MKL_CBWR": "COMPATIBLE"}, {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
FAR_EAST = {"TZ": "Pacific/Kiritimati"}
COLD_CACHE = {"MPLCONFIGDIR": "matplotlib-cache"}

ROWS = [
    Row("1 thread"), Row("2 threads", threads=2),
    Row("1 thread, AVX2", AVX2), Row("2 threads, AVX2", AVX2, threads=2),
    Row("1 thread, no vector instructions", BASELINE), Row("2 threads, no vector instructions", BASELINE, threads=2),
    Row("MKL_CBWR=COMPATIBLE", COMPATIBLE), Row("MKL_CBWR=COMPATIBLE, 2 threads", COMPATIBLE, threads=2),
    Row("MKL_CBWR=COMPATIBLE, no vector instructions, 2 threads", COMPATIBLE | BASELINE, threads=2),
    Row("MKL with SSE4.2", SSE4), Row("MKL with SSE4.2, 2 threads", SSE4, threads=2),
    Row("locale C", C_LOCALE), Row("UTF-8 locale", {"LC_ALL": "C.UTF-8"}),
    Row("time zone UTC+14", FAR_EAST), Row("hash seed 1", {"PYTHONHASHSEED": "1"}),
    Row("cold matplotlib cache", COLD_CACHE),
    Row("a path with spaces and an umlaut", folder="a päth with spaces"),
    Row("locale C, UTC+14, cold cache, path with spaces, no vector instructions, 2 threads",
        C_LOCALE | FAR_EAST | COLD_CACHE | BASELINE, threads=2, folder="everything at once"),
    *(Row(f"Python {python}, {name}", environment, threads, python=python)
      for python in ("3.12", "3.13", "3.14")
      for name, environment, threads in [("1 thread", {}, 1), ("2 threads", {}, 2), ("no vector instructions", BASELINE, 1)]),
    *(Row(f"{' and '.join(OLDEST)}, {name}", environment, threads, oldest=True)
      for name, environment, threads in [("1 thread", {}, 1), ("2 threads", {}, 2), ("no vector instructions", BASELINE, 1)]),
]
# The rows that differ most from a plain run: `make everywhere` checks these, on the core.
EVERYWHERE = ["2 threads, no vector instructions", "MKL_CBWR=COMPATIBLE, 2 threads",
              "locale C, UTC+14, cold cache, path with spaces, no vector instructions, 2 threads"]


def find_python(version):
    """The interpreter of a version of Python, on the path or among pyenv's; None if there is none."""
    candidates = [shutil.which(f"python{version}"), *Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python")]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "--version"], capture_output=True).returncode == 0:
            return str(candidate)


def interpreter(row):
    """The interpreter for a row, with everything installed; None if this machine has no such Python."""
    if not row.python and not row.oldest:
        return sys.executable
    venv = MATRIX / f"venv-{row.python or 'oldest'}"
    python = venv / "bin" / "python"
    if not (venv / "installed").exists():
        base = find_python(row.python) if row.python else sys.executable
        if base is None:
            return None
        subprocess.run([base, "-m", "venv", "--clear", venv], check=True)
        wanted = [line for line in (ROOT / "requirements.txt").read_text().splitlines()
                  if not (row.oldest and line.startswith("torch"))]
        (venv / "requirements.txt").write_text("\n".join(wanted + OLDEST * row.oldest))
        # The oldest torch needs other packages than the constraints hold.
        constraints = [] if row.oldest else ["--constraint", ROOT / "tests" / "constraints.txt"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r",
                        venv / "requirements.txt", "-r", ROOT / "tests" / "requirements.txt", *constraints], check=True)
        (venv / "installed").touch()
    return python


def check(row, folder=MATRIX, core_only=False):
    """Check one row, on the whole notebook or on its core. Returns ("passed", "failed" or "not here", seconds, pytest's output)."""
    python = interpreter(row)
    if python is None:
        return "not here", 0, f"no Python {row.python} found"
    copy = folder / (row.folder or "".join(letter if letter.isalnum() else "-" for letter in row.name))
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    copy_project(copy)
    nb, line = core(read()) if core_only else read(), "torch.set_num_threads({})"
    cell, = [cell for cell in nb.cells if line.format(1) in cell.source]
    cell.source = cell.source.replace(line.format(1), line.format(row.threads))
    nbformat.write(nb, copy / NOTEBOOK.name)
    # Threads that wait asleep leave the processor to others; how they wait changes no digit.
    environment = {**os.environ, "OMP_NUM_THREADS": str(row.threads), "OMP_WAIT_POLICY": "passive", **row.environment}
    if "MPLCONFIGDIR" in row.environment:
        environment["MPLCONFIGDIR"] = str(copy / row.environment["MPLCONFIGDIR"])
    start = time.monotonic()
    # Figures in the core's text may be of later sections.
    figures = ["-k", "not figure"] if core_only else []
    result = subprocess.run([python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", NOTEBOOK.name, *figures],
                            cwd=copy, env=environment, capture_output=True)
    return ("failed" if result.returncode else "passed", time.monotonic() - start,
            (result.stdout + result.stderr).decode(errors="replace"))


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
        # Rows of one thread share the machine; those of two, which wait for each other, have it to themselves.
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() if threads == 1 else 1) as pool:
            group = [row for row in rows if row.threads == threads]
            for row, (outcome, seconds, output) in zip(group, pool.map(check, group)):
                print(f"{outcome:8} {seconds:4.0f} s  {row.name}", flush=True)
                if outcome == "failed":
                    print(output)
                outcomes[row.name] = outcome
    if not names:
        write_part(ROOT / "tests" / "README.md", "matrix", [
            f"On {datetime.date.today()}, {platform.machine()}, {os.cpu_count()} processor cores, GPU: {device()}.", "",
            "| run | result |", "|---|---|", *(f"| {row.name} | {outcomes[row.name]} |" for row in rows), "",
            f"{list(outcomes.values()).count('passed')} of {len(rows)} passed."])
    sys.exit("failed" in outcomes.values())


if __name__ == "__main__":
    main(sys.argv[1:])
