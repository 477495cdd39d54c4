"""Kills random processes of a whole suite under load, and says what was lost: nothing may be.

`python -m tests.chaos.services [rounds] [seed]` ends with 0 when nothing was.
"""

import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from common.local.processes import suite_processes
from common.testing.suite import RunningSuite, running_suite
from tests.chaos.load import Load, check

_LOADS = 2
_LOGS = Path("build/chaos")
_RESTART_SECONDS = 60.0
_POLL_SECONDS = 0.05
_OF_RUNS = ("job", "scorer", "resolver", "worker")
SUPERVISED = (
    *("catalog", "trainer", "outlier", "analyzer", "tuner", "pruner"),
    *("store", "agent-1", "agent-2"),
)


@dataclass
class Result:
    """What a campaign did, and what came of it.

    Attributes:
        kills: How often each kind of process was killed.
        imports: Imports that were acknowledged.
        runs: Training runs that were acknowledged.
        scans: Outlier scans that were acknowledged.
        analyses: Analyses that were acknowledged.
        tunings: Searches for models that were acknowledged.
        prunings: Prunings that were acknowledged.
        problems: What was lost, stuck or left behind.
    """

    kills: Counter[str] = field(default_factory=Counter)
    imports: int = 0
    runs: int = 0
    scans: int = 0
    analyses: int = 0
    tunings: int = 0
    prunings: int = 0
    problems: list[str] = field(default_factory=list)


def campaign(
    suite: RunningSuite,
    rounds: int,
    seed: int,
    told: Callable[[int, str], None] = lambda number, victim: None,
) -> Result:
    """Kills a random process in each round, while imports and runs of all kinds go on.

    Args:
        suite: The suite; it goes on afterwards.
        rounds: Number of kills.
        seed: Seed of the choice of victims and moments.
        told: Hears the round and its victim.
    """
    chance, result = random.Random(seed), Result()
    loads = [Load(suite, number) for number in range(_LOADS)]
    for load in loads:
        load.start()
    for number in range(rounds):
        # A fault comes at any moment of an import or of a run of any kind.
        time.sleep(chance.uniform(0.5, 4.0))
        victim = chance.choice([*SUPERVISED, *_OF_RUNS, *_OF_RUNS])
        told(number, victim)
        if _strike(suite, victim, chance):
            result.kills[victim] += 1
    for load in loads:
        load.stop()
        result.imports += len(load.ledger.imports)
        result.runs += len(load.ledger.runs)
        result.scans += len(load.ledger.scans)
        result.analyses += len(load.ledger.analyses)
        result.tunings += len(load.ledger.tunings)
        result.prunings += len(load.ledger.prunings)
        result.problems += check(suite, load.ledger)
    return result


def _strike(suite: RunningSuite, victim: str, chance: random.Random) -> bool:
    """Kills a process of a kind, where there is one; waits until one that is supervised is back."""
    if victim in SUPERVISED:
        process = suite.supervised(victim)
        process.send_signal(signal.SIGKILL)
        _await_restart(suite, victim, process.pid)
        return True
    found = [each for each in suite.processes() if _is_kind(each, victim)]
    if not found:
        return False
    try:
        chance.choice(found).send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return False
    return True


def _is_kind(process: psutil.Process, victim: str) -> bool:
    try:
        line = " ".join(process.cmdline())
        parent = process.parent()
        above = " ".join(parent.cmdline()) if parent is not None else ""
    except psutil.Error:
        return False
    if victim in ("job", "scorer", "resolver"):
        return f".{victim}" in line
    return "warm_process" in line and "warm_process" in above


def _await_restart(suite: RunningSuite, name: str, before: int) -> None:
    deadline = time.monotonic() + _RESTART_SECONDS
    while time.monotonic() < deadline:
        state = suite.suite.home.read_state()
        assert state is not None
        pid = next(each.pid for each in state.processes if each.name == name)
        if pid not in (0, before):
            return
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"{name} is not restarted")


def main() -> int:
    """Runs a campaign on a suite of its own and prints what came of it."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory(prefix="aimass-chaos-") as folder:
        with running_suite(Path(folder)) as suite:
            result = campaign(suite, rounds, seed, _tell)
        left = suite_processes(suite.state.suite)
        result.problems += [f"left behind: {each}" for each in left]
        if result.problems:
            _keep_logs(suite.suite.home.log_folder)
    kills = ", ".join(f"{victim} {count}" for victim, count in result.kills.most_common())
    print(f"killed: {kills}")
    print(
        f"acknowledged: {result.imports} imports, {result.scans} scans, {result.runs} training "
        f"runs, {result.analyses} analyses, {result.tunings} tunings, "
        f"{result.prunings} prunings"
    )
    for problem in result.problems:
        print(f"PROBLEM {problem}")
    if result.problems:
        print(f"the suite's logs are in {_LOGS}")
    print("nothing was lost" if not result.problems else f"{len(result.problems)} problems")
    return int(bool(result.problems))


def _keep_logs(folder: Path) -> None:
    """Copies a campaign's logs to where they outlive it; those of the last one are removed."""
    shutil.rmtree(_LOGS, ignore_errors=True)
    shutil.copytree(folder, _LOGS)


def _tell(number: int, victim: str) -> None:
    print(f"  round {number + 1}: {victim}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
