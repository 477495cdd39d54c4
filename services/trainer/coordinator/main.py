"""What a training run's process does: prepare, train, package, register, publish."""

import asyncio
import time
from collections.abc import Sequence

from google.protobuf import json_format

from aimass.catalog.v1 import model_pb2
from aimass.trainer.v1 import agents_pb2, trainer_pb2
from aimass.type.v1 import event_pb2, run_pb2
from common.artifacts.settings import StoreSettings
from common.calls.catalog import Catalog, open_catalog
from common.errors import AimassError
from common.protobuf import to_plain
from common.runs.owner import RunOwner
from common.runs.segments import read_events
from services.trainer.coordinator.checkpoints import Checkpoints
from services.trainer.coordinator.conductor import Conductor
from services.trainer.coordinator.crew import CrewSize
from services.trainer.coordinator.journal import Journal
from services.trainer.coordinator.keys import WorkerKeys
from services.trainer.coordinator.performance import performance_report
from services.trainer.coordinator.recovery import Change
from services.trainer.coordinator.rendezvous import Rendezvous
from services.trainer.coordinator.session import conduct
from services.trainer.coordinator.settings import CoordinatorSettings
from services.trainer.domain.communication import Communication
from services.trainer.domain.job import Job
from services.trainer.domain.preparation import prepare

_CANCEL_SECONDS = 0.05
_PACKAGE_FRACTION = 0.97
_TOLD_WAIT_NS = 1_000_000_000
Owner = RunOwner[trainer_pb2.TrainingRun]


def coordinate(owner: Owner, rendezvous: Rendezvous) -> None:
    """Does the work of a training run, from its specification to its model.

    Args:
        owner: The run's owner; it is ended by `succeed` here, or by what is raised.
        rendezvous: The rendezvous process, started beforehand.
    """
    asyncio.run(Coordinator(owner, rendezvous).run())


class Coordinator:
    """One attempt at a training run."""

    def __init__(self, owner: Owner, rendezvous: Rendezvous) -> None:
        """Prepares; `run` does the work.

        Args:
            owner: The run's owner.
            rendezvous: The rendezvous process.
        """
        self._began = time.monotonic()
        self._owner = owner
        self._run = owner.run
        self._stored_recoveries = 0
        self._settings = CoordinatorSettings()
        estimate, bound = owner.run.estimate, owner.run.spec.max_duration
        seconds = bound.ToNanoseconds() / 1e9 or None
        self._journal = Journal(owner, estimate.steps, estimate.proof_steps, seconds)
        self._checkpoints = Checkpoints(owner.store)
        self._conductor = Conductor(rendezvous, self._journal, self._checkpoints)

    async def run(self) -> None:
        """Works until the run has succeeded.

        Raises:
            AimassError: The run fails, with this as its error.
            RunCancelledError: The run was cancelled; its workers are gone.
        """
        try:
            finished, version = await self._make_model()
        except AimassError:
            # What the run went through stands beside the error that ends it.
            await self._store_recoveries()
            raise
        await asyncio.to_thread(self._publish, finished, version)

    async def _make_model(self) -> tuple[agents_pb2.TrainingFinished, model_pb2.ModelVersion]:
        settings = self._settings
        async with open_catalog(settings) as catalog:
            finished, package = await conduct(
                self._run,
                self._owner.attempt,
                settings,
                self._conductor,
                lambda: self._train(catalog),
                self._watch,
            )
            made = json_format.Parse(package.model_version, model_pb2.ModelVersion())
            return finished, await catalog.register(self._owner, self._run.spec.model, made)

    def _remember(self) -> Change:
        """Takes note of earlier attempts, and returns what became of the last one."""
        attempt = self._owner.attempt
        events = read_events(self._owner.store, self._run.name)
        earlier = [event for event in events if event.attempt < attempt]
        self._journal.remember(earlier)
        worlds = [event for event in earlier if event.membership_change.workers]
        return Change(
            f"the run's process ended; attempt {attempt} takes the run over",
            event_pb2.CHANGE_CAUSE_COORDINATOR_LOST,
            self._began,
            self._journal.newest_step,
            self._last_sign(earlier) if worlds else None,
            faults=attempt - (worlds[-1].attempt if worlds else 1),
        )

    def _last_sign(self, events: Sequence[event_pb2.Event]) -> float:
        """Returns when workers were last heard of; agents that live on may know better."""
        signs = [each for each in events if each.metrics.step or each.membership_change.workers]
        age = time.time() - signs[-1].time.ToNanoseconds() / 1e9
        return min(time.monotonic() - age, self._began)

    async def _train(
        self, catalog: Catalog
    ) -> tuple[agents_pb2.TrainingFinished, agents_pb2.PackagePublished]:
        self._tell_wait()
        job = await self._prepare(catalog)
        lifetime = self._settings.worker_keys_seconds
        keys = await asyncio.to_thread(WorkerKeys.of_job, StoreSettings(), job, lifetime)
        is_first = self._owner.attempt == 1
        lost = None if is_first else await asyncio.to_thread(self._remember)
        communication = Communication.model_validate(to_plain(self._run.spec.communication))
        self._conductor.begin(job.key, lost, keys, communication.environment)
        while True:
            finished = await self._conductor.train(CrewSize.of(self._run.spec.workers))
            self._journal.stage(_PACKAGE_FRACTION, "packaging", "the model is built and checked")
            package = await self._conductor.build_package(finished.step)
            if package is not None:
                return finished, package
            self._journal.say("The trained state is lost with its hosts; training goes on.")

    def _tell_wait(self) -> None:
        """Says how long the run was in the queue before it had a process, if it was."""
        status = self._run.status
        waited = status.start_time.ToNanoseconds() - status.create_time.ToNanoseconds()
        if self._owner.attempt == 1 and waited >= _TOLD_WAIT_NS:
            self._journal.say(f"The run waited {waited / 1e9:.0f} s in the queue.")

    async def _prepare(self, catalog: Catalog) -> Job:
        """Stores the job file, while agents attach."""
        spec = self._run.spec
        self._journal.stage(0.0, "preparing", "the preprocessing is fitted")
        data = await catalog.dataset_version(spec.dataset_version)
        parent = await _model_version(catalog, spec.parent_model_version)
        teacher = await _model_version(catalog, spec.distillation.teacher_model_version)
        owner = self._owner
        if owner.attempt > 1:
            await asyncio.to_thread(self._checkpoints.find, owner.name)
        return await asyncio.to_thread(
            prepare, spec, data, owner.store, owner.attempt_prefix, parent, teacher
        )

    async def _watch(self) -> None:
        """Looks for a cancel request, and keeps the record's account of faults, for ever."""
        while True:
            self._owner.check_cancelled()
            await self._store_recoveries()
            await asyncio.sleep(_CANCEL_SECONDS)

    async def _store_recoveries(self) -> None:
        count = self._journal.recoveries.count
        if count != self._stored_recoveries:
            await asyncio.to_thread(self._owner.update, self._set_recoveries)
            self._stored_recoveries = count

    def _set_recoveries(self, run: trainer_pb2.TrainingRun) -> None:
        run.recoveries.CopyFrom(self._journal.recoveries.report())

    def _publish(
        self, finished: agents_pb2.TrainingFinished, version: model_pb2.ModelVersion
    ) -> None:
        def change(run: trainer_pb2.TrainingRun) -> None:
            run.model_version = version.name
            run.best_epoch = finished.best_epoch
            run.metrics.clear()
            run.metrics.update(finished.metrics)
            if finished.HasField("outlier_comparison"):
                run.outlier_comparison.CopyFrom(finished.outlier_comparison)
            self._set_recoveries(run)
            performance = performance_report(self._conductor.performances, run, finished.step)
            if performance is not None:
                run.performance.CopyFrom(performance)
            inputs = [name for name in version.lineage.inputs if name != run.name]
            run.status.lineage.CopyFrom(run_pb2.Lineage(inputs=inputs, outputs=[version.name]))

        self._owner.succeed(change)


async def _model_version(catalog: Catalog, name: str) -> model_pb2.ModelVersion | None:
    return await catalog.model_version(name) if name else None
