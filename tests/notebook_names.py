"""The notebook's definitions as a module, the one way to them: `from notebook_names import accuracy`.

Each says that it comes from this module, where a worker process finds it when it is started anew.
"""

from torch.utils._python_dispatch import TorchDispatchMode

from notebook_file import definitions

NAMES = definitions()
for value in NAMES.values():
    if getattr(value, "__module__", None) == NAMES["__name__"]:
        value.__module__ = __name__
globals().update({name: value for name, value in NAMES.items() if not name.startswith("__")})


class Watched(TorchDispatchMode):
    """Inside, `see(operation, arguments, result)` is called after each operation on tensors."""

    def __init__(self, see):
        super().__init__()
        self.see = see

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.see(func, args, result)
        return result
