"""What the suggester answers."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from aimass.tuner.v1 import suggester_pb2
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.study.records import TrialRecord
from services.tuner.domain.study.suggesting import suggest
from services.tuner.study.convert import (
    Problem,
    configuration_of,
    number_of,
    problem_of,
    settings_to_proto,
)

_MOST_STUDIES = 32
_SPREAD = 1_000_003


@dataclass
class _Study:
    """A study as it was told.

    Attributes:
        problem: What it searches for.
        records: Its trials by number.
        known: How often it was told something.
    """

    problem: Problem
    records: dict[int, TrialRecord] = field(default_factory=dict)
    known: int = 0


class Answering:
    """Answers questions one after another; remembers the studies that were asked for last."""

    def __init__(self) -> None:
        """Knows no study yet."""
        self._studies: OrderedDict[str, _Study] = OrderedDict()

    def answer(self, content: bytes) -> bytes:
        """Returns the answer to a question, see `SuggestQuestion`."""
        question = suggester_pb2.SuggestQuestion.FromString(content)
        study = self._told(question)
        if study is None:
            return suggester_pb2.Suggestions().SerializeToString()
        pending = [configuration_of(each.settings) for each in question.pending]
        found = _suggested(study, pending, question)
        answer = suggester_pb2.Suggestions(known=study.known)
        for each in found:
            answer.suggestions.add(settings=settings_to_proto(each))
        return answer.SerializeToString()

    def _told(self, question: suggester_pb2.SuggestQuestion) -> _Study | None:
        """Returns the study with what is new; None where it must be told anew."""
        study = self._studies.pop(question.session, None)
        if question.HasField("spec"):
            study = _Study(problem_of(question.spec))
        elif study is None or study.known != question.known:
            return None
        for trial in question.changed:
            study.records[number_of(trial)] = study.problem.record(trial)
        study.known += 1
        self._studies[question.session] = study
        if len(self._studies) > _MOST_STUDIES:
            self._studies.popitem(last=False)
        return study


def _suggested(
    study: _Study, pending: Sequence[Configuration], question: suggester_pb2.SuggestQuestion
) -> list[Configuration]:
    """Returns suggestions that are not taken, each once."""
    problem = study.problem
    key = problem.space.key
    taken = {key(each) for each in pending}
    taken.update(key(each.parameters) for each in study.records.values())
    found = suggest(
        problem.space,
        problem.objectives,
        list(study.records.values()),
        pending,
        problem.sampler,
        problem.spec.seed * _SPREAD + question.number,
        question.count,
    )
    fresh = {key(each): each for each in found if key(each) not in taken}
    return list(fresh.values())
