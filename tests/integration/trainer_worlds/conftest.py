"""One pool and two agents for all tests of worlds: an agent takes seconds to warm up."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos.rig import Record, Rig, running_rig


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_rig() -> AsyncIterator[Rig]:
    """A pool with `agent-1` and `agent-2`, one slot each."""
    async with running_rig() as rig:
        for number in (1, 2):
            rig.start_agent(f"agent-{number}")
        await rig.until_ready("agent-1", "agent-2")
        yield rig


@pytest_asyncio.fixture(loop_scope="session")
async def rig(shared_rig: Rig) -> Rig:
    """The pool once both agents are idle and can fork, whatever the test before did to them."""
    await shared_rig.until_idle("agent-1", "agent-2")
    return shared_rig


@pytest.fixture
def record() -> Record:
    """What the run says."""
    return Record()


@pytest.fixture
def run_name(request: pytest.FixtureRequest) -> str:
    """A run of this test's own: agents remember the attempts of runs."""
    run_id = re.sub("[^a-z0-9]+", "-", request.node.name).strip("-")
    return f"trainingRuns/{run_id}"
