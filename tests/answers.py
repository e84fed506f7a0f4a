"""The answers to the exercises: each runs where its exercise stands, as if a reader had typed it there.

check_notebook.py asks the kernel that has executed the notebook up to that place. An answer works on a copy
of the notebook's names, and what it draws at random is put back: for the cells after it, it never ran.
"""

import contextlib
import io
import pickle
import re
import tempfile
from pathlib import Path
from unittest import mock

import figures

FOLDED = re.compile(r"<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>", re.S)


def answer(text):
    """The code of an exercise's answer."""
    folded = dict(FOLDED.findall(text))
    return "\n".join(re.findall(r"```python\n(.*?)```", folded["Answer"], re.S))


def question(cell, expressions):
    """Code that runs an exercise's answer, and prints expressions' values after it (figures.evaluate)."""
    return f"__import__('answers').run({cell.id!r}, {answer(cell.source)!r}, {expressions!r}, globals())"


def run(cell_id, code, expressions, names):
    import matplotlib.pyplot as plt
    import torch

    state, names, printed = torch.get_rng_state(), dict(names), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_rng_state, state)
        stack.enter_context(plt.rc_context())
        stack.enter_context(mock.patch.object(plt, "show", lambda: plt.close("all")))
        if cell_id == "exercise-cifar":
            names["data_root"] = stack.enter_context(small_cifar())
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"<answer to {cell_id}>", "exec"), names)
        figures.evaluate(expressions, names | {"printed": printed.getvalue()})


@contextlib.contextmanager
def small_cifar():
    """A folder with 250 pictures to train with and 50 to test with, which torchvision takes for CIFAR-10."""
    import numpy as np
    from torchvision.datasets import CIFAR10

    random = np.random.RandomState(0)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, CIFAR10.base_folder)
        folder.mkdir()
        for name, _ in CIFAR10.train_list + CIFAR10.test_list:
            labels, noise = random.randint(10, size=50), random.randint(25, size=(50, 3072))
            pixels = (25 * labels[:, None] + noise).astype(np.uint8)   # brighter and brighter
            (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels.tolist()}))
        meta = {"label_names": [f"kind {n}" for n in range(10)]}
        (folder / CIFAR10.meta["filename"]).write_bytes(pickle.dumps(meta))
        with mock.patch("torchvision.datasets.cifar.check_integrity", return_value=True):
            yield root
