"""A training of a user's own, made distributed by a few lines."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from common.artifacts.opening import open_store
from common.artifacts.settings import StoreSettings
from common.errors import AimassError
from services.trainer.worker.own_code.context import WorkerContext


def train(context: WorkerContext) -> None:
    """Trains a classifier with plain SGD."""
    torch.manual_seed(context.seed)
    model = nn.Sequential(
        nn.Linear(context.inputs.numeric_columns, 64), nn.ReLU(), nn.Linear(64, context.outputs)
    )
    sgd = torch.optim.SGD(model.parameters(), lr=float(context.arguments["rate"]), momentum=0.9)
    optimizer = context.distributed(sgd, model)
    context.restore(model, sgd)
    for step in context.steps():
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(*step.inputs), step.target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        context.commit()
        if step.ends_epoch:
            context.report(loss=loss.item(), accuracy=accuracy(model, context))
    context.save_model(model)


@torch.no_grad()
def accuracy(model: nn.Module, context: WorkerContext) -> float:
    """Returns the share of this worker's validation rows that the model gets right."""
    right = rows = 0
    for batch in context.validation():
        right += int((model(*batch.inputs).argmax(1) == batch.target).sum())
        rows += len(batch.target)
    return right / max(rows, 1)


def fail(context: WorkerContext) -> None:
    """Fails as code does."""
    raise KeyError(f"worker {context.rank} has no such thing")


def forget(context: WorkerContext) -> None:
    """Hands over no model."""
    print(f"worker {context.rank} was here")


def steal(context: WorkerContext) -> None:
    """Reads and writes what is not the run's own, by the keys that it finds."""
    store = open_store(StoreSettings())
    for key in context.arguments["keys"].split(","):
        print(outcome(key, partial(store.read, key)))
        print(outcome(key, partial(store.write, key, b"stolen")))
    environment = Path(f"/proc/{os.getppid()}/environ").read_bytes()
    print(f"parent has keys: {b'S3_SECRET' in environment}")


def outcome(key: str, act: Callable[[], object]) -> str:
    """Says what became of an attempt."""
    try:
        act()
    except AimassError as error:
        return f"refused: {type(error).__name__}"
    return f"stolen: {key}"
