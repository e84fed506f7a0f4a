"""examples/ddp.py: two processes give the result of one, to rounding."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import SubsetRandomSampler

from notebook_file import ROOT


@pytest.mark.mnist
@pytest.mark.skipif(torch.cuda.device_count() == 1, reason="one GPU is one process")
@pytest.mark.skipif(os.name == "nt", reason="torchrun has not been tried on Windows")
@pytest.mark.timeout(300)
def test_two_processes_give_the_result_of_one(ddp, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, ddp.__file__], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1 of 5") == 1, "only one process prints"
    two = torch.load(tmp_path / "mnist-ddp.pth", weights_only=True)

    nb = ddp.nb
    dataset = nb.BatchedMNIST(nb.load_mnist(ROOT / nb.data_root))
    torch.manual_seed(nb.seed)
    loaders = [nb.make_loader(dataset, nb.batch_size, SubsetRandomSampler(indices))
               for indices in nb.split_indices(len(dataset), 0.2)]
    model = nb.MnistModel(784, nb.hidden_size, 10)
    losses, metrics = nb.fit(nb.epochs, nb.lr, model, F.cross_entropy, *loaders, nb.accuracy, report=str)
    assert metrics[-1] > 0.95
    for name, weights in model.state_dict().items():
        torch.testing.assert_close(two[name].cpu(), weights, rtol=0, atol=1e-10)
