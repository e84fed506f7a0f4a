"""Compare ways to train the notebook's network: measure everything, then draw. `make bench` calls this."""

import datetime
import importlib.metadata
import json
import multiprocessing
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from draw import LOOP, RESULTS, ROOT, draw
from make_run import make_run
from files import replace

CORES = os.sched_getaffinity(0)
# (hidden size, batch size)
SIZES = [(32, 100), (128, 100), (512, 100), (2048, 100), (4096, 100), (32, 10), (32, 1000), (32, 10_000)]
DDP_SIZES = [(32, 100), (512, 100), (32, 1000), (512, 1000)]
PACKAGES = ["torch", "torchvision", "jax", "scikit-learn", "keras", "lightning", "skorch", "fastai", "numpy"]


def in_turns(names, epochs, cores, hidden=32, batch=100):
    """Results by name of contenders, each a process on these cores, that train an epoch per round."""
    from contenders import train
    spawn = multiprocessing.get_context("spawn")
    pipes, turns = {}, {name: [] for name in names}
    os.sched_setaffinity(0, cores)   # the processes inherit it
    for name in names:
        pipes[name], its_end = spawn.Pipe()
        spawn.Process(target=train, args=(name, hidden, batch, its_end), daemon=True).start()
        its_end.close()
    os.sched_setaffinity(0, CORES)
    for number in range(epochs + 1):   # in round 0 they get ready
        for name, pipe in pipes.items():
            if number:
                pipe.send("train an epoch")
            try:
                turns[name].append(pipe.recv())
            except EOFError:
                sys.exit(f"{name} stopped; what it wrote stands above.")
        print(f"round {number} of {epochs}", flush=True)
    for process in multiprocessing.active_children():
        process.kill()
        process.join()
    results = {}
    for name, (_, *epochs_of_it) in turns.items():
        first, *seconds = [round(seconds, 5) for seconds, _ in epochs_of_it]
        results[name] = {"first": first, "seconds": seconds, "accuracy": epochs_of_it[-1][1]}
    return results


def every_contender(epochs, cores):
    from contenders import CONTENDERS
    return in_turns(CONTENDERS, epochs, cores)


def scaling(cores):
    """The notebook's loop and JAX, by hidden and batch size."""
    rows = []
    for hidden, batch in SIZES:
        print(f"hidden size {hidden}, batch size {batch}", flush=True)
        results = in_turns([LOOP, "JAX"], 4, cores, hidden, batch)
        for name, result in results.items():
            rows.append({"name": name, "hidden": hidden, "batch": batch, **result})
    return rows


def ddp_seconds(processes, hidden, batch, folder):
    """Seconds of each epoch of examples/ddp.py but its first. It saves its weights in `folder`."""
    settings = f"vars(ddp.nb).update(hidden_size={hidden}, batch_size={batch}, epochs=4)"
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
               "--no-python", sys.executable, "-uc", f"import ddp; {settings}; ddp.main()"]
    with subprocess.Popen([sys.executable, *command], cwd=folder, text=True, stdout=subprocess.PIPE,
                          env=os.environ | {"PYTHONPATH": str(ROOT / "examples")}) as process:
        moments = [time.perf_counter() for line in process.stdout if line.startswith("epoch")]
    if process.returncode:
        sys.exit("examples/ddp.py stopped; what it wrote stands above.")
    return [round(after - before, 4) for before, after in zip(moments, moments[1:])]


def two_processes():
    """examples/ddp.py with one process and with two, twice in turn, by hidden and batch size."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for hidden, batch in DDP_SIZES:
            print(f"two processes, hidden size {hidden}, batch size {batch}", flush=True)
            row = {"hidden": hidden, "batch": batch, "1": [], "2": []}
            for processes in (1, 2, 1, 2):
                row[str(processes)] += ddp_seconds(processes, hidden, batch, folder)
            rows.append(row)
    return rows


def machine():
    """What the figures depend on, and nothing that names the machine."""
    model = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    return {"processor": model[1] if model else "?",
            "cores": os.cpu_count(), "memory_gib": round(memory), "python": platform.python_version(),
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
            "date": datetime.date.today().isoformat()}


def measure():
    """Measure part by part; what is done is in the file, whatever becomes of the rest."""
    start = time.perf_counter()
    results = {"machine": machine()}
    one = {max(CORES)}   # on one core every library starts a single thread by itself
    parts = {"make_run": make_run,   # first: another torch, read from the disk just before, slows its imports
             "one": lambda: every_contender(10, one),
             "scaling": lambda: scaling(one),
             "two processes": two_processes,
             "all": lambda: every_contender(4, CORES)}   # fewer epochs: threads that share a busy core wait
    for part, measured in parts.items():
        print(f"\n{part}", flush=True)
        results[part] = measured()
        results["minutes"] = round((time.perf_counter() - start) / 60, 1)
        replace(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    os.environ.update(CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="2")
    measure()
    draw()
