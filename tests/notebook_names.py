"""The notebook's definitions as a module, the one way to them: `from notebook_names import accuracy`."""

from notebook_file import definitions

NAMES = definitions()
globals().update({name: value for name, value in NAMES.items() if not name.startswith("__")})
