"""The suggester is told what is new only, and everything once it was started anew."""

import pytest

from common.errors import UnavailableError
from services.tuner.study.board import Board
from services.tuner.study.convert import problem_of
from services.tuner.study.suggester.answering import Answering
from services.tuner.study.suggesting import Suggesting
from services.tuner.study.validation import resolved_spec
from tests.unit.tuner_study.studies import InProcess, few, spec
from tests.unit.tuner_study.test_proposals import end


async def test_only_what_is_new_is_told() -> None:
    known, process = board_of(30), InProcess()
    suggesting = Suggesting(process, known)
    (first,) = await suggesting.suggest(1, [])
    end(known, 1, int(first["depth"]))
    end(known, 2, 30)
    await suggesting.suggest(1, [])
    await suggesting.suggest(1, [])
    assert [len(each.changed) for each in process.questions] == [0, 2, 0]
    assert [each.HasField("spec") for each in process.questions] == [True, False, False]


async def test_one_that_was_started_anew_is_told_everything() -> None:
    known, process = board_of(5), InProcess()
    suggesting = Suggesting(process, known)
    end(known, 1, 1)
    await suggesting.suggest(1, [])
    process.answering = Answering()
    found = await suggesting.suggest(5, [{"depth": 2}])
    assert {each["depth"] for each in found} == {3, 4, 5}
    assert [len(each.changed) for each in process.questions] == [1, 0, 1]


async def test_one_that_dies_is_asked_again() -> None:
    known, process = board_of(5), Dying(deaths=1)
    assert len(await Suggesting(process, known).suggest(2, [])) == 2
    with pytest.raises(UnavailableError):
        await Suggesting(Dying(deaths=9), known).suggest(2, [])


class Dying(InProcess):
    """Dies so many times."""

    def __init__(self, deaths: int) -> None:
        super().__init__()
        self.deaths = deaths

    async def ask(self, question: bytes) -> bytes:
        """Dies, or answers."""
        if self.deaths:
            self.deaths -= 1
            raise UnavailableError("It died.")
        return await super().ask(question)


def board_of(count: int) -> Board:
    return Board(problem_of(resolved_spec(spec(**few(count)))), lambda: 0.0)
