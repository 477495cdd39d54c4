"""Rules that name over- and under-fitting by curves, with the numbers that they go by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from services.analyzer.domain.curves.findings import (
    CurveVerdict,
    CurveVerdictKind,
    Numbers,
    direction,
)
from services.analyzer.domain.subject import History

DIVERGED = 0.5
SPIKE = 0.2
OVERFITTED = 0.1
GAP = 0.3
UNDERFITTED = 0.9
STILL_FALLING = 0.02

_LEAST_RISE = 0.05
_LEAST_GAP = 0.05
_FEWEST_STEPS = 5
_LAST = 3
_TINY = 1e-12
_HUGE = 1e150


@dataclass(frozen=True)
class Series:
    """A curve as a loss: smaller is better.

    Attributes:
        name: Of the curve.
        epochs: Numbers of the epochs where it has a number.
        losses: The numbers, negated where larger ones are better.
        broken: Epoch from which on it has no numbers; None where it has some to the end.
    """

    name: str
    epochs: np.ndarray
    losses: Numbers
    broken: int | None

    @property
    def fall(self) -> float:
        """From the first to the best."""
        return float(self.losses[0] - self.losses.min())

    @property
    def end(self) -> float:
        """Median of the last few, so that one epoch alone tells nothing."""
        return float(np.median(self.losses[-_LAST:]))

    def shown(self, loss: float) -> str:
        """Returns a loss as readers know it."""
        return f"{loss * direction(self.name):.4g}"

    @property
    def label(self) -> str:
        """Its name for people: `training loss`."""
        part, _, metric = self.name.rpartition("/")
        kind = {"train": "training", "out_of_bag": "out-of-bag"}.get(part, part)
        return f"{kind} {metric}".replace("_", " ").strip()


@dataclass(frozen=True)
class Curves:
    """What the rules look at.

    Attributes:
        train: On training rows; None without.
        held_out: On other rows; None without.
        guess: Loss of the best constant guess on training rows; None where it is not known.
        unit: What a step is called.
        broken: Number of the first step, where the training loss is no number in any; else None.
    """

    train: Series | None
    held_out: Series | None
    guess: float | None
    unit: str
    broken: int | None = None

    @property
    def judged(self) -> Series | None:
        """The one that tells which epoch is best."""
        return self.held_out or self.train


Rule = Callable[[Curves], CurveVerdict | None]


def verdicts(history: History, guess: float | None, unit: str) -> tuple[CurveVerdict, ...]:
    """Returns what a history tells, the gravest first; at least one verdict.

    Args:
        history: The curves.
        guess: Loss of the best constant guess on training rows; None where it is not known.
        unit: What a step is called.
    """
    train, held_out = _series(history, ("train",)), _series(history, _HELD_OUT)
    curves = Curves(train, held_out, guess, unit, _broken_from_the_start(history))
    found = tuple(each for rule in _RULES if (each := rule(curves)) is not None)
    return found or (_fine(curves),)


def _diverged(curves: Curves) -> CurveVerdict | None:
    train = curves.train
    cure = "Lower the learning rate, clip gradients, and check the data for extreme values."
    if curves.broken is not None:
        text = f"Diverged: the training loss is no number from {curves.unit} {curves.broken} on."
        return CurveVerdict(CurveVerdictKind.DIVERGED, text, cure, None, DIVERGED)
    if train is None:
        return None
    if train.broken is not None:
        text = f"Diverged: the {train.label} is no number from {curves.unit} {train.broken} on."
        return CurveVerdict(CurveVerdictKind.DIVERGED, text, cure, None, DIVERGED)
    best = float(train.losses.min())
    least = _LEAST_RISE * abs(best)  # a loss that stays where it is does not diverge
    rise = (train.end - best) / max(train.fall, least, _TINY)
    if len(train.losses) < _FEWEST_STEPS or rise < DIVERGED:
        return None
    text = (
        f"Diverged: the {train.label} ended at {train.shown(train.end)}, after "
        f"{train.shown(best)} at its best"
    )
    text += f": {_share(rise)} of its fall is lost." if train.fall > least else "."
    return CurveVerdict(CurveVerdictKind.DIVERGED, text, cure, rise, DIVERGED)


def _overfitted(curves: Curves) -> CurveVerdict | None:
    held_out, train = curves.held_out, curves.train
    if held_out is None or len(held_out.losses) < 2:
        return None
    place = int(held_out.losses.argmin())
    best = float(held_out.losses[place])
    rise = (held_out.end - best) / max(held_out.fall, _LEAST_RISE * abs(best), _TINY)
    if rise < OVERFITTED or _rose(train, int(held_out.epochs[place])):
        return None
    epoch = int(held_out.epochs[place])
    text = (
        f"Overfitted: the {held_out.label} was best in {curves.unit} {epoch} "
        f"({held_out.shown(best)}) and ended at {held_out.shown(held_out.end)}, while the training "
        f"went on to fit its own rows: {_share(rise)} of the fall is lost."
    )
    cure = (
        f"Stop at about {curves.unit} {epoch} (early stopping), regularise more (dropout, weight "
        "decay, a smaller model), or add data."
    )
    return CurveVerdict(CurveVerdictKind.OVERFITTED, text, cure, rise, OVERFITTED)


def _underfitted(curves: Curves) -> CurveVerdict | None:
    train, guess = curves.train, curves.guess
    if train is None or train.name != "train/loss" or not guess or guess <= 0:
        return None
    left = float(train.losses.min() / np.float64(guess))
    # A guess that is as good as right leaves nothing to compare with.
    if left < UNDERFITTED or not np.isfinite(left):
        return None
    text = (
        f"Underfitted: the best {train.label} is {train.shown(float(train.losses.min()))}; a "
        f"constant guess has {guess:.4g}, of which {_share(left)} is left."
    )
    cure = (
        "Train longer, with a higher learning rate, a larger model or less regularisation; check "
        "that the columns tell of the target at all."
    )
    return CurveVerdict(CurveVerdictKind.UNDERFITTED, text, cure, left, UNDERFITTED)


def _spikes(curves: Curves) -> CurveVerdict | None:
    train = curves.train
    if train is None or len(train.losses) < _FEWEST_STEPS or train.fall <= 0:
        return None
    jumps = np.flatnonzero(np.diff(train.losses) > SPIKE * train.fall) + 1
    if not len(jumps):
        return None
    named = ", ".join(str(epoch) for epoch in train.epochs[jumps[:5]])
    more = f" and {len(jumps) - 5} more" if len(jumps) > 5 else ""
    text = (
        f"Unsteady: the {train.label} jumped up by more than {_share(SPIKE)} of its whole fall in "
        f"{curves.unit} {named}{more}."
    )
    cure = "Lower the learning rate, warm it up, use larger batches, or clip gradients."
    return CurveVerdict(CurveVerdictKind.SPIKES, text, cure, float(len(jumps)), 1.0)


def _gap(curves: Curves) -> CurveVerdict | None:
    held_out, train = curves.held_out, curves.train
    if held_out is None or train is None or _metric(held_out.name) != _metric(train.name):
        return None
    place = int(held_out.losses.argmin())
    epoch = int(held_out.epochs[place])
    found = train.losses[train.epochs == epoch]
    if not len(found):
        return None
    best, own = float(held_out.losses[place]), float(found[0])
    scale = curves.guess if curves.guess and held_out.name.endswith("loss") else held_out.fall
    gap = (best - own) / max(abs(best), _TINY)
    if gap < GAP or best - own < _LEAST_GAP * max(scale, _TINY):
        return None
    text = (
        f"Gap: at its best {curves.unit}, {epoch}, the {held_out.label} is "
        f"{held_out.shown(best)} and the {train.label} {train.shown(own)}: on rows it has not seen "
        "the model does clearly worse."
    )
    cure = "More data or augmentation, more regularisation, or a smaller model may close it."
    return CurveVerdict(CurveVerdictKind.GAP, text, cure, gap, GAP)


def _still_falling(curves: Curves) -> CurveVerdict | None:
    judged = curves.judged
    if judged is None or len(judged.losses) < _FEWEST_STEPS or judged.fall <= 0:
        return None
    count = max(2, len(judged.losses) // 10)
    before, last = judged.losses[:-count], judged.losses[-count:]
    share = (float(before.min()) - float(np.median(last))) / judged.fall
    if share < STILL_FALLING:
        return None
    last_steps = int(judged.epochs[-1] - judged.epochs[-count - 1])
    steps = int(judged.epochs[-1] - judged.epochs[0] + 1)
    text = (
        f"Still falling: the last {last_steps:,} of {steps:,} {_plural(curves.unit)} brought "
        f"{_share(share)} of the whole improvement of the {judged.label} "
        f"(now {judged.shown(judged.end)})."
    )
    return CurveVerdict(
        CurveVerdictKind.STILL_FALLING,
        text,
        f"Train longer, with more {_plural(curves.unit)}.",
        share,
        STILL_FALLING,
    )


def _fine(curves: Curves) -> CurveVerdict:
    judged = curves.judged
    if judged is None:
        text = "The curves tell of no loss and no metric."
        return CurveVerdict(CurveVerdictKind.FINE, text)
    best = int(judged.losses.argmin())
    text = (
        f"No sign of over- or underfitting: the {judged.label} went from "
        f"{judged.shown(float(judged.losses[0]))} to {judged.shown(float(judged.losses[best]))}, "
        f"best in {curves.unit} {judged.epochs[best]} of {judged.epochs[-1]}."
    )
    return CurveVerdict(CurveVerdictKind.FINE, text)


_HELD_OUT = ("validation", "out_of_bag")
_RULES: tuple[Rule, ...] = (
    *(_diverged, _overfitted, _underfitted),
    *(_spikes, _gap, _still_falling),
)


def _series(history: History, parts: tuple[str, ...]) -> Series | None:
    """Returns the loss of the first part that has one; without, another metric of it."""
    for name in _candidates(history, parts):
        values = history.values[name]
        there = np.isfinite(values)
        if there.any():
            losses = np.clip(direction(name) * values[there], -_HUGE, _HUGE)
            return Series(name, history.epochs[there], losses, _broken(history, there, values))
    return None


def _candidates(history: History, parts: tuple[str, ...]) -> Iterator[str]:
    for part in parts:
        yield from (name for name in history.values if name == f"{part}/loss")
        yield from (n for n in history.values if n.startswith(f"{part}/") and direction(n))


def _broken(history: History, there: np.ndarray, values: Numbers) -> int | None:
    """Returns the epoch from which on there are no numbers; of NaN alone, one may be missing."""
    last = int(np.flatnonzero(there)[-1])
    if np.isinf(values).any():
        return int(history.epochs[int(np.flatnonzero(np.isinf(values))[0])])
    return int(history.epochs[last + 1]) if last + 1 < len(values) else None


def _broken_from_the_start(history: History) -> int | None:
    """Returns the number of the first epoch where the training loss has no number at all."""
    losses = history.values.get("train/loss")
    if losses is None or not len(losses) or np.isfinite(losses).any():
        return None
    return int(history.epochs[0])


def _rose(train: Series | None, epoch: int) -> bool:
    """Whether training rows got worse, too, since an epoch: that is no overfitting."""
    if train is None:
        return False
    since = train.losses[train.epochs >= epoch]
    return len(since) > 0 and train.end > float(since[0]) + _TINY


def _metric(name: str) -> str:
    return name.rpartition("/")[2]


def _share(value: float) -> str:
    return f"{value:.0%}"


def _plural(unit: str) -> str:
    return f"{unit}s"
