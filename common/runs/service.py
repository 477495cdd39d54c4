"""What every service does with its runs: create, get, list, watch, cancel, delete."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Generic, Protocol

from aimass.type.v1 import event_pb2, run_pb2
from common.errors import InvalidFieldError
from common.identity import caller
from common.names import new_id, validate_id
from common.records import Page, RecordStore, RequestId
from common.runs.admission import M_contra
from common.runs.errors import RunNotEndedError
from common.runs.kind import (
    M,
    RunKind,
    check_labels,
    is_terminal,
    labels_of,
    name_of,
    run_prefix,
    set_name,
    status_of,
)
from common.runs.tail import Tails
from common.telemetry import tracecontext


class Executor(Protocol[M_contra]):
    """What starts the processes of runs."""

    def kick(self, run: M_contra | None = None) -> None:
        """Looks for work at once; `run` was just created."""
        ...


class RunService(Generic[M]):
    """The generic half of a servicer. For one event loop.

    Args:
        kind: Kind of the runs.
        records: The suite's resources.
        tails: Follow the runs.
        executor: Starts their processes.
    """

    def __init__(
        self, kind: RunKind[M], records: RecordStore, tails: Tails[M], executor: Executor[M]
    ) -> None:
        self._kind = kind
        self._records = records
        self._tails = tails
        self._executor = executor

    async def create(
        self,
        run: M,
        *,
        run_id: str = "",
        request: RequestId | None = None,
        validate_only: bool = False,
        references: Sequence[str] = (),
    ) -> M:
        """Accepts a run and has it started.

        Args:
            run: The run with its resolved specification and labels; name and status are set here.
            run_id: Id that the client chose; empty to have one made.
            request: Identity of the call; a repeat returns the first result.
            validate_only: Only return what would be created.
            references: Names of resources that the run needs; they cannot be deleted before it.

        Returns:
            The run as stored.

        Raises:
            InvalidFieldError: The id or the labels are no good.
            AlreadyExistsError: The id, or the request id for something else, is taken.
            NotFoundError: A reference does not exist.
        """
        if run_id:
            validate_id(run_id, f"{self._kind.field}_id")
        check_labels(labels_of(run), f"{self._kind.field}.labels")
        created = self._kind.message()
        created.CopyFrom(run)
        _accept(created)
        status_of(created).lineage.inputs[:] = [name for name in references if name]
        if validate_only:
            set_name(created, self._kind.name_of(run_id) if run_id else "")
            return created
        set_name(created, self._kind.name_of(run_id or new_id(self._kind.prefix)))
        record = await asyncio.to_thread(
            self._records.create,
            created,
            request=request,
            references=references,
            is_new=not run_id,
        )
        self._executor.kick(record.resource)
        return record.resource

    async def get(self, name: str) -> M:
        """Returns a run. Raises `NotFoundError`."""
        self._kind.check_name(name)
        record = await asyncio.to_thread(self._records.get, name, self._kind.message)
        return record.resource

    async def list(
        self,
        *,
        filter: str = "",
        order_by: str = "",
        page_size: int = 0,
        page_token: str = "",
        max_age: float = 0.0,
    ) -> Page[M]:
        """Returns a page of runs, newest first; see `RecordStore.list`.

        Raises:
            InvalidFieldError: Names what is wrong with filter, order or page.
        """
        return await asyncio.to_thread(
            self._records.list,
            self._kind.collection,
            self._kind.message,
            filter=filter,
            order_by=order_by,
            page_size=page_size,
            page_token=page_token,
            max_age=max_age,
        )

    async def watch(
        self, name: str, after_sequence: int = 0
    ) -> AsyncGenerator[event_pb2.Event, None]:
        """Yields a run's events after a sequence number; see `Tails.watch`."""
        self._kind.check_name(name)
        if after_sequence < 0:
            raise InvalidFieldError("after_sequence", f"must be at least 0, not {after_sequence}")
        async for event in self._tails.watch(name, after_sequence):
            yield event

    async def cancel(self, name: str) -> M:
        """Asks a run to stop; one that has ended stays as it is.

        Returns:
            The run: CANCELLED if it had not begun, else CANCELLING, or as it ended.

        Raises:
            NotFoundError: There is no such run.
        """
        self._kind.check_name(name)

        def update() -> M:
            return self._records.update(name, self._kind.message, _cancelled).resource

        run = await asyncio.to_thread(update)
        self._executor.kick()
        self._tails.poke(name)
        return run

    async def delete(self, name: str) -> None:
        """Deletes a run that has ended, with its events and what its attempts left.

        Raises:
            NotFoundError: There is no such run.
            FailedPreconditionError: It has not ended, or something refers to it.
        """
        self._kind.check_name(name)
        await asyncio.to_thread(
            self._records.delete,
            name,
            self._kind.message,
            check=_require_ended,
            purge=[run_prefix(name)],
        )


def _accept(run: M) -> None:
    status = status_of(run)
    status.Clear()
    status.state = run_pb2.RUN_STATE_PENDING
    status.create_time.GetCurrentTime()
    status.update_time.CopyFrom(status.create_time)
    status.creator = caller().subject
    status.traceparent = tracecontext.current_traceparent()


def _cancelled(run: M) -> M | None:
    status = status_of(run)
    if is_terminal(run) or status.state == run_pb2.RUN_STATE_CANCELLING:
        return None
    status.update_time.GetCurrentTime()
    if status.attempt == 0:
        # Nobody has begun it, and who comes later finds that it has ended.
        status.state = run_pb2.RUN_STATE_CANCELLED
        status.end_time.CopyFrom(status.update_time)
        status.last_sequence = 1
    else:
        status.state = run_pb2.RUN_STATE_CANCELLING
    return run


def _require_ended(run: M) -> None:
    if not is_terminal(run):
        name = name_of(run)
        raise RunNotEndedError(
            f"{name} has not ended; cancel it first.", help_command=f"aimass runs cancel {name}"
        )
