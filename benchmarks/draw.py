"""The table and the pictures of the README, from the results."""

import statistics
from pathlib import Path

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from marked import write_part

HERE = Path(__file__).resolve().parent
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#767676"   # told apart by colour-blind readers too
SECONDS = [0.1, 0.2, 0.5, 1, 2, 5]   # written on the axis
LOOP = "notebook's loop, float32"
# (what, divided by what, the target, which way it lies)
TARGETS = [
    ("notebook's loop, float32", "bare PyTorch on bytes, float32", 1.05, "at most"),
    ("notebook's loop, float64", "bare PyTorch on bytes, float64", 1.05, "at most"),
    ("plain loader, float32", "notebook's loop, float32", 10, "at least"),
    ("plain loader, float64", "notebook's loop, float64", 8, "at least"),
    ("plain loader, float32", "bare PyTorch on bytes, float32", None, ""),
    ("plain loader, float64", "bare PyTorch on bytes, float64", None, ""),
    ("notebook's step by hand, float32", "JAX", 1, "at most"),
    ("step by hand, trimmed, float32", "JAX", 1, "at most"),
    ("fetching, two products, float32", "JAX", None, ""),
]


def quartiles(values):
    """First quartile, median, third quartile."""
    return np.percentile(values, [25, 50, 75])


def ratios(runs, name, other):
    """Quartiles of one contender's seconds divided by another's of the same round."""
    return quartiles([a / b for a, b in zip(runs[name]["seconds"], runs[other]["seconds"])])


def spread(three, digits):
    low, middle, high = (f"{value:.{digits}f}" for value in three)
    return f"{middle} ({low}–{high})"


def contender_table(results):
    one, everything = results["one"], results["all"]
    lines = ["| | seconds per epoch, one thread | × the notebook's loop, float32 | seconds per epoch, all threads | first epoch, one thread | accuracy after ten epochs |",
             "|---|---|---|---|---|---|"]
    for name in sorted(one, key=lambda name: statistics.median(one[name]["seconds"])):
        run = one[name]
        accuracy = f"{run['accuracy']:.4f}" if run["accuracy"] is not None else "–"
        if run["epochs"] < 10:
            accuracy += f" (after {run['epochs']})"
        with_all = spread(quartiles(everything[name]["seconds"]), 3) if name in everything else "–"
        lines.append(f"| {name} | {spread(quartiles(run['seconds']), 3)} | {spread(ratios(one, name, LOOP), 2)} | "
                     f"{with_all} | {run['first']:.2f} | {accuracy} |")
    reached = [run["accuracy"] for run in one.values() if run["accuracy"] is not None and run["epochs"] == 10]
    return lines + ["", f"After ten epochs all end between {min(reached):.4f} and {max(reached):.4f}."]


def verdict(value, target, side="at most"):
    return "met" if (value <= target) == (side == "at most") else "missed"


def target_table(results):
    lines = ["| one thread | ratio | target | |", "|---|---|---|---|"]
    for name, other, target, side in TARGETS:
        three = ratios(results["one"], name, other)
        goal = f"{side} {target} | {verdict(three[1], target, side)}" if target else "|"
        lines.append(f"| {name} / {other} | {spread(three, 2)} | {goal} |")
    jax = results["one"]["JAX"]
    return lines + ["", f"JAX compiles first: its first epoch takes {jax['first']:.1f} s."]


def run_table(results):
    run = results["make_run"]
    lines = ["| part of `make run` | seconds | peak memory, MiB |", "|---|---|---|"]
    for name, part in sorted(run["parts"].items(), key=lambda item: -item[1]["seconds"]):
        peak = "–" if part["peak_mib"] is None else f"{part['peak_mib']:,.0f}"
        lines.append(f"| {name} | {part['seconds']:.1f} | {peak} |")
    beyond = run["peak_mib"] - run["import_torch_mib"]
    whole = sum(part["seconds"] for name, part in run["parts"].items() if not name.startswith("starting"))
    return lines + [
        f"| **together** | **{run['seconds']:.1f}** | **{run['peak_mib']:,.0f}** |", "",
        f"Importing torch alone takes {run['import_torch_mib']:,.0f} MiB.", "",
        "| | | target | |", "|---|---|---|---|",
        f"| sections 0 to 5 of the notebook, five runs | {spread(quartiles(run['core']), 1)} s | at most 15 s | "
        f"{verdict(statistics.median(run['core']), 15)} |",
        f"| the whole notebook | {whole:.1f} s | at most 60 s | {verdict(whole, 60)} |",
        f"| peak memory beyond importing torch | {beyond:,.0f} MiB | at most 1,024 MiB | {verdict(beyond, 1024)} |"]


def machine_line(results):
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return [f"{machine['date']}; {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
            f"Python {machine['python']}, {versions}. The whole took {results['minutes']} minutes."]


def epoch_picture(results):
    one, everything = results["one"], results["all"]
    names = sorted(one, key=lambda name: -statistics.median(one[name]["seconds"]))
    fig, ax = plt.subplots(figsize=(9, 6.5), layout="constrained")
    for runs, color, shift, label in ((one, BLUE, 0.12, "one thread"), (everything, ORANGE, -0.12, "all threads")):
        for row, name in enumerate(names):
            if name not in runs:
                continue
            low, middle, high = quartiles(runs[name]["seconds"])
            ax.errorbar(middle, row + shift, xerr=[[middle - low], [high - middle]], fmt="o", color=color,
                        label=label if name == LOOP else None)
    ax.set(xscale="log", yticks=range(len(names)), yticklabels=names, xlabel="seconds per epoch (median and quartiles)",
           title="An epoch of 48,000 images, with validation on 12,000")
    ax.set_xticks(SECONDS, SECONDS)
    ax.minorticks_off()
    ax.grid(axis="x", color="#dddddd")
    ax.legend()
    fig.savefig(HERE / "epoch.png", dpi=100)


def scaling_picture(results):
    fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    for ax, size, fixed in ((axes[0], "hidden", ("batch", 100)), (axes[1], "batch", ("hidden", 32))):
        for name, color in ((LOOP, BLUE), ("JAX", ORANGE)):
            rows = sorted((row for row in results["scaling"] if row["name"] == name and row[fixed[0]] == fixed[1]),
                          key=lambda row: row[size])
            ax.loglog([row[size] for row in rows], [statistics.median(row["seconds"]) for row in rows], "o-",
                      color=color, label=name)
        ax.set(xlabel=f"{size} size", title=f"{fixed[0]} size {fixed[1]}")
        ax.grid(color="#dddddd")
    axes[0].set_ylabel("seconds per epoch, one thread")
    axes[0].legend()
    fig.savefig(HERE / "scaling.png", dpi=100)


def scaling_table(results):
    lines = ["| hidden size | batch size | notebook's loop, float32 | JAX | ratio (lowest–highest) | accuracy of both |",
             "|---|---|---|---|---|---|"]
    rows = results["scaling"]
    for loop, jax in zip(rows[::2], rows[1::2]):
        a, b = statistics.median(loop["seconds"]), statistics.median(jax["seconds"])
        three = sorted(x / y for x, y in zip(loop["seconds"], jax["seconds"]))
        lines.append(f"| {loop['hidden']:,} | {loop['batch']:,} | {a:.3f} | {b:.3f} | "
                     f"{three[1]:.2f} ({three[0]:.2f}–{three[-1]:.2f}) | {loop['accuracy']:.3f}, {jax['accuracy']:.3f} |")
    return lines


def ddp_table(results):
    lines = ["| hidden size | batch size | one process | two processes | two / one |", "|---|---|---|---|---|"]
    for row in results["two processes"]:
        one, two = [sorted(row[processes]) for processes in ("1", "2")]
        lines.append(f"| {row['hidden']:,} | {row['batch']:,} | {spread([one[0], statistics.median(one), one[-1]], 2)} | "
                     f"{spread([two[0], statistics.median(two), two[-1]], 2)} | "
                     f"{statistics.median(two) / statistics.median(one):.2f} |")
    return lines


def draw(results):
    """Write the pictures, and the tables between their markers in the README."""
    epoch_picture(results)
    scaling_picture(results)
    for name, table in (("machine", machine_line), ("targets", target_table), ("contenders", contender_table),
                        ("scaling", scaling_table), ("ddp", ddp_table), ("run", run_table)):
        write_part(HERE / "README.md", name, table(results))
