"""examples/ddp.py: two processes give the result of one, to rounding."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import SubsetRandomSampler

from cells import ROOT

EXAMPLE = ROOT / "examples" / "ddp.py"


@pytest.fixture
def example(notebook_precision):
    """The example as a module, with the notebook's functions in it, under its settings."""
    spec = importlib.util.spec_from_file_location("ddp", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_parts_make_up_the_batch(example):
    batches = [(torch.arange(6), torch.arange(6) * 10), (torch.arange(6, 12), torch.arange(6, 12) * 10)]
    parts = [example.PartOfEachBatch(batches, rank, world_size=3) for rank in range(3)]
    assert [len(part) for part in parts] == [2, 2, 2]
    for (xb, yb), *shares in zip(batches, *parts):
        assert all(len(x) == 2 and torch.equal(y, x * 10) for x, y in shares)
        assert sorted(torch.cat([x for x, y in shares]).tolist()) == xb.tolist()


def test_a_batch_that_cannot_be_shared(example):
    with pytest.raises(ValueError, match="A batch of 100 can't be shared equally by 3 processes."):
        next(iter(example.PartOfEachBatch([(torch.zeros(100), torch.zeros(100))], 0, 3)))


@pytest.mark.mnist
@pytest.mark.skipif(torch.cuda.is_available() and torch.cuda.device_count() < 2, reason="one GPU is one process")
@pytest.mark.skipif(os.name == "nt", reason="torchrun has not been tried on Windows")
@pytest.mark.timeout(300)
def test_two_processes_give_the_result_of_one(example, tmp_path):
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", EXAMPLE],
                          cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1 of 5") == 1, "only one process prints"
    two = torch.load(tmp_path / "mnist-ddp.pth", weights_only=True)

    nb = example.nb
    dataset = nb.BatchedMNIST(example.MNIST(ROOT / nb.data_root))
    torch.manual_seed(nb.seed)
    loaders = [nb.make_loader(dataset, nb.batch_size, SubsetRandomSampler(indices))
               for indices in nb.split_indices(len(dataset), 0.2)]
    model = nb.MnistModel(784, nb.hidden_size, 10)
    losses, metrics = nb.fit(nb.epochs, nb.lr, model, F.cross_entropy, *loaders, nb.accuracy)
    assert metrics[-1] > 0.95
    for name, weights in model.state_dict().items():
        torch.testing.assert_close(two[name].cpu(), weights, rtol=0, atol=1e-10)
