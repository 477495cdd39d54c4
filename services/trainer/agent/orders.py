"""Translates the coordinator's orders into orders for the warm process."""

from collections.abc import Sequence
from pathlib import Path

from aimass.trainer.v1 import agents_pb2
from services.trainer.worker.process import WorkerOrder

_SIZE = "HOROVOD_SIZE"


def world_orders(start: agents_pb2.StartWorld, commit_dir: Path) -> Sequence[WorkerOrder]:
    """Returns what to fork for a world on this host, by local rank."""
    return [
        WorkerOrder(
            world=start.world,
            rank=slot.rank,
            size=int(slot.environment[_SIZE]),
            local_rank=local_rank,
            local_size=len(start.slots),
            environment=dict(slot.environment),
            job_key=start.job_key,
            checkpoint_key=start.checkpoint_key,
            commit_dir=str(commit_dir),
            task="train",
            traceparent=start.traceparent,
        )
        for local_rank, slot in enumerate(start.slots)
    ]


def package_order(build: agents_pb2.BuildPackage, commit_dir: Path) -> WorkerOrder:
    """Returns what to fork to build the model package, or to store the newest commit."""
    return WorkerOrder(
        world=build.world,
        rank=0,
        size=1,
        local_rank=0,
        local_size=1,
        environment=dict(build.environment),
        job_key=build.job_key,
        checkpoint_key=build.checkpoint_key,
        commit_dir=str(commit_dir),
        task="save" if build.only_commit else "package",
        traceparent=build.traceparent,
    )
