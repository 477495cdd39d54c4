"""How good ask and tell is: the best value after 100 trials, and how quickly it asks.

Part of `make bench NAME=tuner`; alone it is `python -m tests.benchmarks.tuner.study`.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.parameter import Choice, Float, Integer
from services.tuner.domain.space.space import Space
from services.tuner.domain.study.objective import Objective as Aimed
from services.tuner.domain.study.records import TrialRecord
from services.tuner.domain.study.samplers import Sampler
from services.tuner.domain.study.suggesting import suggest
from tests.benchmarks.harness import Aim, Measure, is_quick, publish, repeats, say
from tests.benchmarks.tuner.environments import ENVIRONMENTS
from tests.benchmarks.tuner.functions import TestFunction, fingerprint, functions
from tests.benchmarks.tuner.study_rivals import RIVALS, Objective, Rival, Search, started

NOTES = (
    "Ask and tell: six functions of mixed parameters, 100 trials, 10 seeds, rivals in environments "
    "of their own with their defaults: Optuna's TPE, SMAC's HyperparameterOptimizationFacade "
    "(random forest). All begin with the same default. A search is judged by the value without "
    "noise of the trial with the smallest loss told; ranks are means over functions and seeds. "
    "What a rival reached before is kept in build/rivals/study, beside its versions.",
    "Ask: the 99th percentile of the process's own time of one suggestion over 20 parameters with "
    "1,000 trials told and 8 pending.",
)
_OURS = "ours"
_LOSS = (Aimed("loss"),)
_SPREAD = 1_000_003
_TOLD, _PENDING, _WARM = 1_000, 8, 3
_MILLISECONDS = 50
_FIRST = Aim(ratio=1.0)

Contender = Callable[[TestFunction, int, int], float]
"""What is reached on a function with a seed and so many trials."""


def study() -> list[Measure]:
    """Measures ranks and times."""
    return [*_ranks(repeats(10, 1), 30 if is_quick() else 100), _asking()]


def _ranks(seeds: int, trials: int) -> list[Measure]:
    say("Ask and tell")
    with ExitStack() as stack:
        contenders: dict[str, Contender] = {_OURS: partial(reached, own_search)}
        for rival in RIVALS:
            contenders[rival.name] = remembered(rival, stack)
        found = {each.name: _reached(each, contenders, seeds, trials) for each in functions()}
    ranks = {name: rankdata(values, axis=0).mean(axis=1) for name, values in found.items()}
    means = np.mean(list(ranks.values()), axis=0)
    for name, own in ranks.items():
        say(f"  {name}: ranks {_listed(contenders, own)}")
        say(f"    medians {_listed(contenders, np.median(found[name], axis=1))}")
    say(f"  mean ranks {_listed(contenders, means)}")
    against = [
        Measure.of(f"ask and tell: mean rank, theirs {name}", float(means[0]), float(mean), _FIRST)
        for name, mean in zip(list(contenders)[1:], means[1:], strict=True)
    ]
    alone = [
        Measure.of(
            f"mean rank on {name}, theirs the best rival's", float(own[0]), float(own[1:].min())
        )
        for name, own in ranks.items()
    ]
    return against + alone


def own_search(space: Space, objective: Objective, seed: int, trials: int) -> None:
    """Minimises with what studies suggest by default."""
    records: list[TrialRecord] = []
    for number in range(trials):
        (found,) = suggest(space, _LOSS, records, (), Sampler.FOREST, seed * _SPREAD + number)
        records.append(TrialRecord(number, found, values=(objective(found),)))


def _reached(
    function: TestFunction, contenders: Mapping[str, Contender], seeds: int, trials: int
) -> npt.NDArray[np.float64]:
    """Returns what each one reaches, (contenders, seeds)."""
    found = [
        [contender(function, seed, trials) for seed in range(seeds)]
        for contender in contenders.values()
    ]
    return np.array(found)


def remembered(rival: Rival, stack: ExitStack) -> Contender:
    """Returns a rival that is run only for what it was not run for before.

    Args:
        rival: Is started where it is needed.
        stack: Ends it.
    """
    running: list[Search] = []
    folder = ENVIRONMENTS / "study"

    def contender(function: TestFunction, seed: int, trials: int) -> float:
        key = [rival.requirements, rival.script, function.name, fingerprint(), seed, trials]
        path = folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]}.json"
        if path.exists():
            return float(json.loads(path.read_text())["reached"])
        if not running:
            running.append(stack.enter_context(started(rival)))
        found = reached(running[0], function, seed, trials)
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"key": key, "reached": found}))
        return found

    return contender


def reached(search: Search, function: TestFunction, seed: int, trials: int) -> float:
    """Returns the value without noise of the trial with the smallest loss."""
    noise = np.random.default_rng([seed, 1])
    seen: list[tuple[float, float]] = []

    def objective(configuration: Configuration) -> float:
        value = function.value(configuration)
        seen.append((value + function.noise * float(noise.standard_normal()), value))
        return seen[-1][0]

    search(function.space, objective, seed, trials)
    return min(seen)[1]


def _listed(contenders: Mapping[str, Contender], values: npt.NDArray[np.float64]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(contenders, values, strict=True))


def _asking() -> Measure:
    say("Asking with 1,000 trials told")
    space = _wide_space()
    generator = np.random.default_rng(0)
    told = [
        TrialRecord(number, each, values=(_loss(each),))
        for number, each in enumerate(space.sample(generator) for _ in range(_TOLD))
    ]
    pending = [space.sample(generator) for _ in range(_PENDING)]
    times = []
    for seed in range(-_WARM, repeats(300, 10)):
        start = time.thread_time()
        suggest(space, _LOSS, told, pending, Sampler.FOREST, seed + _WARM)
        if seed >= 0:
            times.append(time.thread_time() - start)
    slow = float(np.quantile(times, 0.99)) * 1_000
    return Measure.of("Ask at 1,000 trials, p99, ms", slow, aim=Aim(at_most=_MILLISECONDS))


def _wide_space() -> Space:
    floats = tuple(Float(f"float {place}", 1e-3, 1.0, 0.1, is_log=True) for place in range(10))
    integers = tuple(Integer(f"integer {place}", 1, 100, 10) for place in range(6))
    choices = tuple(Choice(f"choice {place}", tuple("abcd"), "a") for place in range(4))
    return Space((*floats, *integers, *choices))


def _loss(configuration: Configuration) -> float:
    numbers = [float(each) for each in configuration.values() if not isinstance(each, str)]
    return float(np.sin(numbers).sum() + (configuration["choice 0"] == "b"))


if __name__ == "__main__":
    publish("tuner-study", study(), NOTES)
