"""The training in plain PyTorch, one process, with as many threads as asked for.

python -m tests.benchmarks.baselines.torch_threads WORKLOAD LOG THREADS
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.benchmarks.baselines.workload import RunLog, Workload, evaluate, load_tensors


def train(workload: Workload, log: RunLog) -> None:
    """Trains all epochs, or until the workload says stop."""
    data = load_tensors(workload)
    network = workload.build()
    loader = DataLoader(
        TensorDataset(data.x_train, data.y_train), batch_size=workload.batch_size, shuffle=True
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=workload.learning_rate)
    step = 0
    for epoch in range(1, workload.epochs + 1):
        network.train()
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(inputs), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            if step == 1:
                log.write(step=1)
        _, hits = evaluate(network, data.x_validation, data.y_validation)
        accuracy = hits / len(data.y_validation)
        log.write(epoch=epoch, accuracy=accuracy)
        if accuracy >= workload.stop_at_accuracy:
            return


def main() -> None:
    """Trains what the command line names."""
    torch.set_num_threads(int(sys.argv[3]))
    train(Workload.read(Path(sys.argv[1])), RunLog(Path(sys.argv[2])))


if __name__ == "__main__":
    main()
