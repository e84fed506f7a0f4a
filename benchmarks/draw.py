"""The tables and the pictures of the README, from results.json: python benchmarks/draw.py"""

import json
import statistics
import sys
from pathlib import Path

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from files import write_part
from notebook_file import ROOT

HERE = ROOT / "benchmarks"
RESULTS = HERE / "results.json"
BLUE, ORANGE = "#0072B2", "#D55E00"   # told apart by colour-blind readers too
LOOP = "notebook's loop, float32"
# (what, divided by what, the target if there is one)
TARGETS = [
    ("notebook's loop, float32", "bare PyTorch on bytes, float32", "at most 1.05"),
    ("notebook's loop, float64", "bare PyTorch on bytes, float64", "at most 1.05"),
    ("plain loader, float32", "notebook's loop, float32", "at least 10"),
    ("plain loader, float64", "notebook's loop, float64", "at least 8"),
    ("plain loader, float32", "bare PyTorch on bytes, float32", None),
    ("plain loader, float64", "bare PyTorch on bytes, float64", None),
    ("notebook's step by hand, float32", "JAX", "at most 1"),
    ("step by hand, trimmed, float32", "JAX", "at most 1"),
    ("fetching, two products, float32", "JAX", None),
]


def table(rows):
    """A table in Markdown; the first row is its head."""
    lines = ["|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]


def quartiles(values):
    """First quartile, median, third quartile."""
    return np.percentile(values, [25, 50, 75])


def extremes(values):
    """Lowest, median, highest."""
    return min(values), statistics.median(values), max(values)


def spread(three, digits):
    low, middle, high = (f"{value:.{digits}f}" for value in three)
    return f"{middle} ({low}–{high})"


def ratios(run, other):
    """The seconds of each round, divided by another contender's."""
    return [a / b for a, b in zip(run["seconds"], other["seconds"])]


def verdict(value, target):
    """A target as "at most 15 s" or "at least 8", and whether it is met: two cells."""
    if not target:
        return "", ""
    side, limit = target.split()[1:3]
    limit = float(limit.replace(",", ""))
    return target, "met" if (value <= limit if side == "most" else value >= limit) else "missed"


def machine_line(results):
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return [f"{machine['date']}; {machine['processor']}, {machine['cores']} cores, "
            f"{machine['memory_gib']} GiB; Python {machine['python']}, {versions}. "
            f"The whole took {results['minutes']} minutes."]


def target_table(results):
    one = results["one"]
    rows = [("one thread", "ratio", "target", "")]
    for name, other, target in TARGETS:
        three = quartiles(ratios(one[name], one[other]))
        rows.append((f"{name} / {other}", spread(three, 2), *verdict(three[1], target)))
    return [*table(rows), "", f"JAX compiles first: its first epoch takes {one['JAX']['first']:.1f} s."]


def contender_table(results):
    one, everything = results["one"], results["all"]
    rows = [("", "seconds per epoch, one thread", "× the notebook's loop, float32",
             "seconds per epoch, all threads", "first epoch, one thread", "accuracy after ten epochs")]
    for name in sorted(one, key=lambda name: statistics.median(one[name]["seconds"])):
        run = one[name]
        rows.append((name, spread(quartiles(run["seconds"]), 3), spread(quartiles(ratios(run, one[LOOP])), 2),
                     spread(quartiles(everything[name]["seconds"]), 3), f"{run['first']:.2f}",
                     f"{run['accuracy']:.4f}" if run["accuracy"] else "–"))
    reached = [run["accuracy"] for run in one.values() if run["accuracy"]]
    return [*table(rows), "", f"After ten epochs all end between {min(reached):.4f} and {max(reached):.4f}."]


def scaling_table(results):
    rows = [("hidden size", "batch size", LOOP, "JAX", "ratio (lowest–highest)", "accuracy of both")]
    for loop, jax in zip(results["scaling"][::2], results["scaling"][1::2]):
        rows.append((f"{loop['hidden']:,}", f"{loop['batch']:,}",
                     *(f"{statistics.median(run['seconds']):.3f}" for run in (loop, jax)),
                     spread(extremes(ratios(loop, jax)), 2),
                     f"{loop['accuracy']:.3f}, {jax['accuracy']:.3f}"))
    return table(rows)


def ddp_table(results):
    rows = [("hidden size", "batch size", "one process", "two processes", "two / one")]
    for row in results["two processes"]:
        one, two = extremes(row["1"]), extremes(row["2"])
        rows.append((f"{row['hidden']:,}", f"{row['batch']:,}", spread(one, 2), spread(two, 2),
                     f"{two[1] / one[1]:.2f}"))
    return table(rows)


def run_table(results):
    run = results["make_run"]
    parts = sorted(run["parts"].items(), key=lambda item: -item[1]["seconds"])
    rows = [(name, f"{part['seconds']:.1f}", f"{part['peak_mib']:,.0f}" if part["peak_mib"] else "–")
            for name, part in parts]
    core = quartiles(run["core"])
    whole = sum(part["seconds"] for name, part in parts if not name.startswith("starting"))
    beyond = run["peak_mib"] - run["import_torch_mib"]
    return [
        *table([("part of `make run`", "seconds", "peak memory, MiB"), *rows,
                ("**together**", f"**{run['seconds']:.1f}**", f"**{run['peak_mib']:,.0f}**")]), "",
        f"Importing torch alone takes {run['import_torch_mib']:,.0f} MiB.", "",
        *table([("", "", "target", ""),
                ("sections 0 to 5 of the notebook, five runs", f"{spread(core, 1)} s",
                 *verdict(core[1], "at most 15 s")),
                ("the whole notebook", f"{whole:.1f} s", *verdict(whole, "at most 60 s")),
                ("peak memory beyond importing torch", f"{beyond:,.0f} MiB",
                 *verdict(beyond, "at most 1,024 MiB"))])]


def picture(file, size, panels):
    """Save panels side by side. A panel: its lines, as errorbar's arguments, and the settings of its axes."""
    fig, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for ax, (lines, settings) in zip(axes[0], panels):
        for line, color in zip(lines, (BLUE, ORANGE)):
            ax.errorbar(**line, color=color)
        ax.set(**settings)
        if "xticks" in settings:
            ax.minorticks_off()
        ax.grid(axis="x" if "yticks" in settings else "both", color="#dddddd")
    axes[0, 0].legend()
    fig.savefig(HERE / file, dpi=100)


def pictures(results):
    names = sorted(results["one"], key=lambda name: -statistics.median(results["one"][name]["seconds"]))
    lines = []
    for part, shift, label in (("one", 0.12, "one thread"), ("all", -0.12, "all threads")):
        low, middle, high = np.transpose([quartiles(results[part][name]["seconds"]) for name in names])
        lines.append({"x": middle, "y": np.arange(len(names)) + shift, "xerr": [middle - low, high - middle],
                      "fmt": "o", "label": label})
    ticks = [0.1, 0.2, 0.5, 1, 2, 5]
    picture("epoch.png", (9, 6.5), [(lines, {
        "xscale": "log", "xticks": ticks, "xticklabels": ticks, "yticks": range(len(names)),
        "yticklabels": names,
        "xlabel": "seconds per epoch (median and quartiles)",
        "title": "An epoch of 48,000 images, with validation on 12,000"})])

    panels = []
    for size, other, fixed in (("hidden", "batch", 100), ("batch", "hidden", 32)):
        lines = []
        for name in (LOOP, "JAX"):
            points = sorted((row[size], statistics.median(row["seconds"])) for row in results["scaling"]
                            if row["name"] == name and row[other] == fixed)
            lines.append(dict(zip("xy", zip(*points))) | {"fmt": "o-", "label": name})
        panels.append((lines, {"xscale": "log", "yscale": "log", "xlabel": f"{size} size",
                               "ylabel": "" if panels else "seconds per epoch, one thread",
                               "title": f"{other} size {fixed}"}))
    picture("scaling.png", (9, 4), panels)


def draw():
    """Write the pictures, and the tables between their markers in the README."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    pictures(results)
    for name, part in {"machine": machine_line, "targets": target_table, "contenders": contender_table,
                       "scaling": scaling_table, "ddp": ddp_table, "run": run_table}.items():
        write_part(HERE / "README.md", name, part(results))


if __name__ == "__main__":
    draw()
