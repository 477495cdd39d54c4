"""The trials of a study as this process knows them. For one event loop."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from aimass.tuner.v1 import study_pb2
from common.records import Record
from common.records.objects import ABANDONED
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.study.records import TrialRecord
from services.tuner.study.convert import Problem, number_of

OPEN = (study_pb2.TRIAL_STATE_WAITING, study_pb2.TRIAL_STATE_RUNNING)


@dataclass
class Known:
    """A trial.

    Attributes:
        trial: As it was last read or written.
        revision: Of its record.
        record: What the domain knows of it.
        key: The same for equal settings.
        look_at: When it is worth a look whether its lease has ended, in seconds since 1970: a hint.
    """

    trial: study_pb2.Trial
    revision: int
    record: TrialRecord
    key: str
    look_at: float

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.trial.state in OPEN


class Board:
    """Knows trials by number, and which settings are taken.

    Attributes:
        epoch: Rises with each trial that ends: what was proposed before knew less.
        changes: Numbers of the trials that are new, or whose state has changed, in that order.
    """

    def __init__(self, problem: Problem, clock: Callable[[], float]) -> None:
        """Knows none yet.

        Args:
            problem: Of the study.
            clock: Seconds since 1970.
        """
        self.problem = problem
        self.epoch = 0
        self.changes: list[int] = []
        self._clock = clock
        self._known: dict[int, Known] = {}
        self._keys: dict[str, int] = {}
        self._claims: dict[str, Configuration] = {}
        self._shunned: dict[str, tuple[float, Configuration]] = {}
        self._last = 0

    def put(self, record: Record[study_pb2.Trial]) -> None:
        """Takes over a trial that was read or written; what is older than what is known is not."""
        trial = record.resource
        number = number_of(trial)
        former = self._known.get(number)
        if former is not None and former.revision >= record.revision:
            return
        known = self.problem.record(trial)
        key = self.problem.space.key(known.parameters)
        lease_end = trial.lease_expire_time.ToNanoseconds() / 1e9
        self._known[number] = Known(trial, record.revision, known, key, lease_end)
        self._keys.setdefault(key, number)
        self._last = max(self._last, number)
        if former is None or former.trial.state != trial.state:
            self.changes.append(number)
            self.epoch += not self._known[number].is_open

    def remove(self, number: int) -> None:
        """Forgets a trial that is gone."""
        self._known.pop(number, None)

    def __getitem__(self, number: int) -> Known:
        return self._known[number]

    def __contains__(self, number: int) -> bool:
        return number in self._known

    def __iter__(self) -> Iterator[Known]:
        return iter(list(self._known.values()))

    @property
    def last(self) -> int:
        """The largest number; 0 where there is no trial."""
        return self._last

    @property
    def running(self) -> int:
        """How many trials are given out."""
        return sum(each.trial.state == study_pb2.TRIAL_STATE_RUNNING for each in self)

    def records(self) -> Sequence[TrialRecord]:
        """Returns what the domain knows of all trials."""
        return [each.record for each in self]

    def due(self) -> list[Known]:
        """Returns the trials that may be given out again, the earliest first."""
        now = self._clock()
        return sorted(
            (each for each in self if each.is_open and each.look_at <= now),
            key=lambda each: each.record.number,
        )

    def wait(self, known: Known, seconds: float) -> None:
        """Leaves a trial alone for so long."""
        known.look_at = self._clock() + seconds

    def next_look(self) -> float:
        """Returns in how many seconds a trial may be given out again."""
        times = [each.look_at for each in self if each.is_open]
        return min(times, default=0.0) - self._clock()

    def is_taken(self, configuration: Configuration) -> bool:
        """Whether a trial has these settings."""
        return self.problem.space.key(configuration) in self._keys

    def is_free(self, configuration: Configuration) -> bool:
        """Whether no trial has these settings, nor gets them at the moment."""
        key = self.problem.space.key(configuration)
        return key not in self._keys and key not in self._claims and not self._is_shunned(key)

    def claim(self, configuration: Configuration) -> None:
        """Keeps settings from being taken twice, until a trial has them or they are released."""
        self._claims[self.problem.space.key(configuration)] = configuration

    def release(self, configuration: Configuration) -> None:
        """Lets go of settings that were claimed."""
        self._claims.pop(self.problem.space.key(configuration), None)

    def shun(self, configuration: Configuration) -> None:
        """Leaves settings alone for a while: another process makes a trial of them."""
        self.release(configuration)
        key = self.problem.space.key(configuration)
        self._shunned[key] = self._clock() + ABANDONED.total_seconds(), configuration

    @property
    def pending(self) -> Sequence[Configuration]:
        """Settings that trials get at the moment, here or in other processes."""
        shunned = [each for key, (_, each) in self._shunned.items() if self._is_shunned(key)]
        return [*self._claims.values(), *shunned]

    def _is_shunned(self, key: str) -> bool:
        is_shunned = key in self._shunned and key not in self._keys
        return is_shunned and self._shunned[key][0] > self._clock()
