"""The notebook's first epochs of training on several processes: its functions, and the digits it prints.

    torchrun --standalone --nproc-per-node 2 examples/ddp.py

Each process holds a copy of the model and takes its part of every batch. When `loss_batch` calls
`backward`, DistributedDataParallel averages the gradients of all processes. So every copy takes the same
step, the one that a single process would take with the whole batch. On GPUs there is one process per GPU.

MNIST has to be in data/ (python data/prepare.py). The weights go to mnist-ddp.pth in the current folder.
"""

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

nb = types.SimpleNamespace(**definitions())   # the notebook's settings and functions


class PartOfEachBatch(nb.DeviceDataLoader):
    """Of each batch only the rows of this process."""

    def __iter__(self):
        rank, world_size = dist.get_rank(), dist.get_world_size()
        for xb, yb in self.dl:
            if len(xb) % world_size:
                raise ValueError(f"A batch of {len(xb)} can't be shared equally by {world_size} processes.")
            yield nb.to_device((xb[rank::world_size], yb[rank::world_size]), self.device)


def main():
    """Train in one of the processes; the first prints, and saves the weights."""
    on_gpu = torch.cuda.is_available()
    dist.init_process_group("nccl" if on_gpu else "gloo")
    first = dist.get_rank() == 0
    device = torch.device("cuda", dist.get_node_local_rank()) if on_gpu else torch.device("cpu")
    torch.set_default_dtype(torch.float64 if nb.bits == 64 else torch.float32)
    torch.set_num_threads(1)
    dataset = nb.BatchedMNIST(nb.load_mnist(ROOT / nb.data_root))
    torch.manual_seed(nb.seed)   # as in the notebook, here and below, and the same in every process
    train, valid = nb.split_indices(len(dataset), 0.2)
    train_dl = PartOfEachBatch(nb.make_loader(dataset, nb.batch_size, SubsetRandomSampler(train)), device)
    valid_dl = nb.DeviceDataLoader(nb.make_loader(dataset, nb.batch_size, valid), device)
    torch.manual_seed(nb.seed)
    model = DistributedDataParallel(nb.to_device(nb.MnistModel(784, nb.hidden_size, 10), device))
    torch.manual_seed(nb.seed)
    nb.fit(nb.epochs, nb.lr, model, F.cross_entropy, train_dl, valid_dl, nb.accuracy,
           report=print if first else str)
    if first:
        torch.save(model.module.state_dict(), "mnist-ddp.pth")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
