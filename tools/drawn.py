"""What a picture of durations consists of, asked of the kernel that drew it.

Its pixels differ from run to run. Its words don't, and its points are the values of variables of the same
run. So a cell that draws such a picture has in its metadata:

    "drawn": {"words": [titles and names of axes],                  written by `make refresh`
              "series": [[label, expression of x, expression of y], …]}    written by hand

A series without points, such as a GPU's where there is none, is not expected to be drawn.
"""

import in_kernel

# What was drawn: (words, series) of each picture. Lives in the kernel.
pictures = []

IN_THE_KERNEL = in_kernel.module(__file__)
START = f"{IN_THE_KERNEL}.start()"


def start():
    """Look at each figure that the notebook shows from now on."""
    from matplotlib.figure import Figure

    def look(fig, printer, cycle):
        pictures.append((words(fig), series(fig)))
        printer.text(repr(fig))

    Figure._repr_pretty_ = look   # IPython calls it when it shows a figure


def words(fig):
    """Titles and names of axes."""
    found = [fig.get_suptitle()]
    for ax in fig.axes:
        found += [ax.get_title(loc) for loc in ("left", "center", "right")]
        found += [ax.get_xlabel(), ax.get_ylabel()]
    return [word for word in found if word]


def series(fig):
    """[label, x, y] for each line and each group of horizontal bars (their names are x); no label is ""."""
    from matplotlib.container import BarContainer

    found = []
    for ax in fig.axes:
        found += [[line.get_label(), line.get_xdata(), line.get_ydata()] for line in ax.lines]
        names = [tick.get_text() for tick in ax.get_yticklabels()]
        found += [[bars.get_label(), names, [bar.get_width() for bar in bars]] for bars in ax.containers
                  if isinstance(bars, BarContainer)]
    return [["" if label.startswith("_") else label, list(x), list(y)] for label, x, y in found]


def forget():
    """Before a cell of this kind is executed: what was drawn until now is none of its."""
    pictures.clear()


def reported():
    """The words of the one picture drawn since `forget`."""
    (found, _), = pictures
    return found


def faults(expected, names):
    """What is wrong with the one picture drawn since `forget`, as a list of sentences.

    `expected` is the cell's metadata, `names` the notebook's variables.
    """
    import numpy as np

    if len(pictures) != 1:
        return [f"{len(pictures)} pictures were drawn instead of one"]
    (found_words, found_series), = pictures
    wrong = []
    if found_words != expected["words"]:
        wrong.append(f"its words are {found_words}, stored are {expected['words']}")
    wanted = [[label, list(eval(x, dict(names))), list(eval(y, dict(names)))] for label, x, y in expected["series"]]
    wanted = [one for one in wanted if one[2]]
    if [label for label, *_ in found_series] != [label for label, *_ in wanted]:
        return [*wrong, f"its series are {[label for label, *_ in found_series]}, not {[label for label, *_ in wanted]}"]
    for (label, *drawn), (_, *points) in zip(found_series, wanted):
        for axis, is_, should in zip("xy", drawn, points):
            same = is_ == should if isinstance(should[0], str) else len(is_) == len(should) and np.allclose(is_, should)
            if not same:
                wrong.append(f"the {axis} values of its series {label!r} are not {expected['series']}")
    return wrong
