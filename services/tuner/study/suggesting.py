"""Asks the suggester what to try next in one study. For one event loop."""

import secrets
from collections.abc import Sequence
from typing import Protocol

from aimass.tuner.v1 import suggester_pb2
from common.errors import UnavailableError
from services.tuner.domain.space.configuration import Configuration
from services.tuner.study.board import Board
from services.tuner.study.convert import configuration_of, settings_to_proto

_TRIES = 3


class Process(Protocol):
    """The suggester's process; see `common.host.helper.HelperProcess`."""

    async def ask(self, question: bytes) -> bytes:
        """Returns the answer to a question."""
        ...


class Suggesting:
    """Tells the suggester what is new on a board, and asks for proposals."""

    def __init__(self, process: Process, board: Board) -> None:
        """Has told nothing yet."""
        self._process = process
        self._board = board
        self._session = secrets.token_hex(8)
        self._known = 0
        self._told = 0

    async def suggest(self, count: int, pending: Sequence[Configuration]) -> list[Configuration]:
        """Returns what to try next; fewer than asked for where there are no others.

        Raises:
            UnavailableError: The suggester died, and could not be started anew.
        """
        for attempt in range(_TRIES):
            told = len(self._board.changes)
            question = self._question(count, pending)
            try:
                content = await self._process.ask(question.SerializeToString())
            except UnavailableError:
                # It knows nothing once it was started anew.
                self._known = self._told = 0
                if attempt == _TRIES - 1:
                    raise
                continue
            answer = suggester_pb2.Suggestions.FromString(content)
            self._known, self._told = answer.known, told if answer.known else 0
            if answer.known:
                return [configuration_of(each.settings) for each in answer.suggestions]
        raise UnavailableError("What chooses trials forgets what it was told; try again.")

    def _question(
        self, count: int, pending: Sequence[Configuration]
    ) -> suggester_pb2.SuggestQuestion:
        board = self._board
        question = suggester_pb2.SuggestQuestion(
            session=self._session, known=self._known, count=count, number=board.last + 1
        )
        if not self._known:
            question.spec.CopyFrom(board.problem.spec)
        for number in dict.fromkeys(board.changes[self._told :]):
            if number in board:
                question.changed.append(board[number].trial)
        for each in pending:
            question.pending.add(settings=settings_to_proto(each))
        return question
