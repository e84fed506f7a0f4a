"""What `make run` takes after installation, part by part."""

import contextlib
import datetime
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil

from notebook_file import BUILD, NOTEBOOK, ROOT, code_cells, core, read

PYTHON = ROOT / ".venv" / "bin" / "python"


def watched(command):
    """Run a command: its seconds, and ten times a second the memory of its largest process, {time: MiB}."""
    memory = {}
    start = time.perf_counter()
    process = psutil.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):   # a process that ends while we look
            memory[time.time()] = max(one.memory_info().rss / 2**20
                                      for one in [process, *process.children(recursive=True)])
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed.")
    return time.perf_counter() - start, memory


def part_of(cell, heading):
    """What a cell of the notebook is for, from its text and its section's heading."""
    parts = {"imports": "import torch\n" in cell.source,
             "experiments (section 6)": heading.startswith("6."),
             "time and rounding (section 7)": heading.startswith("7."),
             "pictures": "plt.show()" in cell.source or "display(" in cell.source,
             "data": heading.startswith("1."),
             "training": "def fit(" not in cell.source and re.search(r"fit\(|evaluate\(", cell.source),
             "everything else": True}
    return next(part for part, fits in parts.items() if fits)


def began_and_ended(cell):
    return [datetime.datetime.fromisoformat(cell.metadata.execution[f"iopub.status.{status}"]).timestamp()
            for status in ("busy", "idle")]


def sections_0_to_5():
    """Seconds that the cells of these sections take together, in each of five runs."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "core.ipynb"
        nbformat.write(core(read()), file)
        for _ in range(5):
            subprocess.run([PYTHON, "-m", "papermill", file, file, "--cwd", ROOT, "--no-progress-bar",
                            "--log-level", "ERROR"], check=True, env={**os.environ, "TQDM_DISABLE": "1"})
            times = [began_and_ended(cell) for cell in code_cells(read(file))]
            runs.append(sum(ended - began for began, ended in times))
    return runs


def make_run():
    """Seconds and peak memory of `make run`, part by part, beside the memory of importing torch alone."""
    seconds, memory = watched(["make", "run"])
    _, torch_memory = watched([PYTHON, "-c", "import torch, time; time.sleep(1)"])
    parts = {}
    heading = ""
    for cell in read(BUILD / NOTEBOOK.name).cells:
        if cell.cell_type == "markdown":
            heading = next((line[3:] for line in cell.source.splitlines() if line.startswith("## ")), heading)
            continue
        began, ended = began_and_ended(cell)
        part = parts.setdefault(part_of(cell, heading), {"seconds": 0, "peak_mib": None})
        part["seconds"] += ended - began
        inside = [mib for moment, mib in memory.items() if began <= moment <= ended]
        part["peak_mib"] = max([part["peak_mib"] or 0, *inside]) or None
    parts["starting Python and the kernel, saving, writing HTML"] = {
        "seconds": seconds - sum(part["seconds"] for part in parts.values()), "peak_mib": None}
    return {"seconds": seconds, "parts": parts, "core": sections_0_to_5(), "peak_mib": max(memory.values()),
            "import_torch_mib": max(torch_memory.values())}
