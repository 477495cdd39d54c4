"""An ordinary Horovod script: it knows nothing of the suite but two folders."""

import argparse
import os
from pathlib import Path

import horovod.torch as hvd
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def rows(part: str, target: str) -> TensorDataset:
    """Reads the rows of a part of the data set."""
    table = pq.read_table(Path(os.environ["AIMASS_DATASET_DIR"]) / f"{part}.parquet")
    labels = table.column(target).to_pylist()
    names = sorted(set(labels))
    codes = torch.tensor([names.index(label) for label in labels])
    values = [table.column(name).to_numpy() for name in table.column_names if name != target]
    features = torch.stack([torch.as_tensor(each, dtype=torch.float32) for each in values], 1)
    return TensorDataset(features, codes)


def averaged(value: float, name: str) -> float:
    """Returns the mean of a value over the workers."""
    found: Tensor = hvd.allreduce(torch.tensor(value), name=name)
    return found.item()


def main() -> None:
    """Trains, says how good it is, and writes the model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--target", required=True)
    arguments = parser.parse_args()
    hvd.init()
    torch.manual_seed(1)
    train, held_out = rows("train", arguments.target), rows("validation", arguments.target)
    sampler: DistributedSampler[object] = DistributedSampler(
        train, num_replicas=hvd.size(), rank=hvd.rank()
    )
    loader = DataLoader(train, batch_size=64, sampler=sampler)
    width = train.tensors[0].shape[1]
    model = nn.Sequential(nn.BatchNorm1d(width), nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 10))
    sgd = torch.optim.SGD(model.parameters(), lr=0.05 * hvd.size(), momentum=0.9)
    hvd.broadcast_parameters(model.state_dict(), root_rank=0)
    hvd.broadcast_optimizer_state(sgd, root_rank=0)
    optimizer = hvd.DistributedOptimizer(sgd, named_parameters=model.named_parameters())
    for epoch in range(arguments.epochs):
        model.train()
        sampler.set_epoch(epoch)
        for features, codes in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(features), codes)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        model.eval()
        right = (model(held_out.tensors[0]).argmax(1) == held_out.tensors[1]).float().mean()
        print(f"epoch {epoch} of worker {hvd.rank()}: {averaged(right.item(), 'accuracy'):.3f}")
    if hvd.rank() == 0:
        path = Path(os.environ["AIMASS_OUTPUT_DIR"]) / "model.onnx"
        dynamic = ({0: torch.export.Dim("rows")},)
        program = torch.onnx.export(
            model, (held_out.tensors[0][:2],), dynamic_shapes=dynamic, dynamo=True, verbose=False
        )
        assert program is not None
        program.save(path)


if __name__ == "__main__":
    main()
