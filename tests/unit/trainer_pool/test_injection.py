"""Faults on their way to a run: what is refused, and how the answer comes back."""

import asyncio

import pytest

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from common.errors import AimassError, FailedPreconditionError, InvalidFieldError
from services.trainer.pool.hub import PoolHub
from services.trainer.pool.injection import Injections, fault_of
from services.trainer.pool.servicer import demand_of
from tests.support.holding import AlwaysHolding
from tests.unit.trainer_pool.test_checks import demand

RUN = "trainingRuns/r"


def request(kind: str, **fields: object) -> trainer_pb2.InjectFaultRequest:
    """A request; `seconds` is its duration."""
    seconds = fields.pop("seconds", None)
    value = trainer_pb2.FaultKind.Value(f"FAULT_KIND_{kind}")
    made = trainer_pb2.InjectFaultRequest(name=RUN, kind=value, **fields)  # type: ignore[arg-type]
    if isinstance(seconds, float):
        made.duration.FromMilliseconds(round(seconds * 1000))
    return made


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", trainer_pb2.InjectFaultRequest(name="x", kind=trainer_pb2.FAULT_KIND_CUT_LINK)),
        ("kind", request("UNSPECIFIED")),
        ("kind", trainer_pb2.InjectFaultRequest(name=RUN, kind=99)),  # type: ignore[arg-type]
        ("rank", request("KILL_WORKER", rank=-1)),
        ("rank", request("KILL_AGENT", rank=0)),
        ("agent", request("KILL_WORKER", agent="agent-1")),
        ("duration", request("KILL_WORKER", seconds=1.0)),
        ("duration", request("CUT_LINK", seconds=0.01)),
        ("duration", request("SLOW_WORKER", seconds=601.0)),
    ],
)
def test_wrong_field_is_named(field: str, wrong: trainer_pb2.InjectFaultRequest) -> None:
    """A fault that was not meant so is not done at all."""
    with pytest.raises(InvalidFieldError) as caught:
        fault_of(wrong)
    assert [each.field for each in caught.value.violations] == [field]


def test_defaults_are_filled_in() -> None:
    """Rank 0, ten seconds."""
    fault = fault_of(request("SLOW_WORKER"))
    assert (fault.rank, fault.duration.seconds) == (0, 10)
    assert fault_of(request("CUT_LINK", seconds=0.5)).duration.nanos == 500_000_000


def test_off_by_default_and_the_setting_is_named() -> None:
    """Nobody breaks a run of an operator who did not allow it."""
    with pytest.raises(FailedPreconditionError, match="AIMASS_TRAINER_FAULT_INJECTION"):
        Injections(PoolHub(), AlwaysHolding(), is_allowed=False).require_allowed()


async def answered(answer: agents_pb2.FaultAnswer) -> str:
    """Injects a fault into a run whose coordinator answers this."""
    hub = PoolHub()
    injections = Injections(hub, AlwaysHolding(), is_allowed=True)
    with hub.run_stream(demand_of(demand())) as queue:
        asking = asyncio.create_task(injections.inject(request("KILL_WORKER", rank=1), "ada"))
        while True:
            message = await queue.get()
            assert message is not None
            if message.HasField("fault"):
                break
        assert (message.fault.rank, message.fault.caller) == (1, "ada")
        injections.hear(agents_pb2.FaultAnswer(number=message.fault.number + 1, done="another"))
        answer.number = message.fault.number
        injections.hear(answer)
        return await asking


async def test_answer_comes_back() -> None:
    """The caller hears what was done to whom, or why nothing was."""
    assert await answered(agents_pb2.FaultAnswer(done="done")) == "done"
    with pytest.raises(FailedPreconditionError, match="no worker 1"):
        await answered(agents_pb2.FaultAnswer(refused="The run has no worker 1 now."))


async def test_run_without_coordinator_is_refused() -> None:
    """There is nothing to break."""
    injections = Injections(PoolHub(), AlwaysHolding(), is_allowed=True)
    with pytest.raises(AimassError, match="has no coordinator"):
        await injections.inject(request("KILL_WORKER"), "ada")
