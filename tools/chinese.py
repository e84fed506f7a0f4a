"""The Chinese edition: the English notebook with the texts of a catalogue. `make zh` calls this.

    python tools/chinese.py   brings zh/04-feedforward-nn.po up to date with the English notebook and builds
                              zh/04-feedforward-nn.ipynb from both

The catalogue has an entry for each text (tools/texts.py): a text cell, a picture's alt text and its caption, the
title of a folded cell, and the comments, docstrings, error sentences and field's words in the code. An entry whose
English has changed is marked fuzzy, and keeps its old English beside the new one.
"""

import sys

import polib

from files import replace
from notebook_file import CHINESE, NOTEBOOK, ROOT, as_text, read
from texts import texts, with_texts

CATALOGUE = CHINESE.with_suffix(".po")


def updated(catalogue, english):
    """A catalogue with an entry for each English text, in their order; those without come last, obsolete."""
    live_last = sorted(catalogue, key=lambda entry: not entry.obsolete)   # the live one counts
    old = {entry.msgctxt: entry for entry in live_last}
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


def load():
    """The catalogue; SystemExit if it can't be read, or has two entries for a text."""
    try:
        catalogue = polib.pofile(CATALOGUE.read_text(encoding="utf-8-sig"), wrapwidth=0)
    except (OSError, UnicodeDecodeError) as error:   # polib raises OSError for other files
        sys.exit(f"{CATALOGUE} can't be read as a catalogue in UTF-8: {error}. Nothing was changed.")
    live = [entry.msgctxt for entry in catalogue if not entry.obsolete]
    if twice := sorted({key for key in live if live.count(key) > 1}):
        sys.exit(f"{CATALOGUE} has two entries for {', '.join(twice)}: keep one. Nothing was changed.")
    return catalogue


def built(english, catalogue):
    """The Chinese notebook, as the file's text."""
    live = {entry.msgctxt: entry.msgstr for entry in catalogue if not entry.obsolete}
    return as_text(with_texts(english, live))


def main():
    english = read()
    catalogue = updated(load(), texts(english))
    try:
        replace(CATALOGUE, str(catalogue) + "\n")
        replace(CHINESE, built(english, catalogue))
    except OSError as error:
        sys.exit(f"The Chinese edition can't be written: {error}. What was there is there still.")
    print(f"{CHINESE.relative_to(ROOT)} is built from {NOTEBOOK.name} and {CATALOGUE.relative_to(ROOT)}.")
    if entries := missing(catalogue):
        sys.exit(f"{len(entries)} entries need their Chinese: {', '.join(entries)}.")


if __name__ == "__main__":
    main()
