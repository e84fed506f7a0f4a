"""Compare ways to train the notebook's network. `make bench` calls this.

    python benchmarks/bench.py        measure everything, then draw
    python benchmarks/bench.py draw   only draw the table and the pictures anew, from results.json
"""

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from contenders import CONTENDERS, EPOCHS, ROOT
from draw import draw
from replacing import replace

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
PATIENCE = 30   # seconds in all after which a contender that has done two epochs sits out the remaining rounds
FEWER = 4       # epochs with all threads, which can take long: threads that share a busy core wait for each other
DDP_SIZES = [(32, 100), (512, 100), (32, 1000), (512, 1000)]   # hidden and batch size of examples/ddp.py
SIZES = [(hidden, 100) for hidden in (32, 128, 512, 2048, 4096)] + [(32, batch) for batch in (10, 1000, 10_000)]
PACKAGES = ["torch", "torchvision", "jax", "scikit-learn", "keras", "lightning", "skorch", "fastai", "numpy"]


def stop(name, log):
    """End, with the last lines that a process wrote before it stopped."""
    log.seek(0)
    sys.exit(f"{name} stopped:\n{log.read()[-3000:]}")


class Contender:
    """A process that trains an epoch when told."""

    def __init__(self, name, data, core=None, hidden=32, batch=100):
        # One thread means one core: every library then starts a single thread by itself.
        pin = None if core is None else lambda: os.sched_setaffinity(0, {core})
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, HERE / "contenders.py", name, str(hidden), str(batch), data], preexec_fn=pin, cwd=HERE,
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env={
                **os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"})
        self.name, self.turns = name, []

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            stop(self.name, self.log)
        return json.loads(line)

    def turn(self):
        """Train one epoch; remember seconds and accuracy."""
        print("go", file=self.process.stdin, flush=True)
        self.turns.append(self.answer())

    def result(self):
        """End the process. Returns seconds of the first epoch, of each later one, and the last accuracy."""
        self.process.stdin.close()
        self.process.wait()
        seconds = [round(turn["seconds"], 5) for turn in self.turns]
        return {"first": seconds[0], "seconds": seconds[1:], "epochs": len(seconds),
                "accuracy": self.turns[-1]["accuracy"]}


def prepare(file):
    """Write images, labels and the notebook's split to a file that every contender reads."""
    import torch
    from torchvision.datasets import MNIST
    mnist = MNIST(ROOT / "data")
    torch.manual_seed(1)
    shuffled = torch.randperm(len(mnist)).numpy()
    np.savez(file, images=mnist.data.numpy().reshape(-1, 784), labels=mnist.targets.numpy(),
             valid=shuffled[:12_000], train=shuffled[12_000:])


def started(contenders):
    """Wait until every one is ready for its first epoch."""
    for contender in contenders:
        contender.answer()
    return contenders


def rounds(names, epochs, data, core):
    """Contenders in turns, an epoch each per round. Returns their results by name."""
    contenders = started([Contender(name, data, core) for name in names])
    for number in range(epochs):
        for contender in contenders:
            if number < 2 or sum(turn["seconds"] for turn in contender.turns) < PATIENCE:
                contender.turn()
        print(f"round {number + 1} of {epochs}", flush=True)
    return {contender.name: contender.result() for contender in contenders}


def scaling(data, core):
    """Seconds per epoch of the notebook's loop and of JAX, by hidden size and batch size: three rounds after a first."""
    rows = []
    for hidden, batch in SIZES:
        pair = started([Contender(name, data, core, hidden, batch) for name in ("notebook's loop, float32", "JAX")])
        for number in range(4):
            for contender in pair:
                contender.turn()
        rows += [{"name": contender.name, "hidden": hidden, "batch": batch, **contender.result()} for contender in pair]
        print(f"hidden size {hidden}, batch size {batch}", flush=True)
    return rows


def ddp_seconds(processes, hidden, batch, folder):
    """Seconds of each epoch of examples/ddp.py but its first."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
               HERE / "ddp_with.py", str(hidden), str(batch), "4"]
    moments = []
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(
            command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=log,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "1"}) as process:
        for line in process.stdout:
            if line.startswith("epoch"):
                moments.append(time.perf_counter())
        if process.wait():
            stop("examples/ddp.py", log)
    return [round(after - before, 4) for before, after in zip(moments, moments[1:])]


def two_processes():
    """examples/ddp.py with one process and with two, twice in turn, by hidden and batch size."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:   # it saves its weights where it is started
        for hidden, batch in DDP_SIZES:
            row = {"hidden": hidden, "batch": batch, "1": [], "2": []}
            for processes in (1, 2, 1, 2):
                row[str(processes)] += ddp_seconds(processes, hidden, batch, folder)
            rows.append(row)
            print(f"two processes, hidden size {hidden}, batch size {batch}", flush=True)
    return rows


def watched(command):
    """Run a command. Returns its seconds and the memory of its largest process: {time: MiB}, ten times a second."""
    memory = {}
    start = time.perf_counter()
    process = psutil.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):   # a process that ends while we look
            memory[time.time()] = max(one.memory_info().rss / 2**20
                                      for one in [process, *process.children(recursive=True)])
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed.")
    return time.perf_counter() - start, memory


def part_of(cell, heading):
    """What a cell of the notebook is for."""
    if "import torch\n" in cell.source:
        return "imports"
    if heading.startswith("6."):
        return "experiments (section 6)"
    if heading.startswith("7."):
        return "time and rounding (section 7)"
    if "plt.show()" in cell.source or "display(" in cell.source:
        return "pictures"
    if heading.startswith("1."):
        return "data"
    if any(word in cell.source for word in ("fit(", "evaluate(")) and "def fit(" not in cell.source:
        return "training"
    return "everything else"


def cell_times(nb):
    """Each code cell of an executed notebook, its section's heading, and when it began and ended."""
    heading = ""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            heading = next((line[3:] for line in cell.source.splitlines() if line.startswith("## ")), heading)
        else:
            busy, idle = [datetime.datetime.fromisoformat(cell.metadata.execution[f"iopub.status.{status}"]).timestamp()
                          for status in ("busy", "idle")]
            yield cell, heading, busy, idle


def sections_0_to_5():
    """Seconds that the cells of these sections take together, in each of five runs."""
    import nbformat
    from cells import core, read
    nb, runs = core(read()), []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "core.ipynb"
        nbformat.write(nb, file)
        for _ in range(5):
            subprocess.run([".venv/bin/python", "-m", "papermill", file, file, "--cwd", ROOT, "--no-progress-bar", "--log-level", "ERROR"],
                           cwd=ROOT, check=True, env={**os.environ, "TQDM_DISABLE": "1"})
            times = cell_times(nbformat.read(file, as_version=4))
            runs.append(sum(idle - busy for cell, heading, busy, idle in times))
    return runs


def make_run():
    """Seconds and peak memory of `make run`, part by part, beside the memory of importing torch alone."""
    import nbformat
    seconds, memory = watched(["make", "run"])
    _, torch_memory = watched([".venv/bin/python", "-c", "import torch, time; time.sleep(1)"])
    parts = {}
    nb = nbformat.read(ROOT / "build" / "04-feedforward-nn.ipynb", as_version=4)
    for cell, heading, busy, idle in cell_times(nb):
        part = parts.setdefault(part_of(cell, heading), {"seconds": 0, "peak_mib": None})
        part["seconds"] += idle - busy
        inside = [mib for moment, mib in memory.items() if busy <= moment <= idle]
        part["peak_mib"] = max([*filter(None, [part["peak_mib"]]), *inside], default=None)
    parts["starting Python and the kernel, saving, writing HTML"] = {
        "seconds": seconds - sum(part["seconds"] for part in parts.values()), "peak_mib": None}
    return {"seconds": seconds, "parts": parts, "core": sections_0_to_5(), "peak_mib": max(memory.values()),
            "import_torch_mib": max(torch_memory.values())}


def machine():
    """What the figures depend on, and nothing that names the machine."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    return {"processor": cpu, "cores": os.cpu_count(), "memory_gib": round(memory), "system": platform.system(),
            "python": platform.python_version(),
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
            "date": datetime.date.today().isoformat()}


def measure():
    """Measure part by part; what is done is in the file, whatever becomes of the rest."""
    start = time.perf_counter()
    core = max(os.sched_getaffinity(0))
    # `make run` comes first: another torch, read from the disk just before, slows its imports.
    results = {"machine": machine(), "make_run": make_run()}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "mnist.npz"
        prepare(data)
        for part, measured in [
                ("one", lambda: rounds(CONTENDERS, EPOCHS, data, core)),
                ("scaling", lambda: scaling(data, core)),
                ("two processes", two_processes),
                ("all", lambda: rounds(CONTENDERS, FEWER, data, None))]:
            print(f"\n{part}", flush=True)
            results[part] = measured()
            results["minutes"] = round((time.perf_counter() - start) / 60, 1)
            replace(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["draw"]):
        sys.exit(__doc__)
    if not sys.argv[1:]:
        measure()
    draw(json.loads(RESULTS.read_text(encoding="utf-8")))
