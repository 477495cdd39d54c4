"""What the doctor finds, and what an archive for debugging leaves out."""

import email.utils
import json
import socket
from pathlib import Path

import pytest

from common.cli import checks, debug
from common.cli.checks import Level
from common.cli.connection import VARIABLES
from common.cli.context import CliContext
from common.cli.program import run
from common.local.home import SuiteHome
from common.records.objects import not_found
from common.secrets import is_secret


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliContext:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIMASS_HOME", str(tmp_path / "home"))
    return CliContext(SuiteHome(tmp_path / "home"))


def test_an_open_token_file_is_a_problem_with_its_cure(cli: CliContext) -> None:
    """Secrets that others can read are named with the command that hides them."""
    cli.home.create()
    cli.home.ensure_tokens()
    assert not list(checks.check_home(cli))
    cli.home.token_file.chmod(0o644)
    (finding,) = checks.check_home(cli)
    assert finding.level is Level.PROBLEM
    assert finding.cure == f"chmod go= {cli.home.token_file}"


def test_a_missing_openmp_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no package manager of Python can install is said before a search fails for it."""
    monkeypatch.setattr(checks, "_OPENMP", "libnowhere.so.1")
    (finding,) = checks.check_openmp()
    assert "libnowhere.so.1 missing" in finding.what and "libgomp1" in finding.cure


@pytest.mark.parametrize(
    ("needed", "wanted", "level"),
    [(0, 0, Level.GOOD), (0, 2**62, Level.NOTE), (2**62, 2**62, Level.PROBLEM)],
)
def test_room_is_judged(tmp_path: Path, needed: int, wanted: int, level: Level) -> None:
    """A folder that does not exist yet is judged by the disk it will be on."""
    (finding,) = checks.check_room(tmp_path / "a" / "b", "data", needed, wanted)
    assert finding.level is level
    assert str(tmp_path) in finding.what


@pytest.mark.parametrize(("apart", "word"), [(0, "agree"), (90, "ahead"), (-90, "behind")])
def test_clocks_are_compared(apart: float, word: str) -> None:
    """Signatures and leases suffer from clocks that differ, and the reason is hard to see."""
    now = 1_800_000_000.0
    (finding,) = checks.compare_clocks(email.utils.formatdate(now - apart, usegmt=True), now)
    assert word in finding.what
    assert (finding.level is Level.GOOD) is (apart == 0)
    assert [each.level for each in checks.compare_clocks("", now)] == [Level.NOTE]


def test_a_store_that_does_not_answer_is_a_problem(
    cli: CliContext, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code says that something is wrong, each line what, and what to do."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("AIMASS_S3_ENDPOINT", endpoint)
        monkeypatch.setenv("AIMASS_TLS_CERT_FILE", "/no/such/file")
        assert run(["--json", "doctor"]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    problems = [each for each in found if each["level"] == "problem"]
    assert any(endpoint in each["what"] for each in problems)
    assert any("AIMASS_TLS_CERT_FILE=/no/such/file" in each["cure"] for each in problems)
    assert all(each["cure"] for each in problems)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AIMASS_S3_SECRET_KEY", True),
        ("openai_api_key", True),
        ("SSH_PRIVATE_KEY", True),
        ("Db_Passwd", True),
        ("MYSQL_PWD", True),
        ("PWD", False),
        ("OLDPWD", False),
        ("AIMASS_TOKEN_FILE", False),
        ("aimass_secrets_dir", False),
        ("AIMASS_HOME", False),
    ],
)
def test_what_is_secret_is_known_by_its_name(name: str, expected: bool) -> None:
    """In either case of letters; a path is none, though it leads to one."""
    assert is_secret(name) is expected


def test_secrets_are_left_out_wherever_they_stand(cli: CliContext) -> None:
    """Variables, the folder's tokens and keys, and what a header showed: none is passed on."""
    cli.home.create()
    tokens = cli.home.ensure_tokens()
    keys = cli.home.ensure_store_credentials()
    environment = {
        "AIMASS_TOKEN": "token-of-somebody",
        "AIMASS_S3_SECRET_KEY": "secret-key-of-the-store",
        "AIMASS_TOKEN_FILE": "/etc/aimass/tokens.json",
        "AIMASS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=something",
        "HOME": "/home/ada",
    }
    assert debug.settings(environment) == {
        "AIMASS_HOST": "127.0.0.1",
        "AIMASS_S3_SECRET_KEY": "[removed]",
        "AIMASS_TOKEN": "[removed]",
        "AIMASS_TOKEN_FILE": "/etc/aimass/tokens.json",
        "OTEL_EXPORTER_OTLP_HEADERS": "[removed]",
    }
    secrets = debug.secrets_of(cli.home, environment)
    content = " ".join([*tokens.values(), *keys, *environment.values(), "Bearer abcdefgh.ijk"])
    cleaned = debug.without(content, secrets)
    for secret in (*tokens.values(), *keys, "token-of-somebody", "secret-key", "abcdefgh"):
        assert secret not in cleaned
    assert "/home/ada" in cleaned and "127.0.0.1" in cleaned


def test_hints_of_errors_are_commands_that_exist() -> None:
    """A hint that cannot be typed is worse than none."""
    hints = {not_found(f"{each}/a").help_command for each in ("datasets", "models", "trainingRuns")}
    hints |= {"aimass runs cancel x", "aimass debug x", "aimass agents list"}
    for hint in hints:
        words = [word for word in hint.split()[1:] if word != "x"]
        assert run([*words, "--help"]) == 0, hint
