"""A worker that trains a small network on numbers it makes up: what the machinery is tried with.

Its job key is its job: JSON of a `ToyJob`.
"""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import horovod.torch as hvd
import safetensors.torch
import torch
from horovod.common.exceptions import HorovodInternalError

from aimass.trainer.v1 import agents_pb2
from aimass.type.v1.event_pb2 import LogLine
from services.trainer.worker.commits import FILE_NAME, read_commit
from services.trainer.worker.process import (
    EXIT_FINISHED,
    EXIT_PEER_LOST,
    EXIT_TRAINING_FAILED,
    WorkerPlace,
)

_FEATURES = 64
_ROWS = 32


@dataclass(frozen=True)
class ToyJob:
    """What a toy run does.

    Attributes:
        steps: Steps of the run.
        pause: Seconds that each step takes at least.
        commit_steps: Steps between two commits.
        crash_rank: Rank that crashes; -1 for none.
        crash_after: Steps that it does in each world before.
        fail_step: Step at which training says that it cannot go on; 0 for none.
        pause_before: Seconds, with signs of life, before the first step.
        tells_keys: Whether workers say which keys to the store they have.
    """

    steps: int = 1_000_000
    pause: float = 0.005
    commit_steps: int = 10
    crash_rank: int = -1
    crash_after: int = 0
    fail_step: int = 0
    pause_before: float = 0.0
    tells_keys: bool = False

    @property
    def key(self) -> str:
        """The job as a job key."""
        return json.dumps(asdict(self))


def warm_up() -> None:
    """Does what the first step of a process would otherwise pay for."""
    _step(_Training(), 0)


def main(context: WorkerPlace) -> int:
    """Runs a worker."""
    job = ToyJob(**json.loads(context.job_key))
    if context.task == "save":
        return _save(context)
    if context.task == "package":
        package = agents_pb2.PackagePublished(model_version=b"{}")
        context.report(agents_pb2.WorkerReport(package=package))
        return EXIT_FINISHED
    if job.crash_after == 0:
        _crash(context, job)
    try:
        return _train(context, job)
    except HorovodInternalError:
        return EXIT_PEER_LOST


def _save(context: WorkerPlace) -> int:
    """Copies the commit to where it outlives the run's stay on this host."""
    commit = read_commit(context.commit_dir)
    assert commit is not None
    saved = context.commit_dir.with_suffix(f".{commit.step}")
    saved.write_bytes((context.commit_dir / FILE_NAME).read_bytes())
    checkpoint = agents_pb2.CheckpointPublished(commit=commit, key=str(saved))
    context.report(agents_pb2.WorkerReport(checkpoint=checkpoint))
    context.report(agents_pb2.WorkerReport(finished=agents_pb2.TrainingFinished()))
    return EXIT_FINISHED


class _Training:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Linear(_FEATURES, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)

    def load(self, path: Path) -> int:
        """Restores a commit; returns its step, 0 where there is none."""
        if not path.exists():
            return 0
        with safetensors.safe_open(path, "pt") as file:
            step = int(file.metadata()["step"])
            self.model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        return step

    def save(self, path: Path, step: int) -> None:
        """Writes a commit."""
        new = path.with_suffix(".new")
        metadata = {"step": str(step), "epoch": "1"}
        safetensors.torch.save_file(self.model.state_dict(), new, metadata)
        new.replace(path)


def _train(context: WorkerPlace, job: ToyJob) -> int:
    hvd.init()
    context.progress.beat()
    if job.tells_keys:
        said = LogLine(text=f"keys {os.environ['AIMASS_S3_ACCESS_KEY']}")
        context.report(agents_pb2.WorkerReport(log_line=said))
    training = _Training()
    path = context.commit_dir / FILE_NAME
    begin = training.load(Path(context.checkpoint_key or path)) if context.rank == 0 else 0
    begin = int(hvd.broadcast(torch.tensor([begin]), 0)[0])
    hvd.broadcast_parameters(training.model.state_dict(), 0)
    _pause_before(context, job.pause_before)
    for step in range(begin + 1, job.steps + 1):
        _step(training, step)
        time.sleep(job.pause)
        if step == job.fail_step:
            failed = agents_pb2.TrainingFailed(reason="DIVERGED", message=f"NaN at step {step}")
            context.report(agents_pb2.WorkerReport(failed=failed))
            return EXIT_TRAINING_FAILED
        context.progress.finish_step(step)
        if step % job.commit_steps == 0 or context.progress.commit_requested() or step == job.steps:
            _commit(context, training, step)
        if step - begin == job.crash_after:
            _crash(context, job)
    finished = agents_pb2.TrainingFinished(step=job.steps, epochs=1, best_epoch=1)
    context.report(agents_pb2.WorkerReport(finished=finished))
    return EXIT_FINISHED


def _crash(context: WorkerPlace, job: ToyJob) -> None:
    if context.rank == job.crash_rank:
        print(f"rank {context.rank} gives up", flush=True)
        os._exit(9)


def _pause_before(context: WorkerPlace, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        context.progress.beat()


def _step(training: _Training, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    rows = torch.randn(_ROWS, _FEATURES, generator=generator)
    loss = (training.model(rows) - rows.sum(1, keepdim=True)).square().mean()
    training.optimizer.zero_grad()
    loss.backward()
    if step > 0:
        gradients = [p.grad for p in training.model.parameters() if p.grad is not None]
        for gradient, mean in zip(gradients, hvd.grouped_allreduce(gradients), strict=True):
            gradient.copy_(mean)
    training.optimizer.step()


def _commit(context: WorkerPlace, training: _Training, step: int) -> None:
    if context.local_rank == 0:
        training.save(context.commit_dir / FILE_NAME, step)
        context.progress.committed(step, 1)
