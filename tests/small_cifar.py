"""A small set in CIFAR-10's format, for the exercise that trains on it: the whole is 170 MB, and not here."""

import contextlib
import hashlib
import pickle
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from torchvision.datasets import CIFAR10


@contextlib.contextmanager
def small_cifar():
    """The folder of 250 pictures to train with and 50 to test with. torchvision takes them for all."""
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
        sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        with mock.patch.multiple(
                CIFAR10, meta=CIFAR10.meta | {"md5": sums[CIFAR10.meta["filename"]]},
                train_list=[[name, sums[name]] for name, _ in CIFAR10.train_list],
                test_list=[[name, sums[name]] for name, _ in CIFAR10.test_list]):
            yield root
