"""How good the tuner's models of texts are, against TF-IDF with logistic regression and with FLAML.

Part of `make bench NAME=tuner`; alone it is `python -m tests.benchmarks.tuner.texts`.
"""

import csv
from dataclasses import replace

from tests.benchmarks.harness import Aim, Measure, is_quick, publish, repeats, say
from tests.benchmarks.tuner.environments import UnavailableError
from tests.benchmarks.tuner.table_rivals import FLAML, OURS, Contender, Runner
from tests.benchmarks.tuner.table_running import Outcome
from tests.benchmarks.tuner.table_sets import TableSet, folder_of_sets

NOTES = (
    "Texts: 67 % of the rows are learned, the others predicted, on one core, 60 s for ours and "
    "FLAML. Losses are 1 - AUC (two classes) and log loss. FLAML learns from TF-IDF of words.",
)
_SECONDS, _QUICK_SECONDS = 60, 10
_KINDS = {"text_binary": "binary", "text_multiclass": "multiclass"}
_HERE = "tests.benchmarks.tuner"
_LOGISTIC = Contender("TF-IDF and logistic regression", (f"{_HERE}.text_floor",), has_budget=False)
_FLAML = replace(FLAML, name="FLAML on TF-IDF", module=(f"{_HERE}.rivals.text_flaml",))


def texts() -> list[Measure]:
    """Measures ours against each on each set."""
    seconds = _QUICK_SECONDS if is_quick() else _SECONDS
    say(f"Texts at {seconds} s")
    runner = Runner()
    return [
        measure
        for table in text_sets()
        for seed in range(repeats(1))
        for measure in _measured(runner, table, seed, seconds)
    ]


def text_sets() -> list[TableSet]:
    """Returns the sets of texts."""
    folder = folder_of_sets()
    with (folder / "manifest.csv").open(newline="") as file:
        return [
            TableSet(row["name"], _KINDS[row["task"]], folder / f"{row['name']}.parquet")
            for row in csv.DictReader(file)
            if row["task"] in _KINDS
        ]


def _measured(runner: Runner, table: TableSet, seed: int, seconds: float) -> list[Measure]:
    own = runner.outcome(OURS, table, seed, seconds)
    measures = []
    for rival in (_LOGISTIC, _FLAML):
        try:
            theirs = runner.outcome(rival, table, seed, seconds)
        except UnavailableError as error:
            say(f"  {rival.name} is left out: {error}")
            continue
        say(f"  {table.name}: ours {_shown(table, own)}, {rival.name} {_shown(table, theirs)}")
        name = f"{table.name}, {'1 - AUC' if table.kind == 'binary' else 'log loss'}, {rival.name}"
        measures.append(Measure.of(name, own.loss, theirs.loss, Aim(ratio=1.0)))
    return measures


def _shown(table: TableSet, outcome: Outcome) -> str:
    return outcome.failure or f"{table.shown(outcome.loss):.5f} in {outcome.seconds:.0f} s"


if __name__ == "__main__":
    publish("tuner-texts", texts(), NOTES)
