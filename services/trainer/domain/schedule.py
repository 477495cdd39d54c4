"""Learning rate, early stopping and the choice of the best epoch, as plain values."""

import math
from dataclasses import dataclass

from services.trainer.domain.optimisation import OneCycle
from services.trainer.domain.specification import TrainingSpecification

PLATEAU_THRESHOLD = 1e-4
"""Share by which a metric must get better to count as no plateau."""


@dataclass
class Progress:
    """What schedule and stopping remember from epoch to epoch; part of every commit.

    Attributes:
        best: Best score so far; lower is better.
        best_epoch: Epoch of it, from 1; 0 before the first.
        plateau_best: Score that the learning rate's fall is measured against.
        plateau_epochs: Epochs without improvement on it.
        rate_scale: What the falls have multiplied the learning rate by.
        stopping_best: Score that early stopping is measured against.
        stopping_epochs: Epochs without improvement on it.
        stopped_early: Whether early stopping, or the end of the time, has ended the run.
        seconds: What the epochs have taken; known where the time is bounded.
    """

    best: float = math.inf
    best_epoch: int = 0
    plateau_best: float = math.inf
    plateau_epochs: int = 0
    rate_scale: float = 1.0
    stopping_best: float = math.inf
    stopping_epochs: int = 0
    stopped_early: bool = False
    seconds: float = 0.0


class Schedule:
    """The rules of one specification; holds no state of its own."""

    def __init__(self, specification: TrainingSpecification, steps_per_epoch: int) -> None:
        """Reads the rules.

        Args:
            specification: Resolved against the data.
            steps_per_epoch: Optimiser steps of an epoch.
        """
        self._rate = specification.optimizer.learning_rate or 0.0
        self._warmup = specification.schedule.warmup
        self._plateau = specification.schedule.reduce_on_plateau
        self._stopping = specification.early_stopping
        self._workers = specification.workers.wanted or 1
        self._warmup_steps = (self._warmup.epochs if self._warmup else 0) * steps_per_epoch
        self._steps = specification.epochs * steps_per_epoch
        self._cycle = specification.schedule.one_cycle
        self._has_cosine = specification.schedule.cosine_decay
        self._takes_last = specification.monitor == "none"
        self._most_seconds = specification.max_duration

    def learning_rate(self, step: int, progress: Progress) -> float:
        """Returns the learning rate of a step.

        The rise follows Goyal et al., "Accurate, Large Minibatch SGD" (2017), step by step; the
        cosine Loshchilov and Hutter, "SGDR" (2017), without restarts; the cycle Smith and Topin,
        "Super-Convergence" (2018), with half cosines for its straight lines.

        Args:
            step: Steps done before, from 0.
            progress: Where the run stands.
        """
        if self._cycle is not None:
            return self._rate * self._cycle_factor(self._cycle, step, progress)
        rate = self._rate * self._warmup_factor(step) * self._cosine_factor(step, progress)
        if self._plateau is None:
            return rate
        return max(rate * progress.rate_scale, min(rate, self._plateau.min_learning_rate))

    def finish_epoch(self, epoch: int, score: float, progress: Progress) -> bool:
        """Takes an epoch's score into account.

        Args:
            epoch: The epoch, from 1.
            score: What is monitored; lower is better.
            progress: Changed in place.

        Returns:
            Whether the epoch is the best so far; without a monitored metric each is.
        """
        is_best = self._takes_last or score < progress.best or progress.best_epoch == 0
        if is_best:
            progress.best, progress.best_epoch = score, epoch
        self._watch_plateau(score, progress)
        self._watch_stopping(score, progress)
        return is_best

    def _warmup_factor(self, step: int) -> float:
        if self._warmup is None:
            return 1.0
        done = min(1.0, (step + 1) / self._warmup_steps)
        if self._warmup.scale_with_workers:
            return 1.0 + done * (self._workers - 1)
        return done

    @property
    def is_timed(self) -> bool:
        """Whether the time of training is bounded."""
        return self._most_seconds is not None

    def note_time(self, epoch: int, seconds: float, progress: Progress) -> None:
        """Takes note of what an epoch took, and stops where another one would probably be late.

        Args:
            epoch: Its number, from 1.
            seconds: What it took, the same on every rank.
            progress: Changed in place.
        """
        if self._most_seconds is None:
            return
        progress.seconds += seconds
        if progress.seconds * (1 + 1 / epoch) > self._most_seconds:
            progress.stopped_early = True

    def _cosine_factor(self, step: int, progress: Progress) -> float:
        if not self._has_cosine or step < self._warmup_steps:
            return 1.0
        done = (step - self._warmup_steps) / max(self._steps - self._warmup_steps, 1.0)
        return _half_cosine(1.0, 0.0, self._done(done, progress))

    def _cycle_factor(self, cycle: OneCycle, step: int, progress: Progress) -> float:
        last = max(self._steps - 1, 1)
        peak = max(cycle.rise_share * self._steps - 1, 0.0) / last
        done = self._done(step / last, progress)
        start = 1 / cycle.start_divisor
        if done < peak:
            return _half_cosine(start, 1.0, done / peak)
        return _half_cosine(1.0, start / cycle.final_divisor, (done - peak) / (1 - peak))

    def _done(self, share: float, progress: Progress) -> float:
        """Returns the share of the run that is done, by steps or by time: what is over sooner."""
        if self._most_seconds is not None:
            share = max(share, progress.seconds / self._most_seconds)
        return min(share, 1.0)

    def _watch_plateau(self, score: float, progress: Progress) -> None:
        if self._plateau is None:
            return
        margin = PLATEAU_THRESHOLD * abs(progress.plateau_best)
        if progress.plateau_best == math.inf or score < progress.plateau_best - margin:
            progress.plateau_best, progress.plateau_epochs = score, 0
            return
        progress.plateau_epochs += 1
        if progress.plateau_epochs > (self._plateau.patience or 0):
            progress.rate_scale *= self._plateau.factor
            progress.plateau_epochs = 0

    def _watch_stopping(self, score: float, progress: Progress) -> None:
        if self._stopping is None:
            return
        if score < progress.stopping_best - self._stopping.min_delta:
            progress.stopping_best, progress.stopping_epochs = score, 0
            return
        progress.stopping_epochs += 1
        progress.stopped_early = progress.stopping_epochs > self._stopping.patience


def _half_cosine(start: float, end: float, share: float) -> float:
    """Returns where half a cosine from start to end is after a share of its way."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
