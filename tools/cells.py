"""The notebook as a file: where it is, and its functions taken out of it."""

from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "04-feedforward-nn.ipynb"
BUILD = ROOT / "build"
# The tags that cells may have: papermill's, and ours for what is taken out and for what `make run` prints.
TAGS = {"parameters", "definition", "result"}


def has_mnist():
    """Whether MNIST lies under data/, where data/prepare.py has checked it."""
    return (ROOT / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte").exists()


def read(path=NOTEBOOK):
    return nbformat.read(path, as_version=4)


def code_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def has_tag(cell, tag):
    return tag in cell.metadata.get("tags", [])


def definitions(nb=None):
    """The namespace that the notebook's parameters and definitions make, without running the rest.

    Those are the cells tagged `parameters` and `definition`.
    """
    namespace = {"__name__": NOTEBOOK.stem}
    for cell in code_cells(nb or read()):
        if has_tag(cell, "parameters") or has_tag(cell, "definition"):
            exec(compile(cell.source, f"<cell {cell.id}>", "exec"), namespace)
    return namespace
