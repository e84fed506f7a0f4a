"""The Chinese edition: the English notebook with the texts of a catalogue. `make zh` calls this.

    python tools/chinese.py   brings zh/04-feedforward-nn.po up to date with the English notebook and builds
                              zh/04-feedforward-nn.ipynb from both

The catalogue has an entry for each text, caption and sentence (tools/texts.py). An entry whose English has
changed is marked fuzzy, and keeps its old English beside the new one.
"""

import sys

import polib

from files import replace
from notebook_file import CHINESE, NOTEBOOK, ROOT, as_text, read
from texts import texts, with_texts

CATALOGUE = CHINESE.with_suffix(".po")


def load():
    """The catalogue; SystemExit if it can't be read, or has two entries for a text."""
    try:
        catalogue = polib.pofile(CATALOGUE.read_text(encoding="utf-8-sig"), wrapwidth=0)
    except (OSError, UnicodeDecodeError) as error:   # polib raises OSError for other files
        sys.exit(f"{CATALOGUE} can't be read as a catalogue in UTF-8: {error}. Nothing was changed.")
    keys = [entry.msgctxt for entry in catalogue]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        sys.exit(f"{CATALOGUE} has two entries for {', '.join(twice)}: keep one. Nothing was changed.")
    return catalogue


def update(catalogue, english):
    """Make its entries those of the English texts, in their order; others come last, obsolete."""
    old, new = {entry.msgctxt: entry for entry in catalogue}, []
    for key, text in english.items():
        entry = old.pop(key, None) or polib.POEntry(msgctxt=key, msgid=text)
        if entry.obsolete or entry.msgid != text:
            entry.previous_msgid = entry.previous_msgid or entry.msgid
            entry.obsolete, entry.msgid, entry.flags = False, text, ["fuzzy"]
        new.append(entry)
    for entry in old.values():
        entry.obsolete = True
    catalogue[:] = [*new, *old.values()]


def missing(catalogue):
    """The entries that have no Chinese, or one that is out of date."""
    return [f"{entry.msgctxt} ({'fuzzy' if entry.msgstr else 'missing'})" for entry in catalogue
            if not entry.obsolete and (entry.fuzzy or not entry.msgstr)]


def main():
    english, catalogue = read(), load()
    update(catalogue, texts(english))
    chinese = with_texts(english, {entry.msgctxt: entry.msgstr for entry in catalogue if not entry.obsolete})
    replace(CATALOGUE, f"{catalogue}\n")
    replace(CHINESE, as_text(chinese))
    print(f"{CHINESE.relative_to(ROOT)} is built from {NOTEBOOK.name} and {CATALOGUE.relative_to(ROOT)}.")
    if entries := missing(catalogue):
        sys.exit("That is done, but some texts have no Chinese, or an old one; CONTRIBUTING says what to do: "
                 f"{', '.join(entries)}.")


if __name__ == "__main__":
    main()
