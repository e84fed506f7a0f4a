"""The notebook's definitions as a module: `from notebook_names import accuracy`.

They are executed once, under torch's own settings. NAMES are their globals: what they use of other cells (`device`,
`train_dl`, …), a test puts there.
"""

from cells import definitions

NAMES = definitions()
globals().update(NAMES)
