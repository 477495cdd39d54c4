"""How good the tuner's models of tables are, against others on the same budget and one core.

Part of `make bench NAME=tuner [DATA=folder] [FULL=1]`; alone it is
`python -m tests.benchmarks.tuner.tables`. FULL takes hours; `BUDGETS="10 60"` and `SEEDS=1` make it
less.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from tests.benchmarks.harness import Measure, is_quick, publish, say
from tests.benchmarks.tuner.environments import UnavailableError
from tests.benchmarks.tuner.table_measures import Results, measures_of
from tests.benchmarks.tuner.table_rivals import CONTENDERS, Contender, Runner
from tests.benchmarks.tuner.table_running import Outcome
from tests.benchmarks.tuner.table_sets import TableSet, table_sets

_NOTES = (
    "Tables: every contender learns 67 % of the rows and predicts the others, in a process of its "
    "own on one core. Losses are 1 - AUC, log loss or RMSE. RandomForest (500 trees) and "
    "HistGradientBoosting are the floor and know no budget; AutoGluon is `best_quality`; "
    "auto-sklearn takes 30 s at least. "
    "What fails on a set ranks last there and is left out of relative losses.",
    "Times run from the start of the process until the predictions are there; `without imports` "
    "leaves out the start of Python and imports. Ours counts all that as part of its budget. "
    "Memory is that of all processes together. A page that several share is counted once, as a "
    "container's limit does; `shared pages for each` counts it for each.",
    "The first model: from the start of the process until a trial has a score.",
)
_SAMPLE = ("vehicle", "credit_g", "boston", "phoneme", "car", "abalone", "adult", "arrhythmia")


@dataclass(frozen=True)
class _Plan:
    """What is measured.

    Attributes:
        sets: The tables.
        seeds: Of splits, the first ones.
        budgets: Seconds.
    """

    sets: list[TableSet]
    seeds: int
    budgets: tuple[int, ...]


def tables() -> tuple[list[Measure], list[str]]:
    """Measures everything, and returns what a reader must know too."""
    plan, runner = _plan(), Runner()
    measures: list[Measure] = []
    notes = list(_NOTES)
    contenders = list(CONTENDERS)
    for seconds in plan.budgets:
        say(f"Tables at {seconds} s")
        found = _measured(plan, runner, contenders, seconds, notes)
        measures += measures_of(found, seconds)
    for name, days in runner.kept.items():
        when = " and ".join(sorted(days))
        notes.append(f"Cached, not measured now: {name}, measured {when} on this kind of machine.")
    return measures, notes


def _plan() -> _Plan:
    if is_quick():
        return _Plan(table_sets(_SAMPLE)[:1], 1, (10,))
    if os.environ.get("FULL", "") not in ("", "0"):
        budgets = os.environ.get("BUDGETS") or "10 60 300"
        seeds = int(os.environ.get("SEEDS") or 2)
        return _Plan(table_sets(), seeds, tuple(map(int, budgets.split())))
    return _Plan(table_sets(_SAMPLE), 1, (60,))


def _measured(
    plan: _Plan, runner: Runner, contenders: list[Contender], seconds: float, notes: list[str]
) -> Results:
    """Runs all; who cannot run is taken from the contenders and named in the notes."""
    found: dict[str, list[Outcome]] = {each.name: [] for each in contenders}
    for table, seed in _cases(plan):
        for each in list(contenders):
            try:
                found[each.name].append(runner.outcome(each, table, seed, seconds))
            except UnavailableError as error:
                contenders.remove(each)
                del found[each.name]
                notes.append(f"{each.name} is left out: {error}.")
        say(_line(table, seed, {name: outcomes[-1] for name, outcomes in found.items()}))
    return found


def _cases(plan: _Plan) -> Iterator[tuple[TableSet, int]]:
    for table in plan.sets:
        for seed in range(plan.seeds):
            yield table, seed


def _line(table: TableSet, seed: int, outcomes: dict[str, Outcome]) -> str:
    reached = ", ".join(
        f"{name} {each.failure or format(table.shown(each.loss), '.4g')}"
        for name, each in outcomes.items()
    )
    return f"  {table.name}, seed {seed}, {table.metric}: {reached}"


if __name__ == "__main__":
    publish("tuner-tables", *tables())
