"""Which columns are found to be needed where the truth is known: ours and Boruta.

Part of `make bench NAME=pruner`; alone it is `python -m tests.benchmarks.pruner.features`.
"""

import gzip
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from services.pruner.domain.features.needed import needed_columns
from tests.benchmarks.harness import Aim, Measure, interleave, publish, repeats, say
from tests.benchmarks.tuner.environments import Environment, UnavailableError, interpreter

NOTES = (
    "Columns that are needed: each table has real columns and noise. Of waveform-40 19 are noise, "
    "and the first and the last real one have no signal either; of spambase there is a shuffled "
    "copy of each of the 57 columns. Figures are the worst of all seeds, times medians of CPU time "
    "in one thread. Ours prunes a random forest of 100 trees that is there, given 6 s, of the same "
    "80 % of the rows as Boruta with its defaults (3/10 of them held out); its time includes all "
    "that it fits. Brier scores are of such forests on the other 20 %, which nobody saw.",
)
RIVAL = Environment(
    "Boruta", "boruta", (("boruta==0.4.3", "pandas==2.3.3"), ("--no-deps", "dmba==0.2.4"))
)
"""With a package of data sets, of which spambase is one."""
_SCRIPT = Path(__file__).parent / "rivals" / "boruta_columns.py"
_SECONDS = 6.0
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_ROWS = 5000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Rows with the columns `noise_...`, which say nothing, and others.

    Attributes:
        features: Of all rows.
        truth: Positions of classes, (rows,).
    """

    features: pd.DataFrame
    truth: npt.NDArray[np.int64]

    def part(self, rows: npt.NDArray[np.int64]) -> "Table":
        """Returns some rows."""
        return Table(self.features.iloc[rows].reset_index(drop=True), self.truth[rows])

    def parts(self, seed: int) -> tuple["Table", "Table"]:
        """Returns four fifths of the rows, and the others."""
        order = np.random.default_rng(seed).permutation(len(self.truth))
        cut = len(order) * 4 // 5
        return self.part(order[:cut]), self.part(order[cut:])


@dataclass(frozen=True)
class Result:
    """What a contender kept.

    Attributes:
        seconds: CPU time.
        noise: Columns of noise that it kept.
        lost: Real columns that it did not keep.
        brier: Of a forest with the columns that it kept, on rows that nobody saw before.
    """

    seconds: float
    noise: list[str]
    lost: list[str]
    brier: float

    def __str__(self) -> str:
        lost = ", ".join(self.lost) or "none"
        return f"{self.seconds:.1f} s, noise kept {len(self.noise)}, real lost: {lost}"


def features() -> list[Measure]:
    """Returns the measures."""
    tables: dict[str, Callable[[int], Table]] = {"waveform-40": waveform}
    try:
        python = interpreter(RIVAL)
        tables["spambase"] = partial(spambase, python)
    except UnavailableError as error:
        say(f"No Boruta and no spambase: {error}")
        python = None
    return [each for name, table in tables.items() for each in _measured(name, table, python)]


def _measured(name: str, table: Callable[[int], Table], python: Path | None) -> list[Measure]:
    say(f"Columns of {name}")
    contenders: dict[str, Callable[[int], Result]] = {"ours": lambda seed: _ours(table(seed), seed)}
    if python:
        contenders["Boruta"] = lambda seed: _theirs(python, table(seed), seed)
    found = interleave(contenders, repeats(3))
    whole = max(_brier_of(table(seed), None, seed) for seed in range(len(found["ours"])))
    most = partial(_compared, found, max)
    return [
        most(f"{name}: columns of noise kept", lambda each: len(each.noise), Aim(at_most=0)),
        most(f"{name}: real columns lost", lambda each: len(each.lost), Aim(at_most=2)),
        most(f"{name}: Brier score (of all columns {whole:.4f})", lambda each: each.brier, Aim()),
        _compared(
            found, median, f"{name}: CPU time, s", lambda each: each.seconds, Aim(at_most=_SECONDS)
        ),
    ]


def _compared(
    found: dict[str, list[Result]],
    over: Callable[[list[float]], float],
    title: str,
    value: Callable[[Result], float],
    aim: Aim,
) -> Measure:
    """Compares a value of the contenders, of which there may be one only."""
    both = [over([value(each) for each in runs]) for runs in found.values()]
    return Measure.of(title, both[0], both[1] if len(both) > 1 else None, aim)


def _ours(table: Table, seed: int) -> Result:
    seen, _ = table.parts(seed)
    learned = seen.part(np.arange(len(seen.truth) * 7 // 10))
    held_out = seen.part(np.arange(len(learned.truth), len(seen.truth)))
    fitted = partial(_forest, learned, seed)
    model = fitted(list(learned.features))
    started = time.process_time()
    found = needed_columns(
        model,
        fitted,
        learned.features,
        learned.truth,
        held_out.features,
        held_out.truth,
        _losses,
        seed,
        lambda: None,
        _SECONDS,
    )
    return _result(table, time.process_time() - started, list(found.kept), seed)


def _theirs(python: Path, table: Table, seed: int) -> Result:
    seen, _ = table.parts(seed)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.npz"
        np.savez(path, features=seen.features.to_numpy(), truth=seen.truth)
        command = [str(python), str(_SCRIPT), str(path), str(seed)]
        output = subprocess.run(
            command, env=os.environ | _ONE_THREAD, check=True, capture_output=True, text=True
        ).stdout
    told = json.loads(output.splitlines()[-1])
    kept = table.features.columns[np.array(told["kept"], bool)].tolist()
    return _result(table, told["seconds"], kept, seed)


def _result(table: Table, seconds: float, kept: list[str], seed: int) -> Result:
    noise = [each for each in kept if each.startswith("noise_")]
    real = [each for each in table.features if not each.startswith("noise_")]
    lost = [each for each in real if each not in kept]
    return Result(seconds, noise, lost, _brier_of(table, kept, seed))


def _brier_of(table: Table, kept: list[str] | None, seed: int) -> float:
    """Returns the Brier score of a forest on unseen rows, with some columns or all."""
    seen, unseen = table.parts(seed)
    columns = kept or list(table.features)
    model = _forest(seen, seed, columns)
    return float(_losses(model, unseen.features[columns], unseen.truth).mean())


def _forest(table: Table, seed: int, columns: list[str]) -> RandomForestClassifier:
    forest = RandomForestClassifier(100, random_state=seed, n_jobs=1)
    return forest.fit(table.features[columns], table.truth)


def _losses(model: Any, frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Floats:
    wanted = truth[:, None] == model.classes_
    return np.asarray(np.square(model.predict_proba(frame) - wanted).sum(axis=1))


def waveform(seed: int) -> Table:
    """Returns waves with noise (Breiman et al., Classification and regression trees, 1984)."""
    random = np.random.default_rng(seed)
    places = np.arange(21)
    shapes = np.stack([np.maximum(6.0 - np.abs(places - peak), 0) for peak in (10, 14, 6)])
    truth = random.integers(3, size=_ROWS)
    first, second = np.array([[0, 1], [0, 2], [1, 2]])[truth].T
    share = random.random((_ROWS, 1))
    signals = share * shapes[first] + (1 - share) * shapes[second]
    values = np.hstack([signals, np.zeros((_ROWS, 19))]) + random.normal(size=(_ROWS, 40))
    names = [*(f"real_{place}" for place in places), *(f"noise_{place}" for place in range(19))]
    return Table(pd.DataFrame(values, columns=names), truth)


def spambase(python: Path, seed: int) -> Table:
    """Returns spambase (Hopkins et al. 1999, UCI) with a shuffled copy of each column.

    Args:
        python: Of an environment with the package `dmba`.
        seed: Shuffles.
    """
    [path] = python.parents[1].glob("lib/python*/site-packages/dmba/csvFiles/Spambase.csv.gz")
    with gzip.open(path) as file:
        real = pd.read_csv(file)
    truth = real.pop(real.columns[-1]).to_numpy(np.int64)
    random = np.random.default_rng(seed)
    noise = {f"noise_{name}": random.permutation(real[name].to_numpy()) for name in real}
    return Table(pd.concat([real, pd.DataFrame(noise)], axis=1), truth)


if __name__ == "__main__":
    publish("pruner_features", features(), NOTES)
