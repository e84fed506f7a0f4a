"""A pretended accelerator: a device that PyTorch believes in, on any machine. It computes on the CPU.

A forgotten `.to(device)` or `.cpu()` raises an error, as on a GPU. Speed and rounding are the CPU's.
"""

import torch

from notebook_file import FIND_OURS

REGISTER = f"{FIND_OURS}; __import__('pretended_accelerator').register()"
NAME = "pretended"
DEVICE = torch.device("privateuseone", 0)   # PyTorch's word for it, until register() gives it its name
ATEN = torch.ops.aten
INDEX = {ATEN.index.Tensor, ATEN.index_put_.default, ATEN._index_put_impl_.default}
Storage = type("Storage", (torch.UntypedStorage,), {"device": DEVICE})   # for torch.save and torch.load


class Pretended(torch.Tensor):
    """A tensor on the device. Its numbers are in `inner`, a tensor on the CPU."""
    __torch_function__ = torch._C._disabled_torch_function_impl

    def __new__(cls, inner):
        self = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=DEVICE)
        self.inner = inner
        return self

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        given = {}
        args = [to_inner(value, given) for value in args]
        kwargs = {name: to_inner(value, given) for name, value in kwargs.items()} if kwargs else {}
        device, on_cpu = kwargs.get("device"), given.get("cpu")
        may_index = func in INDEX and any(on_cpu is index for index in args[1])   # on a GPU, too
        if on_cpu is not None and device is None and func is not ATEN.copy_.default and not may_index:
            raise RuntimeError("Expected all tensors to be on the same device, "
                               f"but found at least two devices, {DEVICE} and cpu!")
        if device is not None and device.type == NAME:
            kwargs["device"] = "cpu"
        result = func(*args, **kwargs)
        return to_outer(result, given) if device is None or device.type == NAME else result

    def set_data(self, value):
        torch.Tensor.data.__set__(self, value)
        self.inner = value.inner

    data = property(torch.Tensor.data.__get__, set_data)
    tolist = property(lambda self: self.inner.tolist)

    def numpy(self, **_):
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() first.")

    def __format__(self, spec):
        return super().__format__(spec) if self.dim() else format(self.inner, spec)

    def __reduce_ex__(self, protocol):
        self.inner.untyped_storage().__class__ = Storage
        return self.inner.__reduce_ex__(protocol)

    def __deepcopy__(self, memo):
        if id(self) not in memo:   # as PyTorch copies a parameter: without its gradient
            copied = memo[id(self)] = Pretended(self.inner.clone()).requires_grad_(self.requires_grad)
            copied._is_param = getattr(self, "_is_param", False)
        return memo[id(self)]


def to_inner(value, given):
    """The CPU's tensors for the device's. `given` gets each by its id, and as "cpu" one that was there."""
    if type(value) is Pretended:
        given[id(value.inner)] = value
        return value.inner
    if isinstance(value, torch.Tensor):
        given["cpu" if value.dim() else "number"] = given[id(value)] = value
    return [to_inner(item, given) for item in value] if isinstance(value, (list, tuple)) else value


def to_outer(value, given):
    """The device's tensors for the CPU's: new ones, or what was given where the operation changed that."""
    if not isinstance(value, torch.Tensor):
        return [to_outer(item, given) for item in value] if isinstance(value, (list, tuple)) else value
    tensor = given.get(id(value))
    if tensor is not None and (tensor.size() != value.size() or tensor.stride() != value.stride()):
        tensor.data = Pretended(value)
    return Pretended(value) if tensor is None else tensor


def register():
    """Make the device known to PyTorch, by an experimental function of it: 2.15 has it, 2.6 does not."""
    def restored(storage, location):
        if location.startswith(NAME):
            storage.__class__ = Storage
            return storage
    if not hasattr(torch, NAME):
        torch.utils.backend_registration._setup_privateuseone_for_python_backend(NAME)
        torch.accelerator.synchronize = lambda device=None: None
        torch.autograd.set_multithreading_enabled(False)   # or a backward pass has a thread for the device
        torch.serialization.register_package(15, lambda storage: None, restored)
        torch.library.impl("aten::_copy_from", NAME, lambda source, to, _=False: to.inner.copy_(source))
        library = torch.pretended.library = torch.library.Library("_", "IMPL")   # it works while it is kept
        library.fallback(lambda func, *args, **kwargs: Pretended.__torch_dispatch__(func, (), args, kwargs),
                         "PrivateUse1")
