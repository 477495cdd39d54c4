"""How much of each layer goes: the least important for each millisecond that is gained."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from services.pruner.domain.dependencies.graph import Coupled, Dependencies
from services.pruner.domain.importance import Scores
from services.pruner.domain.latency.layer_shape import Layer, LayerShape

Seconds = Callable[[LayerShape], float]

_AHEAD = (0, 1, 2, 3, 5, 7, 11, 15)
"""Steps that are looked ahead: one alone often gains nothing."""


@dataclass(frozen=True)
class Wanted:
    """What is to be reached.

    Attributes:
        seconds: What the layers may take together.
        step: Widths are multiples of it, where the width is at least twice as large.
        least: Share of each kind of units that stays.
    """

    seconds: float
    step: int = 8
    least: float = 0.1


@dataclass(frozen=True)
class _Offer:
    """Units of one kind that could go next.

    Attributes:
        units: They.
        gain: Seconds that their layers become quicker.
        loss: Their importance.
    """

    units: tuple[int, ...]
    gain: float
    loss: float

    @property
    def value(self) -> float:
        """Seconds for importance."""
        return self.gain / max(self.loss, 1e-12)


def units_to_remove(
    dependencies: Dependencies,
    layers: Mapping[str, Layer],
    seconds: Seconds,
    scores: Scores,
    wanted: Wanted,
) -> frozenset[int]:
    """Returns which units are removed so that layers take no longer than wanted.

    Again and again that is removed which gains most time for its importance. Where not even the
    smallest network is quick enough, as much is removed as may be.

    Args:
        dependencies: Of the network.
        layers: Its layers, see `layers_of`.
        seconds: What a layer of a shape takes.
        scores: Of units; those without one are not removed.
        wanted: What is to be reached.
    """
    chooser = _Chooser(list(layers.values()), seconds, scores, wanted)
    waiting = [chooser.ordered(group) for group in dependencies.removable]
    gone: set[int] = set()
    while chooser.total(gone) > wanted.seconds:
        offers = [chooser.offer(units, gone) for units in waiting]
        known = [each for each in offers if each is not None and each.gain > 0]
        if not known:
            break
        gone |= set(max(known, key=lambda each: each.value).units)
    return frozenset(gone)


@dataclass(frozen=True)
class _Chooser:
    layers: Sequence[Layer]
    seconds: Seconds
    scores: Scores
    wanted: Wanted

    def ordered(self, group: Coupled) -> tuple[int, ...]:
        """Returns the units that may go, the least important first."""
        known = [each for each in group.units if each in self.scores]
        return tuple(sorted(known, key=lambda unit: self.scores[unit]))

    def total(self, gone: Collection[int]) -> float:
        """Returns what all layers take without some units."""
        return sum(self.seconds(each.without(gone)) for each in self.layers)

    def offer(self, units: Sequence[int], gone: Collection[int]) -> _Offer | None:
        """Returns what of a kind is best removed next; None where nothing more may go."""
        left = [each for each in units if each not in gone]
        least = max(int(self.wanted.least * len(units)), 1)
        own = set(units)
        touched = [each for each in self.layers if each.units & own]
        now = sum(self.seconds(each.without(gone)) for each in touched)
        offers = []
        for width in self._widths(len(left), least):
            some = tuple(left[: len(left) - width])
            then = sum(self.seconds(each.without({*gone, *some})) for each in touched)
            offers.append(_Offer(some, now - then, sum(self.scores[each] for each in some)))
        return max(offers, key=lambda each: each.value, default=None)

    def _widths(self, width: int, least: int) -> list[int]:
        """Returns the next smaller widths."""
        step = self.wanted.step if width >= 2 * self.wanted.step else 1
        first = (width - 1) // step * step
        widths = [first - ahead * step for ahead in _AHEAD]
        return [each for each in widths if each >= least]
