"""What to try next. Imports numpy and numba; Optuna only where it is asked for."""

from collections.abc import Iterator, Sequence

import numpy as np

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Float
from services.tuner.domain.space.space import Space
from services.tuner.domain.study.evolution import evolved
from services.tuner.domain.study.learning import told_of
from services.tuner.domain.study.objective import Objective
from services.tuner.domain.study.parzen import parzen
from services.tuner.domain.study.records import TrialRecord, TrialState
from services.tuner.domain.study.samplers import Sampler
from services.tuner.domain.study.seeking import fresh
from services.tuner.domain.surrogate.proposer import propose


def suggest(
    space: Space,
    objectives: Sequence[Objective],
    records: Sequence[TrialRecord],
    pending: Sequence[Configuration],
    sampler: Sampler,
    seed: int,
    count: int = 1,
) -> list[Configuration]:
    """Returns what to try next; the same for the same arguments.

    None is in the records, pending or returned twice as long as the space has others. The first
    suggestion of a study is the default, whatever the sampler. Many at once take little more time
    than one.

    Args:
        space: Without flaws.
        objectives: Without flaws.
        records: In any order; running ones count as pending.
        pending: Parameters of trials that were given out and have not ended.
        sampler: Without flaws.
        seed: Of all chance; mix the number of the trial into it, or all suggestions are alike.
        count: How many are wanted, at least one.
    """
    generator = np.random.default_rng(seed)
    running = [each.parameters for each in records if each.state is TrialState.RUNNING]
    waiting = [*pending, *running]
    ended = sorted(
        (each for each in records if each.state is not TrialState.RUNNING),
        key=lambda each: each.number,
    )
    told = told_of(ended, objectives)
    if sampler is Sampler.FOREST:
        return propose(space, told, waiting, generator, count)
    known = [*(each.parameters for each in ended), *waiting]
    first = [] if known else [space.default]
    if sampler is Sampler.RANDOM:
        drawn: Iterator[Configuration] = iter(())
    elif sampler is Sampler.CMA_ES:
        losses = np.array([each.losses[0] for each in told])
        drawn = evolved(space, [each.configuration for each in told], losses, generator)
    else:
        drawn = parzen(space, objectives, ended, [*waiting, *first], seed)
    others = fresh(space, drawn, [*known, *first], generator, count - len(first))
    return [*first, *others]


def warmed() -> None:
    """Compiles what the first call would wait for: a second or more where nothing is kept."""
    space = Space((Float("a", 0.0, 1.0, 0.5), Choice("b", ("c", "d"), "c")))
    told = [
        TrialRecord(place, {"a": place / 8, "b": "cd"[place % 2]}, values=(float(place),))
        for place in range(8)
    ]
    suggest(space, (Objective("loss"),), told, (), Sampler.FOREST, 0, 4)
