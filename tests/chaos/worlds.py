"""Kills and freezes workers at random, has agents join and leave, and says how it went.

`python -m tests.chaos.worlds [faults] [seed]` prints a table and ends with 0 when nothing hung.
"""

import asyncio
import logging
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import psutil

from tests.chaos.rig import AgentProcess, Record, Rig, running_rig, worker_range
from tests.chaos.toy import ToyJob

_HANG_SECONDS = 20.0
_SIGNALS = (signal.SIGKILL, signal.SIGSTOP)


@dataclass(frozen=True)
class Fault:
    """A fault and how long it took until the next step.

    Attributes:
        kind: Name of the signal.
        seconds: From the signal to the first finished step of the next world.
        reason: What the run said.
        steps_lost: Steps that had to be done again.
    """

    kind: str
    seconds: float
    reason: str
    steps_lost: int


async def inject(rig: Rig, record: Record, number: signal.Signals) -> Fault:
    """Sends a signal to a random worker and waits for the first step after it.

    Raises:
        TimeoutError: The run hangs.
    """
    await asyncio.sleep(random.uniform(0.05, 0.4))
    worker = random.choice([worker for agent in rig.agents for worker in agent.workers()])
    before = len(record.memberships)
    sent_at = time.monotonic()
    worker.send_signal(number)
    await record.until(lambda: len(record.memberships) > before, _HANG_SECONDS)
    change = record.memberships[before]
    at = next(at for at, kind in record.events if kind is change)
    return Fault(number.name, at - sent_at, change.reason, change.steps_lost)


async def join(rig: Rig, record: Record) -> tuple[AgentProcess, float]:
    """Starts a third agent and waits until the run uses it."""
    agent = rig.start_agent("agent-3")
    await rig.until_ready("agent-3")
    started = time.monotonic()
    await record.until_workers(3)
    return agent, time.monotonic() - started


async def leave(agent: AgentProcess, record: Record) -> float:
    """Asks an agent to end and waits until the run goes on without it."""
    started = time.monotonic()
    agent.send(signal.SIGTERM)
    await record.until_workers(2)
    seconds = time.monotonic() - started
    await agent.wait()
    return seconds


async def try_out(count: int) -> list[Fault]:
    """Runs two agents and a toy run, and injects so many faults."""
    async with running_rig() as rig:
        rig.start_agent("agent-1")
        rig.start_agent("agent-2")
        await rig.until_ready("agent-1", "agent-2")
        record = Record()
        started = time.monotonic()
        training = asyncio.create_task(rig.train(record, ToyJob(), worker_range(1, 2, 3)))
        await record.until_steps(1)
        print(f"start of the run to its first step: {time.monotonic() - started:.2f} s")
        kinds = [_SIGNALS[index % 2] for index in range(count)]
        random.shuffle(kinds)
        faults = []
        for index, kind in enumerate(kinds):
            if index == count // 3:
                agent, seconds = await join(rig, record)
                print(f"agent joined to step of three workers: {seconds:.2f} s")
            if index == 2 * count // 3:
                print(f"agent left to step of two workers: {await leave(agent, record):.2f} s")
                rig.agents.remove(agent)
            faults.append(await inject(rig, record, kind))
        await record.until_steps(10)
        training.cancel()
        await asyncio.gather(training, return_exceptions=True)
        left = [worker for agent in rig.agents for worker in agent.workers()]
        print(f"workers left after the run was cancelled: {len(left)}")
        return faults


def report(faults: Sequence[Fault]) -> None:
    """Prints a table of the faults."""
    print(f"{'signal':8} {'count':>5} {'median':>8} {'worst':>8} {'steps lost (median)':>20}")
    for number in _SIGNALS:
        found = [fault for fault in faults if fault.kind == number.name]
        seconds = [fault.seconds for fault in found]
        lost = median(fault.steps_lost for fault in found)
        print(
            f"{number.name:8} {len(found):5} {median(seconds):7.2f}s {max(seconds):7.2f}s {lost:20}"
        )
    for fault in sorted(faults, key=lambda fault: -fault.seconds)[:3]:
        print(f"slowest: {fault.seconds:.2f} s, {fault.kind}: {fault.reason}")


def main() -> None:
    """Entry point."""
    logging.basicConfig(level=logging.WARNING)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    random.seed(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    load = psutil.getloadavg()[0]
    print(f"{count} faults, load {load:.1f} on {psutil.cpu_count()} cores")
    report(asyncio.run(try_out(count)))


if __name__ == "__main__":
    main()
