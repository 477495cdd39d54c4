"""The training as a user of Horovod writes it, after Horovod's own PyTorch example.

    horovodrun --gloo -np 2 python -m tests.benchmarks.baselines.horovod_mnist WORKLOAD LOG

Follows https://horovod.readthedocs.io/en/stable/pytorch.html and its `pytorch_mnist.py`: one
thread a worker, DistributedSampler, broadcast of weights and optimiser state, averaged metrics.
"""

import sys
from pathlib import Path

import horovod.torch as hvd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from tests.benchmarks.baselines.workload import RunLog, Tensors, Workload, evaluate, load_tensors


class Training:
    """One worker's training."""

    def __init__(self, workload: Workload, log: RunLog) -> None:
        self.workload = workload
        self.log = log
        self.data: Tensors = load_tensors(workload)
        train = TensorDataset(self.data.x_train, self.data.y_train)
        self.sampler: DistributedSampler[tuple[torch.Tensor, ...]] = DistributedSampler(
            train, num_replicas=hvd.size(), rank=hvd.rank(), seed=workload.seed
        )
        self.loader = DataLoader(
            train, batch_size=workload.batch_size // hvd.size(), sampler=self.sampler
        )
        self.network = workload.build()
        optimizer = torch.optim.Adam(self.network.parameters(), lr=workload.learning_rate)
        hvd.broadcast_parameters(self.network.state_dict(), root_rank=0)
        hvd.broadcast_optimizer_state(optimizer, root_rank=0)
        self.optimizer = hvd.DistributedOptimizer(
            optimizer, named_parameters=self.network.named_parameters()
        )
        self.step = 0

    def run(self) -> None:
        """Trains all epochs, or until the workload says stop."""
        for epoch in range(self.workload.epochs):
            self.sampler.set_epoch(epoch)
            if not self.train_epoch():
                return
            accuracy = self.validate(epoch + 1)
            if accuracy >= self.workload.stop_at_accuracy:
                return

    def train_epoch(self) -> bool:
        """Trains one epoch. Returns whether to go on."""
        self.network.train()
        for inputs, labels in self.loader:
            self.optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.network(inputs), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.step += 1
            if self.step == 1:
                self.say(step=1)
            if self.step == self.workload.stop_after_step:
                return False
        self.say(step=self.step)
        return True

    def validate(self, epoch: int) -> float:
        """Returns the accuracy over all validation rows, each worker looking at its share."""
        x = self.data.x_validation[hvd.rank() :: hvd.size()]
        y = self.data.y_validation[hvd.rank() :: hvd.size()]
        sums = torch.tensor([*evaluate(self.network, x, y), len(y)])
        loss, hits, rows = hvd.allreduce(sums, name="metrics", op=hvd.Sum).tolist()
        self.say(epoch=epoch, loss=loss / rows, accuracy=hits / rows)
        return float(hits / rows)

    def say(self, **values: float) -> None:
        """Writes to the log, on the first worker."""
        if hvd.rank() == 0:
            self.log.write(**values)


def main() -> None:
    """Trains what the command line names."""
    hvd.init()
    torch.set_num_threads(1)
    workload, log = Workload.read(Path(sys.argv[1])), RunLog(Path(sys.argv[2]))
    Training(workload, log).run()


if __name__ == "__main__":
    main()
