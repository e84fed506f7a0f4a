"""Compare ways to train the notebook's network: measure, then draw. `make bench` calls this."""

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import re
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

from contenders import CONTENDERS, ROOT, train
from files import replace, write_part

PAGE = ROOT / "benchmarks" / "README.md"
RESULTS = PAGE.with_name("results.json")
table = partial(tabulate, tablefmt="github", disable_numparse=True)
LOOP = "notebook's loop, float32"
TARGETS = [   # what, divided by what, the target
    ("notebook's loop, float32", "bare PyTorch on bytes, float32", "at most", 1.05),
    ("notebook's loop, float64", "bare PyTorch on bytes, float64", "at most", 1.05),
    ("plain loader, float32", "notebook's loop, float32", "at least", 10),
    ("plain loader, float64", "notebook's loop, float64", "at least", 8),
    ("notebook's step by hand, float32", "JAX", "at most", 1),
]
SIZES = [(32, 100), (128, 100), (512, 100), (2048, 100), (4096, 100), (32, 10), (32, 1000)]   # hidden, batch
PACKAGES = ["torch", "torchvision", "jax", "scikit-learn", "keras", "lightning", "skorch", "fastai", "numpy"]


def in_turns(names, epochs, cores, hidden=32, batch=100):
    """Results by name of contenders, each a process on these cores, that train an epoch per round."""
    os.sched_setaffinity(0, cores)   # the processes inherit it
    turns = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        pools = {name: stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for name in names}
        for number in range(epochs + 1):   # in round 0 they get ready
            for name, pool in pools.items():
                turns[name].append(pool.submit(train, name, hidden, batch).result())
            print(f"hidden size {hidden}, batch size {batch}: round {number} of {epochs}", flush=True)
    return {name: {"first": turn[1][0], "seconds": [seconds for seconds, _ in turn[2:]],
                   "accuracy": turn[-1][1]} for name, turn in turns.items()}


def machine():
    """What the figures depend on, and nothing that names the machine."""
    processor, *_ = re.findall(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M) or ["?"]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return (f"{datetime.date.today()}; {processor}, {os.cpu_count()} cores; Python "
            f"{platform.python_version()}, {versions}.")


def spread(values, digits):
    """Their median and, in brackets, quartiles."""
    low, middle, high = (f"{value:.{digits}f}" for value in np.percentile(values, [25, 50, 75]))
    return f"{middle} ({low}–{high})"


def draw():
    """Write the picture, and the tables between their markers in the page."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    one, every = results["one"], results["all"]
    seconds = {name: np.array(run["seconds"]) for name, run in one.items()}
    names = sorted(seconds, key=lambda name: np.median(seconds[name]))
    write_part(PAGE, "machine", [results["machine"]])
    rows = []
    for name, other, side, limit in TARGETS:
        ratios = seconds[name] / seconds[other]
        met = (np.median(ratios) <= limit) == (side == "at most")
        rows.append((f"{name} / {other}", spread(ratios, 2), f"{side} {limit}", "met" if met else "missed"))
    write_part(PAGE, "targets", [table(rows, ("one thread", "ratio", "target", ""))])
    rows = [(name, spread(seconds[name], 3), spread(seconds[name] / seconds[LOOP], 2),
             spread(every[name]["seconds"], 3), f"{one[name]['first']:.2f}", f"{one[name]['accuracy']:.4f}")
            for name in names]
    head = ("", "seconds per epoch, one thread", "× the notebook's loop, float32",
            "seconds per epoch, all threads", "first epoch, one thread", "accuracy after ten epochs")
    write_part(PAGE, "contenders", [table(rows, head)])
    rows = []
    for row in results["scaling"]:
        loop, jax = row[LOOP], row["JAX"]
        rows.append((f"{row['hidden']:,}", f"{row['batch']:,}", spread(loop["seconds"], 3),
                     spread(jax["seconds"], 3), spread(np.divide(loop["seconds"], jax["seconds"]), 2),
                     f"{loop['accuracy']:.3f}, {jax['accuracy']:.3f}"))
    head = "hidden size", "batch size", LOOP, "JAX", "ratio", "accuracy of both"
    write_part(PAGE, "scaling", [table(rows, head)])
    picture(names, {"one thread": one, "all threads": every})


def picture(names, parts):
    fig = Figure(figsize=(9, 5), layout="constrained")
    ax = fig.subplots()
    for (label, part), shift, color in zip(parts.items(), (-0.12, 0.12), ("#0072B2", "#D55E00")):
        low, middle, high = np.percentile([part[name]["seconds"] for name in names], [25, 50, 75], axis=1)
        ax.errorbar(middle, np.arange(len(names)) + shift, xerr=[middle - low, high - middle], fmt="o",
                    color=color, label=label)
    ticks = [0.1, 0.2, 0.5, 1, 2, 5]
    ax.set(xscale="log", xticks=ticks, xticklabels=ticks, yticks=range(len(names)), yticklabels=names,
           xlabel="seconds per epoch (median and quartiles)",
           title="An epoch of 48,000 images, with validation on 12,000", ylim=(len(names) - 0.5, -0.5))
    ax.minorticks_off()
    ax.grid(axis="x", color="#dddddd")
    ax.legend()
    fig.savefig(PAGE.with_name("epoch.png"), dpi=100)


if __name__ == "__main__":
    os.environ.update(CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="2", PYTHONWARNINGS="ignore")
    every = os.sched_getaffinity(0)
    one = {max(every)}   # on one core every library starts a single thread by itself
    scaling = [{"hidden": hidden, "batch": batch, **in_turns([LOOP, "JAX"], 4, one, hidden, batch)}
               for hidden, batch in SIZES]
    results = {"machine": machine(), "scaling": scaling, "one": in_turns(CONTENDERS, 10, one),
               "all": in_turns(CONTENDERS, 4, every)}   # fewer epochs: threads that share a busy core wait
    replace(RESULTS, json.dumps(results, indent=1) + "\n")
    draw()
