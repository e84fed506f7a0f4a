"""The notebook as a file: where it is, and its parts taken out of it."""

import copy
import sys
import warnings
from pathlib import Path

import nbformat
import nbformat.reader
import nbformat.warnings

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "04-feedforward-nn.ipynb"
CHINESE = ROOT / "zh" / NOTEBOOK.name
BUILD = ROOT / "build"
# The tags that cells may have: papermill's, and ours for what is taken out, for what `make run` prints, for
# what differs from run to run, and for what the reader is asked to guess.
TAGS = {"parameters", "definition", "result", "varies", "guess"}
AFTER_THE_CORE = "## 6."
LOST = ("The cells of {0} have lost their ids, as some programs do when they save a notebook. Nothing was "
        "changed. The way back is `git checkout {0}`; save your own changes elsewhere first.")


def read(path=NOTEBOOK):
    """A notebook; SystemExit if it is one of ours without its cells' ids, by which everything finds them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nbformat.warnings.MissingIDFieldWarning)   # that is said below
            warnings.simplefilter("error", nbformat.warnings.DuplicateCellId)
            nb = nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, UnicodeDecodeError):
        sys.exit(f"{path} is no notebook: are there marks of a git conflict in it, or was it cut short? "
                 "Nothing was changed.")
    except nbformat.warnings.DuplicateCellId:
        sys.exit(f"Two cells of {path} have the same id: give one of them another, or make it anew. "
                 "Nothing was changed.")
    if path in (NOTEBOOK, CHINESE) and not {"title", "parameters"} <= {cell.get("id") for cell in nb.cells}:
        sys.exit(LOST.format(path))
    return nb


def as_text(nb):
    """A notebook as its file holds it."""
    return nbformat.writes(nb) + "\n"


def code_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def has_tag(cell, tag):
    return tag in cell.metadata.get("tags", [])


def before(nb, start):
    """A copy of the notebook that ends before the first cell whose text starts so, or whose id it is."""
    shorter = copy.deepcopy(nb)
    end = next(i for i, cell in enumerate(nb.cells) if cell.source.startswith(start) or cell.id == start)
    shorter.cells = shorter.cells[:end]
    return shorter


def core(nb):
    """The notebook's sections 0 to 5: data, model, training and a look at what was learned."""
    return before(nb, AFTER_THE_CORE)


def definitions(nb=None):
    """The namespace that the notebook's parameters and definitions make, without running the rest.

    Those are the cells tagged `parameters` and `definition`.
    """
    namespace = {"__name__": NOTEBOOK.stem}
    for cell in code_cells(nb or read()):
        if has_tag(cell, "parameters") or has_tag(cell, "definition"):
            exec(compile(cell.source, f"<cell {cell.id}>", "exec"), namespace)
    return namespace
