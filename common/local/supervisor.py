"""The process that keeps a suite alive."""

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from common.local import logs, processes
from common.local.child import Child, ChildFailedError, Program, RestartPolicy
from common.local.home import Phase, SuiteHome, SuiteState
from common.local.plan import SuiteOptions, SuitePlan, inherited_environment, make_plan
from common.local.ports import PortReservations
from common.local.store import StoreMissingError, choose_store
from common.tls import TlsFiles

_JOB_GRACE_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Supervisor:
    """Starts the programs of a plan in order, restarts what dies, stops them in reverse.

    Args:
        home: State folder; its lock must be held.
        plan: What to run.
        policy: When a process that died is started again.
    """

    def __init__(
        self, home: SuiteHome, plan: SuitePlan, policy: RestartPolicy | None = None
    ) -> None:
        self._home = home
        self._plan = plan
        self._stop_asked = asyncio.Event()
        child = self._child_factory(policy)
        store = plan.store.program
        self._store = [child(store)] if store else []
        self._services = [child(program) for program in plan.services]
        self._agents = [child(program) for program in plan.agents]
        self._state = SuiteState(
            suite=plan.suite,
            phase=Phase.STARTING,
            supervisor_pid=os.getpid(),
            store=plan.store.kind,
            store_endpoint=plan.store.endpoint,
            addresses=plan.addresses,
        )

    def _child_factory(self, policy: RestartPolicy | None) -> Callable[[Program], Child]:
        def make(program: Program) -> Child:
            return Child(program, self._home.log_file(program.name), self._write, policy)

        return make

    def ask_to_stop(self) -> None:
        """Makes `run` stop everything and return. Safe to call more than once."""
        self._stop_asked.set()

    async def run(self) -> Phase:
        """Runs the suite until it is asked to stop.

        Returns:
            STOPPED, or FAILED where the suite could not be started.
        """
        rotation = asyncio.create_task(logs.tidy_forever(self._home.log_folder))
        try:
            message = await self._start()
            if not message:
                await self._stop_asked.wait()
            await self._stop(message)
        finally:
            rotation.cancel()
        return self._state.phase

    async def _start(self) -> str:
        """Starts everything in order. Returns why that failed; empty where it did not."""
        self._set_phase(Phase.STARTING)
        try:
            for stage in (self._store, self._services, self._agents):
                await self._start_stage(stage)
        except ChildFailedError as error:
            _log.error("the suite cannot start: %s", error)
            return str(error)
        if not self._stop_asked.is_set():
            self._set_phase(Phase.RUNNING)
        return ""

    async def _start_stage(self, stage: Sequence[Child]) -> None:
        if self._stop_asked.is_set():
            return
        started = asyncio.create_task(_start_all(stage))
        stop = asyncio.create_task(self._stop_asked.wait())
        await asyncio.wait([started, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if started.done():
            started.result()
            return
        started.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await started

    async def _stop(self, message: str) -> None:
        self._set_phase(Phase.STOPPING, message)
        await asyncio.gather(*(child.stop() for child in (*self._agents, *self._services)))
        # The store goes last: what the jobs still write must arrive.
        store_pids = {child.state.pid for child in self._store}
        await asyncio.to_thread(_end_jobs, self._plan.suite, store_pids)
        await asyncio.gather(*(child.stop() for child in self._store))
        await asyncio.to_thread(processes.end_suite_processes, self._plan.suite, 0.0)
        remove_commits(self._plan.suite)
        self._set_phase(Phase.FAILED if message else Phase.STOPPED, message)

    def _set_phase(self, phase: Phase, message: str = "") -> None:
        self._state = replace(self._state, phase=phase, message=message)
        self._write()

    def _write(self) -> None:
        children = (*self._store, *self._services, *self._agents)
        self._state = replace(self._state, processes=tuple(child.state for child in children))
        try:
            self._home.write_state(self._state)
        except OSError:
            # A full disk must not end the processes that are being looked after.
            _log.exception("cannot write the state")


async def _start_all(children: Sequence[Child]) -> None:
    await asyncio.gather(*(child.start() for child in children))


def _end_jobs(suite: str, spared: set[int]) -> None:
    jobs = [each for each in processes.suite_processes(suite) if each.pid not in spared]
    processes.end_processes(jobs, _JOB_GRACE_SECONDS)


def remove_commits(suite: str, shared_memory: Path = Path("/dev/shm")) -> None:
    """Removes what the suite's workers keep in shared memory: nobody resumes from it any more."""
    shutil.rmtree(shared_memory / f"aimass-{suite}", ignore_errors=True)


def suite_id(home: SuiteHome) -> str:
    """Returns the id of a folder's suite, a new one at the first start."""
    state = home.read_state()
    return state.suite if state else secrets.token_hex(5)


async def supervise(home: SuiteHome, options: SuiteOptions) -> Phase:
    """Runs a suite in this process until SIGTERM or SIGINT.

    Args:
        home: State folder.
        options: What to run.

    Returns:
        STOPPED, or FAILED where the suite could not be started; `suite.json` says why.

    Raises:
        HomeLockedError: The folder has a supervisor.
    """
    with home.lock(), contextlib.closing(PortReservations()) as ports:
        suite = suite_id(home)
        state = SuiteState(suite, Phase.STARTING, os.getpid())
        home.write_state(state)
        # Those of a supervisor that was killed; runs go on from their last checkpoint.
        processes.end_suite_processes(suite, _JOB_GRACE_SECONDS)
        try:
            TlsFiles.from_environment().check_server()
            store = choose_store(inherited_environment(suite, home), home, ports)
            plan = make_plan(suite, home, options, store, ports)
        except (StoreMissingError, OSError, ValueError) as error:
            home.write_state(replace(state, phase=Phase.FAILED, message=str(error)))
            return Phase.FAILED
        supervisor = Supervisor(home, plan)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.ask_to_stop)
        return await supervisor.run()
