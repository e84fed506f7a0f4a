"""The notebook's first epochs of training on several processes, with the notebook's own functions.

    torchrun --standalone --nproc-per-node 2 examples/ddp.py

Each process holds a copy of the model and takes its part of every batch. When `loss_batch` calls
`backward`, DistributedDataParallel averages the gradients of all processes. So every copy takes the same
step, the one that a single process would take with the whole batch. On GPUs there is one process per GPU.

MNIST has to be in data/ (python data/prepare.py). The weights go to mnist-ddp.pth in the current folder.
"""

import os
import sys
import types
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import SubsetRandomSampler

sys.path.append(str(Path(__file__).parent.parent / "tools"))
from notebook_file import ROOT, definitions

# The notebook's settings and functions.
nb = types.SimpleNamespace(**definitions())


class PartOfEachBatch:
    """Wrap a loader: of each batch only the rows of this process, one in `world_size`."""

    def __init__(self, dl, rank, world_size):
        self.dl, self.rank, self.world_size = dl, rank, world_size

    def __iter__(self):
        for xb, yb in self.dl:
            if len(xb) % self.world_size:
                raise ValueError(
                    f"A batch of {len(xb)} can't be shared equally by {self.world_size} processes.")
            yield xb[self.rank::self.world_size], yb[self.rank::self.world_size]

    def __len__(self):
        return len(self.dl)


def main():
    """Train in one of the processes; the first prints, and saves the weights."""
    on_gpu = torch.cuda.is_available()
    dist.init_process_group("nccl" if on_gpu else "gloo")
    rank, world_size = dist.get_rank(), dist.get_world_size()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else torch.device("cpu")
    torch.set_default_dtype(torch.float64 if nb.bits == 64 else torch.float32)
    torch.set_num_threads(1)

    dataset = nb.BatchedMNIST(nb.load_mnist(ROOT / nb.data_root))
    torch.manual_seed(nb.seed)   # the same in every process: the same split, weights and batches
    train_dl, valid_dl = [nb.make_loader(dataset, nb.batch_size, SubsetRandomSampler(indices))
                          for indices in nb.split_indices(len(dataset), 0.2)]
    train_dl = nb.DeviceDataLoader(PartOfEachBatch(train_dl, rank, world_size), device)
    valid_dl = nb.DeviceDataLoader(valid_dl, device)

    model = DistributedDataParallel(nb.to_device(nb.MnistModel(784, nb.hidden_size, 10), device))
    report = str if rank else print
    nb.fit(nb.epochs, nb.lr, model, F.cross_entropy, train_dl, valid_dl, nb.accuracy, report=report)
    if rank == 0:
        torch.save(model.module.state_dict(), "mnist-ddp.pth")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
