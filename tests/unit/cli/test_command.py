"""The command as a whole, without a suite."""

import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from rich.console import Console

from common import errors
from common.cli import suite, text
from common.cli.connection import VARIABLES
from common.cli.errors import from_status, said_by, show
from common.cli.program import run
from common.local.home import Phase, ProcessState, SuiteHome, SuiteState

HEAVY = ("psutil", "minio", "pydantic", "torch", "numpy", "opentelemetry", "sklearn")


@pytest.fixture(autouse=True)
def no_suite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIMASS_HOME", str(tmp_path / "home"))
    return tmp_path


def test_a_plain_install_is_enough() -> None:
    """The command imports nothing that only the services need."""
    script = (
        "import sys; import common.cli.program;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_ctrl_c_while_the_program_loads_is_one_line() -> None:
    """Its imports take a second on a busy machine: an impatient user gets no traceback."""
    script = """
import os, signal, sys
from common.cli.__main__ import main

class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "common.cli.program":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Impatient())
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_ctrl_c_in_a_command_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that has nothing to say about what it leaves says at least that it ended."""

    def interrupt(home: SuiteHome) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(suite, "local_endpoint", interrupt)
    assert run(["env"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_the_state_of_a_process_shows_no_markup(
    no_suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Colours are for terminals: a pipe gets the bare word."""
    home = SuiteHome(no_suite / "home")
    home.create()
    process = ProcessState("catalog", Phase.FAILED, message="was ended by SIGKILL")
    home.write_state(SuiteState("a", Phase.FAILED, 1, processes=(process,)))
    assert run(["status"]) == 1
    shown = capsys.readouterr().out
    assert "failed" in shown
    assert "[" not in shown


def test_without_a_suite_the_cure_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """No address, no token: say how to get them."""
    for arguments in (["runs", "list"], ["env"], ["status"]):
        assert run(arguments) == 1
        assert "aimass up" in capsys.readouterr().err


def test_a_suite_that_stopped_is_not_called(no_suite: Path) -> None:
    """Old addresses in the state folder are not used once the supervisor is gone."""
    home = SuiteHome(no_suite / "home")
    home.create()
    home.ensure_tokens()
    home.write_state(SuiteState("a", Phase.RUNNING, 1, addresses={"catalog": "127.0.0.1:1"}))
    assert run(["datasets", "list"]) == 1


def test_an_unreachable_suite_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused connection is no traceback."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "127.0.0.1:1")
    assert run(["agents", "list"]) == 1
    shown = capsys.readouterr().err
    assert "The suite does not answer." in shown
    assert "Traceback" not in shown


def test_wrong_usage_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts can tell a typing mistake from a failed run."""
    assert run(["runs", "fly"]) == 2
    assert run(["--help"]) == 0
    assert "apply" in capsys.readouterr().out


def test_logs_name_what_there_is(no_suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last lines of a log are shown, in order, also where it is longer than one block."""
    home = SuiteHome(no_suite / "home")
    home.create()
    log = home.log_file("trainer")
    log.write_text("".join(f"{{line {number}}} {'x' * 60}\n" for number in range(3000)))
    assert run(["logs", "trainer", "-n", "2000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" x")[0] for line in lines] == [f"{{line {n}}}" for n in range(1000, 3000)]
    assert run(["logs", "tuner"]) == 1
    assert "there is trainer" in capsys.readouterr().err


def test_errors_show_fields_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Every wrong field is listed, and the command that helps."""
    error = errors.InvalidInputError(
        "The specification is wrong.",
        violations=[errors.FieldViolation("training_run.spec.epochs", "must be at least 1")],
        help_command="grpcurl describe aimass.trainer.v1.TrainingSpec",
    )
    show(from_status(errors.to_status(error)), Console(highlight=False, width=200))
    assert capsys.readouterr().out.splitlines() == [
        "Error: The specification is wrong.",
        "  training_run.spec.epochs: must be at least 1",
        "Try: grpcurl describe aimass.trainer.v1.TrainingSpec",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.214, "0.21 s"), (42.4, "42 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_time_spans(value: float, expected: str) -> None:
    """Times are as exact as a person needs."""
    assert text.seconds(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(12, "12 B"), (2048, "2.0 kB"), (5 * 1024**3, "5.0 GB")]
)
def test_sizes(value: int, expected: str) -> None:
    """Sizes have a unit."""
    assert text.size(value) == expected


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file", "a.csv"), "a.csv: No such file."),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer."),
    ],
)
def test_errors_of_the_system(error: OSError, said: str) -> None:
    """A file is named where there is one: not every error of the system is of a file."""
    assert said_by(error).message == said


def test_a_task_is_one_of_those_there_are(
    no_suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Models are imported with the same words as data sets, in the same ways of writing."""
    file = no_suite / "m.onnx"
    file.touch()
    assert run(["models", "import", str(file), "--name", "m", "--task", "juggling"]) == 1
    assert "--task: juggling is none of classification" in capsys.readouterr().err
    assert run(["models", "import", str(file), "--name", "m", "--task", "Multi-Label"]) == 1
    assert "--task" not in capsys.readouterr().err


def test_code_names() -> None:
    """A status without a message still says something."""
    assert from_status(status_pb2.Status(code=5)).message == grpc.StatusCode.NOT_FOUND.name


def test_no_time_is_less_than_nothing() -> None:
    """A clock that was set back while a run worked shows no negative time."""
    assert text.between(Timestamp(seconds=3600), Timestamp(seconds=60)) == text.seconds(0)
