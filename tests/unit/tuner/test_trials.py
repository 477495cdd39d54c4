"""Trials: a result, or a name for what went wrong, whatever a family does; nothing stays."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from common.data.schema import Column, ColumnType
from common.host.single_threaded import SINGLE_THREADED
from services.tuner.domain.families.family import Fold, TimeLeft
from services.tuner.domain.folds import fold_splits
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.space.configuration import Configuration, Setting
from services.tuner.domain.trials import hosting
from services.tuner.domain.trials.attempt import Desk, attempt, failure_of
from services.tuner.domain.trials.hosting import (
    TrialHost,
    TrialHostError,
    discard,
    load_estimator,
)
from services.tuner.domain.trials.memory import held_bytes
from services.tuner.domain.trials.messages import Order, TrialFiles, TrialSetup
from services.tuner.domain.trials.stored_problem import read_problem, write_problem
from services.tuner.domain.trials.trial import Candidate, TrialFailure, TrialResult, TrialTask
from tests.unit.tuner.trial_families import FAMILIES, MEBIBYTE, ErrorRate

REGISTRY = "tests.unit.tuner.trial_families"
LIMIT = 300 * MEBIBYTE


def made(rows: int = 400) -> Problem:
    """Returns a problem of two classes that the first column tells apart."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, rows)
    codes = generator.integers(0, 3, rows)
    features = pd.DataFrame(
        {
            "a": truth + 0.3 * generator.standard_normal(rows),
            "b": pd.Series([["x", "y", np.nan][code] for code in codes], dtype=object),
            "c": generator.standard_normal(rows),
        }
    )
    columns = (
        Column("a", ColumnType.NUMERIC),
        Column("b", ColumnType.CATEGORICAL, categories=("x", "y")),
        Column("c", ColumnType.NUMERIC),
    )
    return Problem(ProblemKind.BINARY, columns, features, truth, ("no", "yes"))


def opened(folder: Path, concurrency: int = 1, registry: str = REGISTRY) -> TrialHost:
    problem = made()
    splits = fold_splits(problem, 4, 0)
    return TrialHost(
        problem,
        splits,
        ErrorRate(),
        folder,
        memory_bytes=LIMIT,
        concurrency=concurrency,
        registry=registry,
    )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialHost]:
    """One host for all tests that leave it alive: it needs seconds to start."""
    with opened(tmp_path_factory.mktemp("trials"), concurrency=2) as host:
        yield host


def task(
    family: str,
    seconds: float = 10.0,
    fold: int = 0,
    share: float = 1.0,
    **configuration: Setting,
) -> TrialTask:
    return TrialTask(Candidate(0, family, configuration), fold, share, seconds)


def result_of(host: TrialHost, wanted: TrialTask) -> TrialResult:
    host.start(wanted)
    result = host.wait(60.0)
    assert result is not None and result.task == wanted
    assert not host.running
    return result


def ended(pids: list[int]) -> bool:
    """Waits until processes have ended; who adopts them may take a while to collect them."""
    for _ in range(500):
        if all(
            not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
            for pid in pids
        ):
            return True
        time.sleep(0.01)
    return False


def test_a_trial_gives_outputs_loss_and_estimator(host: TrialHost) -> None:
    """What comes back is what the estimator predicts for the judged rows of its fold."""
    result = result_of(host, task("bayes", fold=2))
    problem = made()
    split = fold_splits(problem, 4, 0)[2]
    judged = problem.take(split.judged)
    assert result.failure is None and result.outputs is not None
    expected = load_estimator(result).predict_proba(judged.features)
    np.testing.assert_array_equal(result.outputs, expected)
    assert result.loss == ErrorRate().loss(judged.truth, expected) < 0.2
    assert result.settings["rows"] == len(split.train)
    assert result.model_bytes == Path(result.model_path).stat().st_size > 0
    assert result.fit_seconds > 0 and result.predict_seconds > 0 and result.cpu_seconds > 0
    discard(result)
    assert not Path(result.model_path).exists()


def test_trials_repeat(host: TrialHost) -> None:
    """The same task has the same chance; another fold has other."""
    seeds = [result_of(host, task("prior", fold=fold)).settings["seed"] for fold in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]


def test_the_host_forks_safely_and_imports_for_all(host: TrialHost) -> None:
    """It has one thread only; what a trial had to import is there for the next one."""
    assert result_of(host, task("import")).settings["is_new"]
    assert not result_of(host, task("import")).settings["is_new"]
    assert psutil.Process(host.pid).num_threads() == 1


def test_a_share_of_the_rows(host: TrialHost) -> None:
    """Less is learned from, the same is judged."""
    whole, part = (result_of(host, task("prior", share=share)) for share in (1.0, 0.1))
    assert part.settings["rows"] == pytest.approx(0.1 * float(whole.settings["rows"]), abs=2)
    assert whole.outputs is not None and part.outputs is not None
    assert len(part.outputs) == len(whole.outputs)


@pytest.mark.parametrize(
    ("wanted", "failure", "message"),
    [
        (task("refuse"), TrialFailure.RAISED, "ValueError: cannot read … of …"),
        (task("nowhere"), TrialFailure.RAISED, "KeyError: …"),
        (task("not_finite"), TrialFailure.NOT_FINITE, "Some outputs are not finite."),
        (task("crash"), TrialFailure.CRASHED, "Its process died of SIGSEGV."),
        (
            task("die", signal=int(signal.SIGKILL)),
            TrialFailure.CRASHED,
            "Its process died of SIGKILL.",
        ),
        (task("leave", code=3), TrialFailure.CRASHED, "Its process ended with code 3."),
        (task("leave", code=0), TrialFailure.CRASHED, "Its process ended with code 0."),
        (task("seize"), TrialFailure.OUT_OF_MEMORY, "No more memory could be had."),
        (task("grow"), TrialFailure.OUT_OF_MEMORY, "It took more than 300 MiB of memory."),
        (task("sleep", seconds=0.1), TrialFailure.OUT_OF_TIME, "It had 0.1 s and took far longer."),
    ],
)
def test_failures_are_named(
    host: TrialHost, wanted: TrialTask, failure: TrialFailure, message: str
) -> None:
    """Whatever goes wrong is said in one line, and the next trial goes as if nothing had been."""
    pid = host.pid
    result = result_of(host, wanted)
    assert (result.failure, result.message) == (failure, message)
    assert result.loss == np.inf and result.outputs is None and not result.model_path
    assert result_of(host, task("prior")).failure is None
    assert host.pid == pid


def test_bounds_hold(host: TrialHost) -> None:
    """A hang ends a little after its time, growth a little beyond its bound."""
    started = time.monotonic()
    late = result_of(host, task("sleep", seconds=0.2))
    assert time.monotonic() - started < 0.2 * 1.15 + 0.3 + 0.5
    assert late.fit_seconds == pytest.approx(0.2 * 1.15 + 0.3, abs=0.3)
    assert LIMIT < result_of(host, task("grow")).peak_bytes < 2 * LIMIT


def test_a_peak_is_seen(host: TrialHost) -> None:
    """Memory that is held for a moment between two looks counts; that of the host does not."""
    assert 90 * MEBIBYTE < result_of(host, task("take")).peak_bytes < 130 * MEBIBYTE
    assert result_of(host, task("prior")).peak_bytes < 40 * MEBIBYTE


def test_time_left_ends_a_trial_in_peace(host: TrialHost) -> None:
    """One that asks how much time is left has a score, and says that it was cut short."""
    result = result_of(host, task("patient", seconds=0.1))
    assert result.failure is None and result.is_cut_short
    assert 0.05 < result.fit_seconds < 0.4


def test_time_is_kept_for_predicting(tmp_path: Path) -> None:
    """A tenth of a trial's time is not for fitting, or the outputs of large models come late."""
    seen: list[float] = []

    def learn(problem: Problem, fold: Fold, configuration: Configuration, left: TimeLeft) -> Any:
        seen.append(left())
        return FAMILIES["prior"].learn(problem, fold, configuration, left)

    problem = made()
    setup = TrialSetup(tuple(fold_splits(problem, 4, 0)), ErrorRate(), 0, LIMIT)
    families: dict[str, Any] = {"prior": replace(FAMILIES["prior"], learn=learn)}
    desk = Desk(problem, setup, families, TrialFiles(tmp_path))
    result = attempt(desk, Order(0, task("prior", seconds=10.0)), lambda: 10.0)
    assert result.failure is None and seen == [pytest.approx(9.0)]


def test_two_at_once(host: TrialHost) -> None:
    """The quick one does not wait for the slow one, which can be cancelled."""
    slow = host.start(task("sleep"))
    quick = host.start(task("prior"))
    assert not host.has_room and set(host.running) == {slow, quick}
    with pytest.raises(ValueError, match="2 trials run already"):
        host.start(task("prior"))
    result = host.wait(60.0)
    assert result is not None and result.task.candidate.family == "prior"
    assert host.wait(0.01) is None
    host.cancel(slow)
    assert host.wait(60.0) is None and not host.running
    assert result_of(host, task("prior")).failure is None


def test_a_trial_leaves_no_process(host: TrialHost) -> None:
    """What a family starts ends with its trial."""
    result = result_of(host, task("start"))
    assert result.failure is None
    assert ended([load_estimator(result).child_])


def test_death_of_the_host(host: TrialHost) -> None:
    """Its trials are named as crashed and end with it, and another one takes its place."""
    assert result_of(host, task("prior")).failure is None
    first = host.pid
    for _ in range(2):
        host.start(task("sleep"))
    os.kill(first, signal.SIGKILL)
    for _ in range(2):
        result = host.wait(60.0)
        assert result is not None and result.failure is TrialFailure.CRASHED
    assert result_of(host, task("bayes")).failure is None
    assert host.pid != first and ended([first])


def test_a_host_that_hangs(host: TrialHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no longer ends trials in time is replaced, and they end with it."""
    assert result_of(host, task("prior")).failure is None
    monkeypatch.setattr(hosting, "_SILENCE_SECONDS", 0.1)
    host.start(task("sleep", seconds=0.1))
    while not (trials := psutil.Process(host.pid).children()):
        time.sleep(0.001)
    os.kill(host.pid, signal.SIGSTOP)
    result = host.wait(60.0)
    assert result is not None and result.failure is TrialFailure.CRASHED
    assert ended([trial.pid for trial in trials])


def test_a_host_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that is not there ends the search instead of starting hosts for ever."""
    monkeypatch.setattr(hosting, "_MOST_FALSE_STARTS", 0)
    with pytest.raises(TrialHostError), opened(tmp_path, registry="tests.nowhere") as host:
        host.start(task("prior"))
        host.wait(60.0)


@pytest.mark.parametrize("is_forked", [False, True])
def test_death_of_the_search(tmp_path: Path, is_forked: bool) -> None:
    """Nothing outlives the process that searches, however it dies; a fork knows its modules."""
    first = "import threading; threading.Thread(target=time.sleep, args=[60]).start()"
    script = textwrap.dedent(f"""
        import sys, time
        {"" if is_forked else first}
        from pathlib import Path
        import psutil
        from tests.unit.tuner.test_trials import opened, task
        with opened(Path({str(tmp_path)!r})) as host:
            host.start(task("prior"))
            host.wait(60.0)
            host.start(task("sleep"))
            while not (trials := psutil.Process(host.pid).children()):
                time.sleep(0.01)
            print(host.pid, *(trial.pid for trial in trials), flush=True)
            time.sleep(60)
    """)
    command, variables = [sys.executable, "-c", script], os.environ | SINGLE_THREADED
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE) as search:
        assert search.stdout is not None
        pids = [int(pid) for pid in search.stdout.readline().split()]
        assert len(pids) == 2
        # A fork has the command of the process that it was forked from.
        assert (psutil.Process(pids[0]).cmdline() == command) == is_forked
        search.kill()
        assert ended(pids)


def test_a_problem_on_the_disk_is_the_same(tmp_path: Path) -> None:
    """Columns keep order, types and gaps; equal texts are one object."""
    features = made().features.assign(d=True, e=pd.Series(["p", "q"] * 200, dtype="str"))
    problem = replace(made(), features=features)
    write_problem(problem, tmp_path)
    found = read_problem(tmp_path)
    pd.testing.assert_frame_equal(found.features, problem.features)
    np.testing.assert_array_equal(found.truth, problem.truth)
    assert found.columns == problem.columns
    assert len({id(value) for value in found.features["b"]}) == 3


def test_messages_hold_neither_paths_nor_data() -> None:
    """Errors of libraries quote values and say where files are."""
    assert failure_of(OSError(28, "No space left on device", "/tmp/x/y")) == (
        TrialFailure.RAISED,
        "OSError: [Errno 28] No space left on device: …",
    )
    assert failure_of(AttributeError("no 'fit'"))[1] == "AttributeError: no 'fit'"
    assert failure_of(RuntimeError("std::bad_alloc"))[0] is TrialFailure.OUT_OF_MEMORY
    assert failure_of(RuntimeError()) == (TrialFailure.RAISED, "RuntimeError")


def test_memory_of_a_process_that_is_gone() -> None:
    """Looking at a process that has just ended is no error."""
    assert held_bytes(2**22 + 1) == 0 < held_bytes()
