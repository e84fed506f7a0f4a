"""Pictures of durations: their pixels differ from run to run, but not their words, and their points are values of the run.

So a cell that draws one has in its metadata what the check asks the kernel for:

    "drawn": {"words": [titles and names of axes],                         written by `make refresh`
              "series": [[label, expression of x, expression of y], …]}    written by hand

A series without points, such as a GPU's where there is none, is not expected to be drawn.
"""

import json

import in_kernel

IN_THE_KERNEL = in_kernel.module(__file__)
START = f"{IN_THE_KERNEL}.start()"

shown = []   # The figure that the notebook showed last. Lives in the kernel.


def start():
    """Look at each figure that the notebook shows from now on."""
    from matplotlib.figure import Figure

    def look(figure, printer, cycle):
        shown[:] = [figure]
        printer.text(repr(figure))

    Figure._repr_pretty_ = look   # IPython calls it when it shows a figure


def words(figure):
    """Titles and names of axes."""
    found = [figure.get_suptitle()]
    for ax in figure.axes:
        found += [*map(ax.get_title, ("left", "center", "right")), ax.get_xlabel(), ax.get_ylabel()]
    return [word for word in found if word]


def print_words():
    print(json.dumps(words(shown[0])))


def print_faults(expected, names):
    """Print what is wrong with the figure shown last.

    `expected` is the cell's metadata, `names` the notebook's variables.
    """
    figure, = shown
    if words(figure) != expected["words"]:
        print(f"its words are {words(figure)}, stored are {expected['words']}")
    if any(ax.collections or ax.containers or ax.images or ax.patches for ax in figure.axes):
        print("it has more than lines, and only lines can be compared with the run")
    lines = [line for ax in figure.axes for line in ax.lines]
    series = [(label, numbers(eval(x, dict(names))), numbers(eval(y, dict(names)))) for label, x, y in expected["series"]]
    series = [one for one in series if one[2]]
    if len(lines) != len(series):
        print(f"{len(lines)} lines were drawn instead of {len(series)}")
    for line, (label, *points) in zip(lines, series):
        name = "" if line.get_label().startswith("_") else line.get_label()
        if [name, *map(numbers, line.get_data())] != [label, *points]:
            print(f"its line {name!r} is not what its cell's metadata says of {label!r}")


def numbers(values):
    return [float(value) for value in values]
