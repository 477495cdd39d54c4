"""Proposals are ready when somebody asks, as fresh as they can be, and none is given twice."""

import asyncio
from collections.abc import Sequence

import pytest

from aimass.tuner.v1 import study_pb2
from common.errors import UnavailableError
from common.records import Record, RecordState
from services.tuner.domain.space.configuration import Configuration
from services.tuner.study.board import Board
from services.tuner.study.convert import problem_of, settings_to_proto
from services.tuner.study.proposals import Proposals
from services.tuner.study.validation import resolved_spec
from tests.unit.tuner_study.studies import few, spec


class Source:
    """Proposes 1, 2, 3... once it may."""

    def __init__(self, last: int = 1_000) -> None:
        self.may = asyncio.Event()
        self.may.set()
        self.last = last
        self.made = 0
        self.error: Exception | None = None

    async def __call__(self, count: int, pending: Sequence[Configuration]) -> list[Configuration]:
        await self.may.wait()
        if self.error is not None:
            raise self.error
        first, self.made = self.made + 1, min(self.made + count, self.last)
        return [{"depth": depth} for depth in range(first, self.made + 1)]


def board() -> Board:
    return Board(problem_of(resolved_spec(spec(**few(1_000)))), lambda: 0.0)


def end(known: Board, number: int, depth: int) -> None:
    """Tells a trial, whereupon what was proposed before is old."""
    trial = study_pb2.Trial(
        name=f"studies/s/trials/{number}",
        settings=settings_to_proto({"depth": depth}),
        state=study_pb2.TRIAL_STATE_FAILED,
    )
    known.put(Record(trial.name, trial, 1, "", RecordState.ACTIVE))


async def settled(proposals: Proposals) -> None:
    assert proposals._task is not None
    await proposals._task


async def test_each_gets_its_own() -> None:
    proposals = Proposals(board(), Source())
    found = await asyncio.gather(*(proposals.take() for _ in range(100)))
    assert len({each["depth"] for each in found if each}) == 100


async def test_nobody_waits_for_a_search_that_thinks_long() -> None:
    """Who asks after another trial was told gets what was proposed before, once patience ends."""
    known, source = board(), Source()
    proposals = Proposals(known, source, patience=0.01)
    assert await proposals.take() == {"depth": 1}
    await settled(proposals)
    source.may.clear()
    end(known, 1, 1)
    assert await proposals.take() == {"depth": source.made}  # the latest that was made before
    source.may.set()
    await settled(proposals)
    fresh = await proposals.take()
    assert fresh is not None and int(fresh["depth"]) > 5


async def test_of_a_hundred_trials_a_proposal_may_not_know_one() -> None:
    """Thinking anew after each of a thousand trials would keep a core busy, and teach nothing."""
    known, source = board(), Source()
    for number in range(1, 101):
        end(known, number, 900 + number % 100)
    proposals = Proposals(known, source)
    await proposals.take()
    await settled(proposals)
    made = source.made
    end(known, 101, 901)
    proposals.prepare()
    await settled(proposals)
    assert source.made == made
    end(known, 102, 902)
    proposals.prepare()
    await settled(proposals)
    assert source.made > made


async def test_what_another_replica_took_meanwhile_is_passed_over() -> None:
    known = board()
    proposals = Proposals(known, Source())
    await proposals.take()
    await settled(proposals)
    end(known, 2, 2)
    found = [await proposals.take() for _ in range(6)]
    assert {"depth": 2} not in found


async def test_everything_taken_is_said() -> None:
    proposals = Proposals(board(), Source(last=3))
    found = await asyncio.gather(*(proposals.take() for _ in range(5)))
    assert [each for each in found if each] == [{"depth": depth} for depth in (1, 2, 3)]


async def test_a_source_that_fails_is_no_end() -> None:
    """Each who waits is told; the next one tries again."""
    source = Source()
    proposals = Proposals(board(), source)
    source.error = UnavailableError("It died.")
    with pytest.raises(UnavailableError):
        await proposals.take()
    source.error = None
    assert await proposals.take() is not None


async def test_what_a_caller_who_left_was_given_is_not_lost() -> None:
    known, source = board(), Source(last=1)
    proposals = Proposals(known, source)
    source.may.clear()
    caller = asyncio.create_task(proposals.take())
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    source.may.set()
    await settled(proposals)
    assert await proposals.take() == {"depth": 1}


async def test_what_was_not_used_can_be_had_again() -> None:
    proposals = Proposals(board(), Source(last=1))
    found = await proposals.take()
    assert found is not None
    proposals.put_back(found)
    assert await proposals.take() == found


async def test_nobody_waits_for_what_was_closed() -> None:
    """A study may be deleted while somebody asks."""
    source = Source()
    proposals = Proposals(board(), source)
    source.may.clear()
    caller = asyncio.create_task(proposals.take())
    for _ in range(3):
        await asyncio.sleep(0)
    await proposals.close()
    assert await caller is None
