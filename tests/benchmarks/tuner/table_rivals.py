"""Who is measured on tables, and what rivals reached before.

Rivals run in environments of their own with their defaults. What one reached is kept in
`build/rivals/tables`, by set, seed, budget, versions and the machine's kind.
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from common.host.single_threaded import SINGLE_THREADED
from tests.benchmarks.tuner.environments import ENVIRONMENTS, Environment, interpreter
from tests.benchmarks.tuner.table_running import Outcome, run
from tests.benchmarks.tuner.table_sets import TableSet

_HERE = "tests.benchmarks.tuner"
_KEPT = ENVIRONMENTS / "tables"


@dataclass(frozen=True)
class Contender:
    """Who learns from tables.

    Attributes:
        name: As people know it.
        module: That is run, with its arguments.
        environment: What it runs in; None for ours.
        has_budget: Whether it takes a budget; others end when they are done.
        variables: Of its process's environment.
    """

    name: str
    module: tuple[str, ...]
    environment: Environment | None = None
    has_budget: bool = True
    variables: Mapping[str, str] = field(default_factory=dict, compare=False)


# The variables are those that the service starts its runs with.
OURS = Contender("ours", (f"{_HERE}.table_own",), variables=SINGLE_THREADED)
FLOORS = (
    Contender("RandomForest", (f"{_HERE}.table_floors", "forest"), has_budget=False),
    Contender("HistGradientBoosting", (f"{_HERE}.table_floors", "boosting"), has_budget=False),
)
FLAML = Contender(
    "FLAML",
    (f"{_HERE}.rivals.table_flaml",),
    Environment("FLAML", "flaml", (("flaml[automl]==2.7.0", "pyarrow==26.0.1"),)),
)
AUTOGLUON = Contender(
    "AutoGluon",
    (f"{_HERE}.rivals.table_autogluon",),
    Environment(
        "AutoGluon",
        "autogluon",
        (("autogluon.tabular[lightgbm,xgboost,catboost]==1.6.3", "pyarrow==24.0.0"),),
    ),
)
AUTOSKLEARN = Contender(
    "auto-sklearn",
    (f"{_HERE}.rivals.table_autosklearn",),
    Environment(
        "auto-sklearn",
        "autosklearn",
        (
            ("pip<24.1", "setuptools<58", "wheel", "swig<4.3"),
            (
                "numpy==1.22.4",
                "cython<3",
                "scipy==1.9.3",
                "scikit-learn==0.24.2",
                "pandas==1.5.3",
                "pyarrow==14.0.2",
                "dask==2022.12.1",
                "distributed==2022.12.1",
            ),
            (
                "--no-build-isolation",
                "ConfigSpace==0.4.21",
                "pynisher==0.6.4",
                "pyrfr==0.8.3",
                "smac==1.2",
                "auto-sklearn==0.15.0",
            ),
        ),
        python="3.9",
    ),
)
CONTENDERS = (OURS, *FLOORS, FLAML, AUTOGLUON, AUTOSKLEARN)

_Case = tuple[Contender, TableSet, int]


@dataclass
class Runner:
    """Runs contenders, and rivals only on what they were not run on before.

    Attributes:
        kept: When each rival was measured whose results were taken from those kept, by name.
    """

    kept: dict[str, set[str]] = field(default_factory=dict)
    _floors: dict[_Case, Outcome] = field(default_factory=dict)

    def outcome(self, contender: Contender, table: TableSet, seed: int, seconds: float) -> Outcome:
        """Returns what a contender reaches.

        Args:
            contender: Who.
            table: On what.
            seed: Of the split and of its own chance.
            seconds: The budget.

        Raises:
            UnavailableError: Its environment cannot be made.
        """
        if contender.environment is not None:
            return self._remembered(contender, contender.environment, table, seed, seconds)
        if contender.has_budget:
            return _run(Path(sys.executable), contender, table, seed, seconds)
        case = (contender, table, seed)
        if case not in self._floors:
            self._floors[case] = _run(Path(sys.executable), *case, seconds)
        return self._floors[case]

    def _remembered(
        self,
        contender: Contender,
        environment: Environment,
        table: TableSet,
        seed: int,
        seconds: float,
    ) -> Outcome:
        versions = [environment.python, *environment.steps]
        key = [table.name, table.digest(), seed, seconds, versions, _processor()]
        mark = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        path = _KEPT / f"{environment.folder}-{table.name}-{mark}.json"
        if path.exists():
            found = json.loads(path.read_text())
            self.kept.setdefault(contender.name, set()).add(found["measured"])
            return Outcome(**found["outcome"])
        outcome = _run(interpreter(environment), contender, table, seed, seconds)
        _KEPT.mkdir(parents=True, exist_ok=True)
        measured = f"{datetime.now(UTC):%Y-%m-%d}"
        # On a machine that was busy otherwise a rival had less than its budget.
        content = {"key": key, "measured": measured, "load": os.getloadavg()[0]}
        content["outcome"] = asdict(outcome)
        path.write_text(json.dumps(content, indent=1))
        return outcome


def _run(python: Path, contender: Contender, table: TableSet, seed: int, seconds: float) -> Outcome:
    command = [str(python), "-m", *contender.module]
    return run(command, table, seed, seconds, contender.variables)


@cache
def _processor() -> str:
    """Returns the kind of the machine's processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
