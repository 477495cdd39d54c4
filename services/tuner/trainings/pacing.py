"""How long a network is trained at a time, so that it is done when the search ends."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_FIRST_SHARE = 0.2
_LEAST_SECONDS = 3.0
_USUAL_OVERHEAD = 5.0
_DOUBT = 4.0  # estimates are of a machine with nothing else to do
_MARGIN = 0.8
_MOST_EPOCHS, _FIRST_EPOCHS = 300, 20
_LOOKED_AT = 0.1
_WORTHWHILE_EPOCHS = 20


@dataclass
class Course:
    """The trainings of one network, each of which goes on from the one before.

    Attributes:
        epoch_seconds: What an epoch takes, as far as is known.
        overhead: Seconds of a training beside its epochs.
        done: Epochs until now.
    """

    epoch_seconds: float
    overhead: float = _USUAL_OVERHEAD
    done: int = 0

    @classmethod
    def estimated(cls, seconds: float, epochs: int) -> "Course":
        """Returns the course of a network whose epochs take so long by an estimate."""
        return cls(max(_DOUBT * seconds / epochs, 1e-3))

    def epochs(self, left: float, *, is_last: bool) -> int:
        """Returns for how many epochs to train now; 0 where there is no time for any.

        Args:
            left: Seconds until everything is to be done.
            is_last: Whether to take all of them, as opposed to leaving some to learn from.
        """
        usable = _MARGIN * left - self.overhead
        if usable < _LEAST_SECONDS and usable < self.epoch_seconds:
            return 0
        share = 1.0 if is_last or left < 3 * _USUAL_OVERHEAD else _FIRST_SHARE
        most = _MOST_EPOCHS if is_last else _FIRST_EPOCHS
        return int(min(max(share * usable, self.epoch_seconds) / self.epoch_seconds, most))

    def learn(self, seconds: float, epochs: int) -> None:
        """Hears how long a training took, all in all."""
        self.done += epochs
        trained = max(seconds - self.overhead, 0.4 * seconds)
        self.epoch_seconds = max(trained / epochs, 1e-3)


def affordable(courses: Sequence[Course], left: float) -> list[Course]:
    """Returns the first of some courses: as many as there is time for, at least one if there are.

    One network that has seen the rows often is worth more than several that hardly have.

    Args:
        courses: The quickest first.
        left: Seconds until everything is to be done.
    """
    for count in range(len(courses), 1, -1):
        usable = _MARGIN * left / count
        if all(_WORTHWHILE_EPOCHS * each.epoch_seconds <= usable for each in courses[:count]):
            return list(courses[:count])
    return list(courses[:1])


@dataclass
class Watchman:
    """Says while a training is under way whether it will be done in time.

    Attributes:
        left: Seconds until everything is to be done.
        clock: Seconds that only grow.
    """

    left: Callable[[], float]
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        """Has not seen it begin yet."""
        self._begun: tuple[float, float] | None = None

    def is_late(self, fraction: float) -> bool:
        """Whether it will not be done in time.

        Args:
            fraction: Share of the work that is done.
        """
        if fraction <= 0:
            return self.left() < _LEAST_SECONDS
        if self._begun is None:
            self._begun = (self.clock(), fraction)
        begun, first = self._begun
        if fraction < first + _LOOKED_AT:
            return self.left() <= 0
        pace = (fraction - first) / max(self.clock() - begun, 1e-6)
        return (1 - fraction) / pace > self.left() or math.isclose(self.left(), 0)

    def epoch_seconds(self, epochs: int) -> float:
        """Returns what an epoch takes as far as was seen; 0 for nothing."""
        if self._begun is None:
            return 0.0
        return (self.clock() - self._begun[0]) / max(epochs, 1)
