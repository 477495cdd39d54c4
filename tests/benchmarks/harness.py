"""What all benchmarks share: interleaved runs, measures with aims, the table and the JSON file.

A benchmark is a module `tests.benchmarks.<name>`, run by `make bench NAME=<name>`. With
`AIMASS_BENCH_QUICK=1` it does few repeats, to see that it works.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

from rich.console import Console
from rich.table import Table

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
"""The repository."""
RESULTS = ROOT / "build" / "bench"
"""Where results go."""


@dataclass(frozen=True)
class Aim:
    """What a measure should reach; all that is given must hold.

    Attributes:
        at_most: Largest own value; None for any.
        at_least: Smallest own value; None for any.
        ratio: Largest share of the other's value; None for any.
    """

    at_most: float | None = None
    at_least: float | None = None
    ratio: float | None = None

    def __str__(self) -> str:
        parts = []
        if self.at_most is not None:
            parts.append(f"<= {self.at_most:g}")
        if self.at_least is not None:
            parts.append(f">= {self.at_least:g}")
        if self.ratio is not None:
            parts.append(f"ratio <= {self.ratio:.3g}")
        return ", ".join(parts)

    def is_met(self, ours: float | None, ratio: float | None) -> bool | None:
        """Returns whether it is reached; None where nothing was aimed at or can be said."""
        if self == Aim():
            return None
        if ours is None:
            return False
        is_within = self.at_most is None or ours <= self.at_most
        is_within = is_within and (self.at_least is None or ours >= self.at_least)
        if not is_within or self.ratio is None:
            return is_within
        return None if ratio is None else ratio <= self.ratio


@dataclass(frozen=True)
class Measure:
    """One line of a benchmark's result.

    Attributes:
        measure: What was measured, with its unit.
        ours: Our value; None where there is none.
        theirs: The other's; None where it has none, for example because it hung.
        ratio: ours / theirs.
        aim: What was aimed at; empty for nothing.
        met: Whether it was reached; None where nothing was aimed at or can be said.
    """

    measure: str
    ours: float | None
    theirs: float | None
    ratio: float | None
    aim: str
    met: bool | None

    @classmethod
    def of(
        cls, measure: str, ours: float | None, theirs: float | None = None, aim: Aim | None = None
    ) -> "Measure":
        """Compares two values."""
        wanted = aim or Aim()
        ratio = None if ours is None or not theirs else ours / theirs
        return cls(measure, ours, theirs, ratio, str(wanted), wanted.is_met(ours, ratio))


def is_quick() -> bool:
    """Returns whether few repeats are wanted."""
    return os.environ.get("AIMASS_BENCH_QUICK", "") not in ("", "0")


def repeats(full: int, quick: int = 1) -> int:
    """Returns the number of repeats: one for real figures, one to see that it works."""
    return quick if is_quick() else full


def interleave(contenders: Mapping[str, Callable[[int], T]], rounds: int) -> dict[str, list[T]]:
    """Runs contenders in turn, so that a machine whose speed drifts treats all alike.

    Args:
        contenders: By name; each takes the number of the round, from 0.
        rounds: How often each runs; every other round goes the other way round.

    Returns:
        The results of each contender, by round.
    """
    results: dict[str, list[T]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders)[:: 1 if number % 2 == 0 else -1]
        for name in names:
            start = time.monotonic()
            result = contenders[name](number)
            results[name].append(result)
            took = time.monotonic() - start
            say(f"  round {number + 1}/{rounds} {name}: {_text(result)} (took {took:.1f} s)")
    return results


def middle(values: Sequence[float | None]) -> float | None:
    """Returns the median of the values that are there; None where most are missing."""
    present = [value for value in values if value is not None]
    return median(present) if len(present) * 2 > len(values) else None


def say(text: str) -> None:
    """Tells the person who waits how far it is."""
    print(text, flush=True)


def publish(name: str, measures: Sequence[Measure], notes: Sequence[str] = ()) -> None:
    """Prints the table and writes `build/bench/<name>.json`.

    Args:
        name: Of the benchmark.
        measures: In the order of the table.
        notes: What a reader must know, below the table.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps([asdict(measure) for measure in measures], indent=2) + "\n")
    console = Console(width=120)
    console.print(_table(name, measures))
    for note in notes:
        console.print(f"- {note}", highlight=False, markup=False)
    console.print(f"Written to {path.relative_to(ROOT)}", highlight=False)


def _table(name: str, measures: Sequence[Measure]) -> Table:
    title = f"{name}: quick, the figures say little" if is_quick() else name
    table = Table(title=title, title_justify="left")
    table.add_column("Measure")
    for column in ("Ours", "Theirs", "Ratio"):
        table.add_column(column, justify="right")
    table.add_column("Aim")
    table.add_column("Met")
    met = {True: "yes", False: "NO", None: ""}
    for each in measures:
        values = (_number(value) for value in (each.ours, each.theirs, each.ratio))
        table.add_row(each.measure, *values, each.aim, met[each.met])
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _text(result: object) -> str:
    return f"{result:.3g} s" if isinstance(result, float) else str(result)


def data_folder(name: str) -> Path:
    """Returns the folder of the data: `AIMASS_BENCH_DATA`, or its subfolder of that name."""
    given = Path(os.environ.get("AIMASS_BENCH_DATA") or ROOT.parent / "shared" / "data")
    return given / name if (given / name).is_dir() else given
