"""Pictures of durations: pixels differ from run to run, words don't, and points are values of the run.

A cell that draws one has in its metadata what the check asks the kernel for:

    "drawn": {"words": [titles and names of axes],                         written by `make refresh`
              "series": [[label, expression of x, expression of y], …]}    written by hand

A series without points (a GPU's where there is none) is not expected to be drawn.
"""

import json
from pathlib import Path

# What a kernel executes before the notebook. Our modules can be asked there afterwards, without a name in it.
FOLDERS = [str(Path(__file__).parent.parent / name) for name in ("tools", "tests")]
START = f"__import__('sys').path[:0] = {FOLDERS}; __import__('timing_pictures').start()"

shown = []   # The figure that the notebook showed last. Lives in the kernel.


def start():
    """Look at each figure that the notebook shows from now on."""
    from matplotlib.figure import Figure

    def look(figure, printer, cycle):
        shown[:] = [figure]
        printer.text(repr(figure))

    Figure._repr_pretty_ = look   # IPython calls it when it shows a figure


def titles(figure):
    """Titles and names of axes."""
    words = [figure.get_suptitle()]
    for ax in figure.axes:
        words += [*map(ax.get_title, ("left", "center", "right")), ax.get_xlabel(), ax.get_ylabel()]
    return [*filter(None, words)]


def print_titles():
    print(json.dumps(titles(shown[0])))


def print_faults(expected, names):
    """Print how the figure shown last differs from a cell's `drawn`; `names`: the notebook's variables."""
    figure, = shown
    if titles(figure) != expected["words"]:
        print(f"its words are {titles(figure)}, stored are {expected['words']}")
    if any(ax.collections or ax.containers or ax.images or ax.patches for ax in figure.axes):
        print("it has more than lines, and only lines can be compared with the run")
    lines = [line for ax in figure.axes for line in ax.lines]
    series = [each for each in expected["series"] if len(eval(each[2], dict(names)))]
    if len(lines) != len(series):
        print(f"{len(lines)} lines were drawn instead of {len(series)}")
    for number, (line, (label, *axes)) in enumerate(zip(lines, series), 1):
        name = "" if line.get_label().startswith("_") else line.get_label()
        points = [[*map(float, eval(axis, dict(names)))] for axis in axes]
        if name != label or [*map(list, line.get_data())] != points:
            print(f"its line {number}, {name!r}, is not {label!r} from {' and '.join(axes)}")
