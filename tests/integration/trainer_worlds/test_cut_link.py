"""Agents on hosts of their own, whose cables are pulled."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from aimass.type.v1 import event_pb2
from tests.chaos.rig import Record, Rig, running_rig, worker_range
from tests.chaos.toy import ToyJob
from tests.support.namespaces import Switch, switch, why_not

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slow,
    pytest.mark.skipif(bool(reason := why_not()), reason=reason),
]

CUT_SECONDS = 15.0


@pytest.fixture(scope="module")
def cables() -> Iterator[Switch]:
    """Two hosts on a switch."""
    with switch(2) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def apart(cables: Switch) -> AsyncIterator[Rig]:
    """A pool on this host, and an agent with one slot on each of the two."""
    async with running_rig(cables.address) as rig:
        for number, host in enumerate(cables.hosts, start=1):
            rig.start_agent(f"agent-{number}", address=host.address, within=host.within)
        await rig.until_ready("agent-1", "agent-2")
        yield rig


async def test_link_that_is_cut_for_fifteen_seconds(apart: Rig, cables: Switch) -> None:
    """The run goes on with the worker that can be reached, then with both again, to its end."""
    record = Record()
    # One worker does 200 steps a second at most: it must not be done before the other is back.
    job = ToyJob(steps=4_500, commit_steps=10)
    run = asyncio.create_task(apart.train(record, job, worker_range(1, 2), name="trainingRuns/cut"))
    await record.until_steps(30)
    cables.cut(cables.hosts[1])
    mending = asyncio.get_running_loop().call_later(CUT_SECONDS, cables.mend, cables.hosts[1])
    try:
        change = await record.until_workers(1)
        assert change.agents == ["agent-1"]
        assert change.cause in (
            event_pb2.CHANGE_CAUSE_AGENT_LOST,
            event_pb2.CHANGE_CAUSE_WORKER_DIED,
            event_pb2.CHANGE_CAUSE_SILENCE,
        )
        assert change.steps_lost <= 20
        change = await record.until_workers(2, seconds=60)
        # Joining is planned; where Gloo aborts a worker of the first such world, the next has both.
        assert change.steps_lost <= 20
        assert (await run).step == job.steps
    finally:
        mending.cancel()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def test_both_links_cut_for_longer_than_the_run_waits_is_told(
    apart: Rig, cables: Switch
) -> None:
    """Without any worker the run waits for the links, and goes on from a host's commit."""
    record = Record()
    job = ToyJob(steps=1_000, commit_steps=10)
    await apart.until_idle("agent-1", "agent-2")
    run = asyncio.create_task(
        apart.train(record, job, worker_range(1, 2), name="trainingRuns/both")
    )
    await record.until_steps(30)
    for host in cables.hosts:
        cables.cut(host)
    change = await record.until_workers(0)
    assert "waiting for workers: 0 of at least 1" in change.reason
    for host in cables.hosts:
        cables.mend(host)
    finished = await asyncio.wait_for(run, 120)
    assert finished.step == job.steps
    assert sum(change.steps_lost for change in record.memberships) <= 40
