"""The suite with its real services, started and stopped as a user does."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from common.cli.program import run
from common.local import processes
from common.local.home import Phase, SuiteHome, SuiteState
from common.local.plan import SuiteOptions
from common.local.suite import Suite, SuiteError
from common.local.supervisor import remove_commits
from common.services import SERVICE_PORTS

pytestmark = pytest.mark.slow

SERVICES_ONLY = SuiteOptions(agents=0)


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    suite = Suite(SuiteHome(tmp_path / "home"))
    yield suite
    suite.down()


def pids(state: SuiteState) -> list[int]:
    return [each.pid for each in state.processes if each.pid]


def interrupts_once(function: Callable[[], SuiteState | None]) -> Callable[[], SuiteState | None]:
    answers = iter([KeyboardInterrupt])

    def call() -> SuiteState | None:
        for error in answers:
            raise error
        return function()

    return call


def test_two_suites_live_side_by_side(suite: Suite, tmp_path: Path) -> None:
    """A second suite takes other ports, and stopping it leaves the first one alone."""
    other = Suite(SuiteHome(tmp_path / "other"))
    first = suite.up(SERVICES_ONLY)
    with other.running(SERVICES_ONLY) as second:
        addresses = {
            address
            for state in (first, second)
            for address in (*state.addresses.values(), state.store_endpoint)
        }
        assert len(addresses) == 2 * (len(SERVICE_PORTS) + 1)
        assert first.suite != second.suite
    assert processes.suite_processes(second.suite) == []
    assert all(psutil.pid_exists(pid) for pid in pids(first))
    report = suite.report()
    assert report is not None
    assert report.supervised
    assert all(each.state.phase is Phase.RUNNING for each in report.processes)
    assert all(each.memory > 0 for each in report.processes)


def test_ctrl_c_stops_a_supervisor_that_has_said_nothing_yet(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right after `up` nothing says yet that there is a supervisor: it must end all the same."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(suite.home, "read_state", interrupts_once(suite.home.read_state))
        suite.up(SERVICES_ONLY)
    assert not suite.home.is_locked()
    named = str(suite.home.path)
    # A process that ended meanwhile has no command line any more.
    lines = [each.info["cmdline"] or [] for each in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if named in line]


def test_what_a_killed_supervisor_left_is_replaced(suite: Suite) -> None:
    """After a SIGKILL of the supervisor, `up` ends the leftovers and keeps the suite's identity."""
    first = suite.up(SERVICES_ONLY)
    tokens = suite.home.tokens()
    supervisor = psutil.Process(first.supervisor_pid)
    supervisor.kill()
    supervisor.wait(10)
    assert all(psutil.pid_exists(pid) for pid in pids(first))
    second = suite.up(SERVICES_ONLY)
    assert not any(psutil.pid_exists(pid) for pid in pids(first))
    # Not the ports: a suite takes the lowest that are free, and others may end meanwhile.
    assert (second.suite, suite.home.tokens()) == (first.suite, tokens)


def test_leftovers_are_stopped_without_a_supervisor(suite: Suite) -> None:
    """`down` ends what a killed supervisor left behind."""
    state = suite.up(SERVICES_ONLY)
    supervisor = psutil.Process(state.supervisor_pid)
    supervisor.kill()
    supervisor.wait(10)
    assert suite.down()
    assert processes.suite_processes(state.suite) == []
    assert not suite.down()


def test_two_ups_at_once_start_one_suite(suite: Suite) -> None:
    """The second `up` waits for the first one's suite instead of starting another."""
    states: list[SuiteState] = []
    threads = [
        threading.Thread(target=lambda: states.append(suite.up(SERVICES_ONLY))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({state.supervisor_pid for state in states}) == 1
    assert len(states) == 2
    assert suite.up().supervisor_pid == states[0].supervisor_pid


def test_a_service_that_cannot_start_fails_the_start_with_its_reason(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason comes to the user, and nothing is left running."""
    monkeypatch.setenv("AIMASS_MINIO_BINARY", "/bin/false")
    with pytest.raises(SuiteError, match="store exited with code 1, 3 times in a row"):
        suite.up(SERVICES_ONLY)
    state = suite.home.read_state()
    assert state is not None
    assert processes.suite_processes(state.suite) == []


def test_the_command_starts_shows_and_stops_a_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`up`, `status`, `env`, `down`, with the exit codes that scripts rely on."""
    monkeypatch.setenv("AIMASS_HOME", str(tmp_path / "home"))
    for name in ("AIMASS_CATALOG_ADDRESS", "AIMASS_TRAINER_ADDRESS", "AIMASS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    try:
        assert run(["up", "--agents", "0"]) == 0
        assert "runs already" not in capsys.readouterr().out
        assert run(["up"]) == 0
        assert "runs already" in capsys.readouterr().out
        assert run(["status"]) == 0
        assert run(["env"]) == 0
        assert run(["agents", "list"]) == 0
        state = SuiteHome.default().read_state()
        assert state is not None
        shown = capsys.readouterr().out
        assert f"export AIMASS_CATALOG_ADDRESS={state.addresses['catalog']}" in shown
        catalog = next(each for each in state.processes if each.name == "catalog")
        os.kill(catalog.pid, signal.SIGSTOP)
        assert run(["status"]) == 0
    finally:
        assert run(["down"]) == 0
    assert run(["status"]) == 1
    assert processes.suite_processes(state.suite) == []


def test_commits_in_shared_memory_are_removed(tmp_path: Path) -> None:
    """A stopped suite keeps no memory, and another suite's commits stay."""
    for suite in ("mine", "theirs"):
        (tmp_path / f"aimass-{suite}" / "agent-1").mkdir(parents=True)
    remove_commits("mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["aimass-theirs"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("AIMASS_TLS_CERT_FILE", "/no/such/file"), ("AIMASS_METRICS_PORT", "many")],
)
def test_a_wrong_setting_is_named_before_anything_starts(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """`aimass up` says which variable is wrong, and leaves no process behind."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SuiteError, match=f"{name}={value}"):
        suite.up(SERVICES_ONLY)
    state = suite.home.read_state()
    assert state is not None and state.phase is Phase.FAILED
    assert processes.suite_processes(state.suite) == []
