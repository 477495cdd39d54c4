"""The training in Horovod's own elastic mode, after its documentation.

    horovodrun --gloo -np 2 --min-np 1 --max-np 2 --host-discovery-script SCRIPT \
        python -m tests.benchmarks.baselines.horovod_elastic WORKLOAD LOG

Follows https://horovod.readthedocs.io/en/stable/elastic.html: `TorchState`, `ElasticSampler`,
`state.commit` every few steps. It trains until it is ended from outside, and writes every finished
step of every worker with its process id, so that an observer can kill one and see what follows.
"""

import os
import sys
from pathlib import Path

import horovod.torch as hvd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.benchmarks.baselines.workload import RunLog, Workload, load_tensors


def main() -> None:
    """Trains what the command line names."""
    hvd.init()
    torch.set_num_threads(1)
    workload, log = Workload.read(Path(sys.argv[1])), RunLog(Path(sys.argv[2]))
    data = load_tensors(workload)
    train_rows = TensorDataset(data.x_train, data.y_train)
    network = workload.build()
    optimizer = hvd.DistributedOptimizer(
        torch.optim.Adam(network.parameters(), lr=workload.learning_rate),
        named_parameters=network.named_parameters(),
    )
    sampler = hvd.elastic.ElasticSampler(train_rows)

    @hvd.elastic.run  # type: ignore[untyped-decorator]
    def train(state: hvd.elastic.TorchState) -> None:
        rows = workload.batch_size // hvd.size()
        while True:
            sampler.set_epoch(state.epoch)
            loader = DataLoader(train_rows, batch_size=rows, sampler=sampler)
            for batch, (inputs, labels) in enumerate(loader):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(network(inputs), labels)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                state.step += 1
                log.write(step=state.step, pid=os.getpid(), rank=hvd.rank(), size=hvd.size())
                sampler.record_batch(batch, rows)
                if state.step % workload.commit_steps == 0:
                    state.commit()
            state.epoch += 1

    train(
        hvd.elastic.TorchState(model=network, optimizer=optimizer, sampler=sampler, epoch=0, step=0)
    )


if __name__ == "__main__":
    main()
