"""What a training of a user's own is given."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import horovod.torch as hvd
import numpy as np
import torch
from torch import Tensor, nn

from aimass.trainer.v1 import agents_pb2
from aimass.type.v1 import event_pb2
from common.artifacts.protocol import ObjectStore
from common.networks.specification import NetworkInput
from services.trainer.domain.forecasts.objective import WANTED
from services.trainer.domain.job import Job
from services.trainer.domain.sampling import global_batch, rank_slice
from services.trainer.worker.committing import Committer
from services.trainer.worker.data import Batch, Examples
from services.trainer.worker.own_code.models import Models, with_version
from services.trainer.worker.process import WorkerPlace
from services.trainer.worker.reduction.reducer import Reducer
from services.trainer.worker.resume import begin
from services.trainer.worker.state import Snapshot

_STATE = "own.state"


@dataclass(frozen=True)
class Step:
    """The rows of one step that a worker trains on.

    Attributes:
        number: Steps done before it.
        epoch: Epoch that it lies in, from 1.
        ends_epoch: Whether it is the last of its epoch.
        inputs: Tensors in the order of `WorkerContext.inputs.names`, standardised.
        target: int64 class codes, or float32 standardised values, shape (rows,); of labels float32
            0 or 1, shape (rows, labels); of forecasts how far each step is off the seasonal naive
            forecast, in deviations of the window, shape (rows, horizon).
        weight: float32 weight of each row, shape (rows,).
    """

    number: int
    epoch: int
    ends_epoch: bool
    inputs: tuple[Tensor, ...]
    target: Tensor
    weight: Tensor


class WorkerContext:
    """A worker's place in a training of a user's own: its rows, its commits, its reports.

    The code is called anew in each world. `restore` brings its objects to where the newest commit
    stands, and `steps` goes on from there.

    Attributes:
        rank: Number of the worker, from 0.
        size: Number of workers.
        seed: The run's seed.
        inputs: What a network takes in.
        outputs: Number of its outputs: classes, labels, steps to forecast, or 1 for a value.
        arguments: Of the code, by name.
    """

    def __init__(
        self,
        worker: WorkerPlace,
        job: Job,
        rows: Examples,
        store: ObjectStore,
        reducer: Reducer,
    ) -> None:
        """Puts together what the trainer knows; code of users does not call it."""
        specification = job.specification
        assert specification.network is not None and specification.code is not None
        self.rank, self.size = worker.rank, worker.size
        self.seed = specification.seed
        self.inputs: NetworkInput = specification.network.input
        self.outputs = specification.network.outputs
        self.arguments: Mapping[str, str] = dict(specification.code.arguments)
        self._worker = worker
        self._specification = specification
        self._rows = rows
        self._store = store
        self._reducer = reducer
        self._committer: Committer | None = None
        if worker.local_rank == 0:
            self._committer = Committer(
                worker.commit_dir, specification.commit_steps, worker.progress.committed
            )
        self._objects: tuple[Any, ...] = ()
        self._models = Models(job, rows, store, worker.rank == 0)
        self._metrics: dict[str, float] = {}
        self._step = 0
        self._is_open = False

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch: `spec.batch_size` rows over all workers; the last has what is left."""
        return max(-(-len(self._rows.training) // self._specification.batch_size), 1)

    @property
    def step(self) -> int:
        """Steps done since the beginning of the run."""
        return self._step

    @property
    def epoch(self) -> int:
        """Epoch of the last step, from 1."""
        return max(-(-self._step // self.steps_per_epoch), 1)

    def distributed(self, optimizer: torch.optim.Optimizer, model: nn.Module) -> Any:
        """Returns an optimizer that averages gradients over the workers; see Horovod's."""
        if self.size == 1:
            return optimizer
        return hvd.DistributedOptimizer(optimizer, named_parameters=model.named_parameters())

    def restore(self, *objects: Any) -> None:
        """Brings objects to where the newest commit stands, the same on all workers.

        Call it once, before `steps`, with the model, the optimizer, and all else that is to last.

        Args:
            objects: Each has `state_dict()` and `load_state_dict()`, with tensors, numbers and
                texts in it, as those of torch have.
        """
        self._objects = objects
        snapshot = begin(self._snapshot, self._worker, self._store, self._reducer)
        self._step = snapshot.step
        self._metrics = json.loads(snapshot.metadata["metrics"])
        content = snapshot.tensors[_STATE].numpy().tobytes()
        states = torch.load(io.BytesIO(content), weights_only=True)
        for one, state in zip(objects, states, strict=True):
            one.load_state_dict(state)

    def steps(self) -> Iterator[Step]:
        """Yields the steps that are left, with the rows of this worker.

        Which rows a step has depends on seed and step alone. Torch's random state is set before
        each, so that a training that goes on is the one that was never interrupted.
        """
        last = self._specification.epochs * self.steps_per_epoch
        while self._step < last:
            number = self._step
            torch.manual_seed((self.seed * 1_000_003 + number * 8_191 + self.rank) % 2**63)
            epoch, within = divmod(number, self.steps_per_epoch)
            batch = self._batch(epoch, within)
            ends = within == self.steps_per_epoch - 1
            self._is_open = True
            yield Step(number, epoch + 1, ends, batch.inputs, batch.target, batch.weight)
            self._finish_step()

    def validation(self) -> Iterator[Batch]:
        """Yields the validation rows of this worker, `spec.batch_size` at most at a time."""
        share = rank_slice(len(self._rows.validation), self.rank, self.size)
        rows, at_once = self._rows.validation[share], self._specification.batch_size
        for start in range(0, len(rows), at_once):
            self._worker.progress.beat()
            yield _plain(self._rows.batch(rows[start : start + at_once]))

    def commit(self) -> None:
        """Says that the step is done, and keeps the state of the objects where a commit is due.

        Call it at the end of each step, on all workers: what comes after the last commit is done
        again when a worker is lost.
        """
        self._finish_step()
        committer = self._committer
        if committer is not None and (
            committer.is_due(self._step) or self._worker.progress.commit_requested()
        ):
            committer.commit(self._snapshot())

    def report(self, **metrics: float) -> None:
        """Reports measured values: their means over the workers. Call it on all of them."""
        names = sorted(metrics)
        values = torch.tensor([float(metrics[name]) for name in names], dtype=torch.float64)
        self._reducer.start(values)
        self._reducer.wait()
        self._metrics |= dict(zip(names, (values / self.size).tolist(), strict=True))
        if self.rank == 0:
            found = {name: self._metrics[name] for name in names}
            message = event_pb2.Metrics(epoch=self.epoch, step=self._step, values=found)
            self._worker.report(agents_pb2.WorkerReport(metrics=message))

    def save_model(self, model: nn.Module) -> None:
        """Makes a network the run's model. Call it on all workers; the weights of rank 0 count.

        Args:
            model: Takes the tensors of a step, returns (rows, outputs): logits, or standardised
                values. What becomes the model takes raw values and returns probabilities, or values
                in their own units.
        """
        self._models.add_network(model, self._worker.progress.beat)

    def save_onnx(self, content: bytes) -> None:
        """Makes an ONNX model the run's model. Call it on all workers; that of rank 0 counts."""
        self._models.add_onnx(content)

    def finish(self) -> dict[str, float]:
        """Keeps the last state, with the model; the trainer calls it. Returns the last metrics.

        Raises:
            OwnCodeError: There is no model.
        """
        version = self._reducer.broadcast(self._models.version(self._metrics).encode())
        if self._committer is not None:
            self._committer.commit(with_version(self._snapshot(), version.decode()))
        return self._metrics

    def _finish_step(self) -> None:
        """Counts the step under way, once."""
        if not self._is_open:
            return
        self._is_open = False
        self._step += 1
        self._worker.progress.finish_step(self._step)

    def _batch(self, epoch: int, step: int) -> Batch:
        training = self._rows.training
        chosen = global_batch(len(training), self._specification.batch_size, self.seed, epoch, step)
        share = chosen[rank_slice(len(chosen), self.rank, self.size)]
        if len(share) == 0:  # fewer rows than workers: an optimizer needs one of each
            share = chosen[:1]
        return _plain(self._rows.batch(np.asarray(training[share])))

    def _snapshot(self) -> Snapshot:
        content = io.BytesIO()
        torch.save([one.state_dict() for one in self._objects], content)
        state = torch.frombuffer(bytearray(content.getvalue()), dtype=torch.uint8)
        metadata = {"step": str(self._step), "epoch": str(self.epoch)}
        return Snapshot({_STATE: state}, {**metadata, "metrics": json.dumps(self._metrics)})


def _plain(batch: Batch) -> Batch:
    """Returns rows whose target is what outputs should be, without what else metrics take."""
    if batch.target.dim() < 3:
        return batch
    return replace(batch, target=batch.target[:, WANTED])
