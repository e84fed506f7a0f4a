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
# What a kernel executes so that our modules can be asked there, without a name among the notebook's.
FIND_OURS = f"__import__('sys').path[:0] = {[str(ROOT / name) for name in ('tools', 'tests')]}"


def read(path=NOTEBOOK):
    """A notebook; SystemExit if it is ours without its cells' ids, by which everything finds them."""
    try:
        with warnings.catch_warnings(action="error", category=nbformat.warnings.DuplicateCellId):
            warnings.simplefilter("ignore", nbformat.warnings.MissingIDFieldWarning)   # that is said below
            nb = nbformat.read(path, as_version=4)
        ids = {cell.get("id") for cell in nb.cells}
        if path.name != NOTEBOOK.name or {"title", "parameters"} <= ids:
            return nb
        fault = (f"The cells of {path} have lost their ids, as some programs do when they save a notebook. "
                 f"The way back is `git checkout {path}`; save your own changes elsewhere first.")
    except (nbformat.reader.NotJSONError, UnicodeDecodeError):
        fault = f"{path} is no notebook: are there marks of a git conflict in it, or was it cut short?"
    except nbformat.warnings.DuplicateCellId:
        fault = f"Two cells of {path} have the same id: give one of them another, or make it anew."
    sys.exit(f"{fault} Nothing was changed.")


def as_text(nb):
    """A notebook as its file holds it."""
    return nbformat.writes(nb) + "\n"


def code_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def has_tag(cell, tag):
    return tag in cell.metadata.get("tags", [])


def before(nb, cell_id):
    """A copy of the notebook that ends before this cell."""
    shorter = copy.deepcopy(nb)
    shorter.cells = shorter.cells[:[cell.id for cell in nb.cells].index(cell_id)]
    return shorter


def core(nb):
    """The notebook's sections 0 to 5: data, model, training and a look at what was learned."""
    return before(nb, "experiments-intro")


def definitions(nb=None):
    """The names that the notebook's parameters and definitions make, without running the rest."""
    names = {"__name__": NOTEBOOK.stem}
    for cell in code_cells(nb or read()):
        if has_tag(cell, "parameters") or has_tag(cell, "definition"):
            exec(compile(cell.source, f"<cell {cell.id}>", "exec"), names)
    return names
