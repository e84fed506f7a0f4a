"""Pictures of durations: pixels differ from run to run, words don't, and points are values of the run.

A cell that draws one says so under `holds`: draws([titles and names of axes], (label, x, y), …). A line
without points, such as a GPU's where there is none, is not expected to be drawn.
"""

shown = []   # The figure that the notebook showed last. Lives in the kernel.


def start():
    """Look at each figure that the notebook shows from now on."""
    from matplotlib.figure import Figure

    def look(figure, printer, cycle):
        shown[:] = [figure]
        printer.text(repr(figure))

    Figure._repr_pretty_ = look   # IPython calls it when it shows a figure


def draws(words, *series):
    """True if the figure shown last has these words and lines; ValueError says what is different."""
    figure, = shown
    found = [figure.get_suptitle()]
    for ax in figure.axes:
        found += [*map(ax.get_title, ("left", "center", "right")), ax.get_xlabel(), ax.get_ylabel()]
        if ax.collections or ax.containers or ax.images or ax.patches:
            raise ValueError("it has more than lines, and only lines can be compared with the run")
    if [*filter(None, found)] != words:
        raise ValueError(f"its words are {[*filter(None, found)]}")
    lines = [line for ax in figure.axes for line in ax.lines]
    series = [(label, [*map(float, x)], [*map(float, y)]) for label, x, y in series if len(y)]
    if len(lines) != len(series):
        raise ValueError(f"{len(lines)} lines were drawn instead of {len(series)}")
    for number, (line, (label, *points)) in enumerate(zip(lines, series), 1):
        name = "" if line.get_label().startswith("_") else line.get_label()
        if name != label or [*map(list, line.get_data())] != points:
            raise ValueError(f"its line {number}, {name!r}, is not {label!r} of the run")
    return True
