"""Torch's settings belong to the whole process: a test that changes them puts them back."""

import contextlib


@contextlib.contextmanager
def kept():
    """Whatever happens inside: afterwards the default dtype and the number of threads are as they were."""
    import torch   # takes seconds, and most tests do without
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
