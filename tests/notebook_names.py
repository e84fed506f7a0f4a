"""The notebook's definitions as a module: `from notebook_names import accuracy`.

They are executed once, under torch's own settings. Each says that it comes from this module, where a worker process
finds it when it is started anew.
"""

from cells import definitions

NAMES = definitions()
for value in NAMES.values():
    if getattr(value, "__module__", None) == NAMES["__name__"]:
        value.__module__ = __name__
globals().update({name: value for name, value in NAMES.items() if not name.startswith("__")})
