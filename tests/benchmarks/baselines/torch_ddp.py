"""The training in PyTorch's DistributedDataParallel over Gloo, as its documentation shows.

    torchrun --nproc-per-node 2 -m tests.benchmarks.baselines.torch_ddp WORKLOAD LOG

One thread a worker; the data lie in memory, and a worker's rows of a step are one indexing away.
"""

import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from tests.benchmarks.baselines.workload import RunLog, Workload, load_tensors


def train(workload: Workload, log: RunLog) -> None:
    """Trains all epochs; rank 0 says when each was over."""
    rank, size = distributed.get_rank(), distributed.get_world_size()
    data = load_tensors(workload)
    network = DistributedDataParallel(workload.build())
    optimizer = torch.optim.Adam(network.parameters(), lr=workload.learning_rate)
    share = workload.batch_size // size
    network.train()  # type: ignore[no-untyped-call]
    for epoch in range(1, workload.epochs + 1):
        generator = torch.Generator().manual_seed(workload.seed + epoch)
        order = torch.randperm(len(data.x_train), generator=generator)
        for start in range(0, len(order), workload.batch_size):
            rows = order[start + rank * share : start + (rank + 1) * share]
            if len(rows) == 0:  # a last step of few rows: all ranks must take part
                rows = order[start : start + 1]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(data.x_train[rows]), data.y_train[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if rank == 0:
            log.write(epoch=epoch)


def main() -> None:
    """Trains what the command line names."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    train(Workload.read(Path(sys.argv[1])), RunLog(Path(sys.argv[2])))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
