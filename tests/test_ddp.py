"""The parts of examples/ddp.py; everywhere/test_two_processes.py runs it."""

import pytest
import torch


def test_the_parts_make_up_the_batch(ddp):
    batches = [(torch.arange(6), torch.arange(6) * 10), (torch.arange(6, 12), torch.arange(6, 12) * 10)]
    parts = [ddp.PartOfEachBatch(batches, rank, world_size=3) for rank in range(3)]
    assert [len(part) for part in parts] == [2, 2, 2]
    for (xb, yb), *shares in zip(batches, *parts):
        assert all(len(x) == 2 and torch.equal(y, x * 10) for x, y in shares)
        assert sorted(torch.cat([x for x, y in shares]).tolist()) == xb.tolist()


def test_a_batch_that_cannot_be_shared(ddp):
    with pytest.raises(ValueError, match="A batch of 100 can't be shared equally by 3 processes."):
        next(iter(ddp.PartOfEachBatch([(torch.zeros(100), torch.zeros(100))], 0, 3)))
