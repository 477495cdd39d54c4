"""How good the tuner's models of many labels are, against one random forest for each label.

Part of `make bench NAME=tuner`; alone it is `python -m tests.benchmarks.tuner.labels`.
"""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score

from common.host.single_threaded import SINGLE_THREADED
from common.scoring.kinds import ProblemKind
from services.tuner.domain.reading import problem_from_frame
from services.tuner.domain.search.tuning import Settings, tune
from services.tuner.domain.trials.hosting import prepare_host
from tests.benchmarks.harness import ROOT, Aim, Measure, is_quick, publish, repeats, say
from tests.benchmarks.tuner.table_running import core
from tests.benchmarks.tuner.table_sets import folder_of_sets

NOTES = (
    "Labels: 67 % of the rows are learned, the others predicted, on one core, 60 s for ours; "
    "1 - micro F1. One random forest of 500 trees for each label.",
)
_SECONDS, _QUICK_SECONDS = 60, 10
_TRAIN_SHARE = 0.67
_TARGET = "target_"
_TREES = 500

Learn = Callable[[pd.DataFrame, pd.DataFrame, list[str], float, int], npt.NDArray[np.int64]]


def labels() -> list[Measure]:
    """Measures ours against the forests on each set."""
    seconds = _QUICK_SECONDS if is_quick() else _SECONDS
    say(f"Many labels at {seconds} s")
    measures = []
    for name in _sets():
        for seed in range(repeats(2)):
            ours, took = _run("ours", name, seed, seconds)
            theirs, _ = _run("forests", name, seed, seconds)
            say(f"  {name}, seed {seed}: micro F1 {ours:.4f} in {took:.0f} s, forests {theirs:.4f}")
            title = f"{name}, seed {seed}, 1 - micro F1, against forests"
            measures.append(Measure.of(title, 1 - ours, 1 - theirs, Aim(ratio=1.0)))
    return measures


def _sets() -> list[str]:
    with (folder_of_sets() / "manifest.csv").open(newline="") as file:
        return [row["name"] for row in csv.DictReader(file) if row["task"] == "multilabel"]


def _run(who: str, name: str, seed: int, seconds: float) -> tuple[float, float]:
    """Returns the score of a contender in a process of its own, and how long that took."""
    command = [sys.executable, "-m", "tests.benchmarks.tuner.labels", who, name]
    begun = time.monotonic()
    pinned = ["taskset", "--cpu-list", str(core()), *command, str(seed), str(begun + seconds)]
    variables = os.environ | SINGLE_THREADED
    done = subprocess.run(
        pinned, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(json.loads(done.stdout)), time.monotonic() - begun


def _contend(who: str, name: str, seed: int, end: float) -> float:
    """Returns what a contender reaches in this process, until a time of `time.monotonic`."""
    if who == "ours":
        prepare_host()
    frame = pd.read_parquet(folder_of_sets() / f"{name}.parquet")
    targets = [each for each in frame if each.startswith(_TARGET)]
    rows = np.random.RandomState(seed).permutation(len(frame))
    count = round(_TRAIN_SHARE * len(frame))
    train, test = (frame.iloc[each].reset_index(drop=True) for each in (rows[:count], rows[count:]))
    left = end - time.monotonic()
    found = _LEARNERS[who](train, test.drop(columns=targets), targets, left, seed)
    return float(f1_score(test[targets].to_numpy(np.int64), found, average="micro"))


def _ours(
    train: pd.DataFrame, test: pd.DataFrame, targets: list[str], seconds: float, seed: int
) -> npt.NDArray[np.int64]:
    problem = problem_from_frame(train, targets, ProblemKind.MULTI_LABEL)
    with TemporaryDirectory() as folder:
        tuned = tune(problem, Settings(seconds=seconds, seed=seed), Path(folder))
        return np.asarray(tuned.estimator.predict(test), np.int64)


def _forests(
    train: pd.DataFrame, test: pd.DataFrame, targets: list[str], seconds: float, seed: int
) -> npt.NDArray[np.int64]:
    features = train.drop(columns=targets)
    found = [
        RandomForestClassifier(_TREES, random_state=seed).fit(features, train[each]).predict(test)
        for each in targets
    ]
    return np.column_stack(found).astype(np.int64)


_LEARNERS: dict[str, Learn] = {"ours": _ours, "forests": _forests}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        score = _contend(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
        sys.stdout.write(json.dumps(score))
    else:
        publish("tuner-labels", labels(), NOTES)
