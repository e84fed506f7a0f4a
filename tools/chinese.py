"""The Chinese edition: the English notebook with the texts of a catalogue. `make zh` calls this.

    python tools/chinese.py   brings zh/04-feedforward-nn.po up to date with the English notebook and builds
                              zh/04-feedforward-nn.ipynb from both

The catalogue has an entry for each text: a text cell, the alt text of a picture, the title of a folded cell. An entry
whose English has changed is marked fuzzy, and keeps its old English beside the new one.
"""

import copy
import sys

import nbformat
import polib

from cells import CHINESE, NOTEBOOK, ROOT, read
from replacing import replace

CATALOGUE = CHINESE.with_suffix(".po")
TITLE = "# @title "


def texts(nb):
    """Every text of a notebook: {the cell's id, and what it is if not the cell itself: text}."""
    found = {}
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            found[cell.id] = cell.source
        elif cell.source.startswith(TITLE):
            found[f"{cell.id}: title"] = cell.source.split("\n")[0].removeprefix(TITLE)
        if "alt" in cell.metadata:
            found[f"{cell.id}: alt"] = cell.metadata.alt
    return found


def updated(catalogue, english):
    """A catalogue with an entry for each English text, in their order; those that lost theirs come last, as obsolete."""
    old = {entry.msgctxt: entry for entry in catalogue}
    new = polib.POFile(wrapwidth=0)
    new.metadata, new.header = catalogue.metadata, catalogue.header
    for key, text in english.items():
        entry = old.pop(key, None) or polib.POEntry(msgctxt=key, msgid=text)
        if entry.obsolete or entry.msgid != text:
            entry.previous_msgid = entry.previous_msgid or entry.msgid
            entry.obsolete, entry.msgid, entry.flags = False, text, ["fuzzy"]
        new.append(entry)
    for entry in old.values():
        entry.obsolete = True
        new.append(entry)
    return new


def missing(catalogue):
    """The entries that have no Chinese, or one that is out of date."""
    return [f"{entry.msgctxt} ({'fuzzy' if entry.msgstr else 'missing'})" for entry in catalogue
            if not entry.obsolete and (entry.fuzzy or not entry.msgstr)]


def translated(nb, chinese):
    """A notebook with other texts; where there is none, its own stands."""
    nb = copy.deepcopy(nb)
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = chinese.get(cell.id) or cell.source
        if title := chinese.get(f"{cell.id}: title"):
            cell.source = "\n".join([TITLE + title, *cell.source.split("\n")[1:]])
        if alt := chinese.get(f"{cell.id}: alt"):
            cell.metadata.alt = alt
    return nb


def load():
    return polib.pofile(str(CATALOGUE), wrapwidth=0)


def built(english, catalogue):
    """The Chinese notebook, as the file's text."""
    return nbformat.writes(translated(english, {entry.msgctxt: entry.msgstr for entry in catalogue if not entry.obsolete})) + "\n"


def main():
    english = read()
    catalogue = updated(load(), texts(english))
    replace(CATALOGUE, str(catalogue) + "\n")
    replace(CHINESE, built(english, catalogue))
    print(f"{CHINESE.relative_to(ROOT)} is built from {NOTEBOOK.name} and {CATALOGUE.relative_to(ROOT)}.")
    if entries := missing(catalogue):
        sys.exit(f"{len(entries)} entries need their Chinese: {', '.join(entries)}.")


if __name__ == "__main__":
    main()
