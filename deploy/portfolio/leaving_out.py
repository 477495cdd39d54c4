"""How good the order is on each set by what is known of the others only."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.scoring.registry import metric_for
from deploy.portfolio.measuring import PARTS, SEED, Measured, RawResults
from services.tuner.domain.families.family import Family
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.folds import fold_splits
from services.tuner.domain.portfolio.adapting import adapted
from services.tuner.domain.portfolio.defaults import FIRST, FLOORS
from services.tuner.domain.portfolio.known_set import KnownSet
from services.tuner.domain.portfolio.ordering import Known, first_candidates
from services.tuner.domain.problem import Outputs, Problem
from services.tuner.domain.search.loop import fitting_families

SECONDS = (3.0, 6.0, 12.0, 24.0, 48.0)
"""Of trials, after which orders are compared."""
_ROUNDS = 15
_MOST_BLENDED = 12
_LOWEST, _HIGHEST = 0.8, 1.25

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Compared:
    """Two orders on a set, after some seconds of trials; losses of a blend of the best by then.

    Attributes:
        name: Of the set.
        seconds: That the trials took.
        usual: Loss by the usual order.
        known: Loss by the order that follows from the other sets.
    """

    name: str
    seconds: float
    usual: float
    known: float

    @property
    def ratio(self) -> float:
        """The loss by what is known, as a share of the usual one."""
        return self.known / self.usual if self.usual > 0 else 1.0


def left_out(
    problems: Mapping[str, Problem], known: Sequence[KnownSet], results: RawResults
) -> Iterator[Compared]:
    """Yields how both orders do on each set.

    Args:
        problems: The rows of the sets by name.
        known: What is known of them.
        results: Of their trials.
    """
    for own in known:
        problem = problems[own.source]
        families, _ = fitting_families(problem, list(FAMILIES.values()))
        others = [each for each in known if each.source != own.source]
        trials = _Trials(own.source, problem, families, results)
        by_known = trials.losses(first_candidates(problem, families, own.metric, others))
        for seconds, usual, found in zip(SECONDS, trials.losses(FIRST), by_known, strict=True):
            yield Compared(own.source, seconds, usual, found)


def write(compared: Sequence[Compared], path: Path) -> None:
    """Writes a table with a row for each set and time."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["set", "seconds", "usual_loss", "known_loss", "ratio"])
        for each in compared:
            losses = (f"{loss:.5g}" for loss in (each.usual, each.known, each.ratio))
            writer.writerow([each.name, f"{each.seconds:g}", *losses])


def summary(compared: Sequence[Compared]) -> str:
    """Returns how much better what is known is than the usual order, for people."""
    lines = [
        "Loss by what is known of the other sets, as a share of that by the usual order: geometric",
        f"mean, each set's bounded to {_LOWEST} and {_HIGHEST}; sets better and worse by over 1 %.",
        "seconds   mean  better  worse",
    ]
    for seconds in SECONDS:
        ratios = np.array([each.ratio for each in compared if each.seconds == seconds])
        mean = float(np.exp(np.log(np.clip(ratios, _LOWEST, _HIGHEST)).mean()))
        better, worse = int((ratios < 0.99).sum()), int((ratios > 1.01).sum())
        lines.append(f"{seconds:7g}  {mean:.3f}  {better:6}  {worse:5}")
    return "\n".join(lines)


class _Trials:
    """What trials of a set gave, without doing them again."""

    def __init__(
        self, name: str, problem: Problem, families: Mapping[str, Family], results: RawResults
    ) -> None:
        self._problem, self._results = problem, results
        self._metric = metric_for(problem.kind)
        self._spaces = {each: family.space(problem) for each, family in families.items()}
        self._judged = fold_splits(problem, PARTS, SEED)[0].judged
        self._measured: dict[tuple[str, str], Measured] = {}
        for each in results.known.values():
            if each.name == name and each.fold == 0 and each.family in families:
                self._measured[self._key((each.family, each.settings))] = each

    def losses(self, first: Sequence[Known]) -> list[float]:
        """Returns what a blend has by trials in an order, after each of `SECONDS`."""
        wanted = [self._key(each) for each in (*FLOORS, *first) if each[0] in self._spaces]
        order = [self._measured[key] for key in dict.fromkeys(wanted) if key in self._measured]
        spent = np.cumsum([each.seconds for each in order])
        return [self._blended(order[: max(int((spent <= most).sum()), 1)]) for most in SECONDS]

    def _key(self, known: Known) -> tuple[str, str]:
        space = self._spaces[known[0]]
        return known[0], space.key(adapted(space, known[1]))

    def _blended(self, trials: Sequence[Measured]) -> float:
        """Returns the loss of a blend: weights of one half of the rows, judged on the other."""
        best = sorted((each for each in trials if np.isfinite(each.loss)), key=_loss)
        outputs = [np.load(self._results.outputs(each)) for each in best[:_MOST_BLENDED]]
        if not outputs:
            return 1.0
        half = np.arange(len(self._judged)) % 2 == 0
        return (self._judge(outputs, half, ~half) + self._judge(outputs, ~half, half)) / 2

    def _judge(self, outputs: Sequence[Outputs], chosen: Mask, judged: Mask) -> float:
        total, count = np.zeros_like(outputs[0], np.float64), 0
        for _ in range(_ROUNDS):
            tried = [(total + each) / (count + 1) for each in outputs]
            best = int(np.argmin([self._loss(each, chosen) for each in tried]))
            total, count = total + outputs[best], count + 1
        return self._loss(total / count, judged)

    def _loss(self, outputs: Outputs, rows: Mask) -> float:
        truth = self._problem.truth[self._judged[rows]]
        try:
            return float(self._metric.loss(truth, np.asarray(outputs[rows], np.float64)))
        except ValueError:  # a class may have no row there
            return 1.0


def _loss(measured: Measured) -> float:
    return measured.loss
