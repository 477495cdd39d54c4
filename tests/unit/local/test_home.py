"""The state folder."""

import json
import stat
from pathlib import Path

import pytest

from common.errors import DiskFullError
from common.local.home import HomeLockedError, Phase, ProcessState, SuiteHome, SuiteState
from common.local.suite import Suite
from common.serving.interceptors.auth import TokenTable


@pytest.fixture
def home(tmp_path: Path) -> SuiteHome:
    home = SuiteHome(tmp_path / "home")
    home.create()
    return home


def test_state_survives_a_round_trip(home: SuiteHome) -> None:
    """What the supervisor writes is what the command line reads."""
    state = SuiteState(
        "abc",
        Phase.RUNNING,
        12,
        addresses={"catalog": "127.0.0.1:7700"},
        processes=(ProcessState("catalog", Phase.RESTARTING, 13, restarts=2, message="died"),),
    )
    home.write_state(state)
    assert home.read_state() == state


def test_states_of_older_releases_are_read(home: SuiteHome) -> None:
    """An upgrade is no reason for a traceback: what is not known any more is left out."""
    written = json.loads(SuiteState("abc", Phase.STOPPED, 12).to_json())
    home.state_file.write_text(json.dumps({**written, "catalog_address": "127.0.0.1:7700"}))
    assert home.read_state() == SuiteState("abc", Phase.STOPPED, 12)


def test_no_state_before_the_first_start(home: SuiteHome) -> None:
    """A folder that never had a suite is no error."""
    assert home.read_state() is None


def test_secrets_are_for_the_owner_only_and_stay_the_same(home: SuiteHome) -> None:
    """Tokens and store keys are random, have mode 0600, and outlive a restart."""
    tokens, keys = home.ensure_tokens(), home.ensure_store_credentials()
    assert home.ensure_tokens() == tokens
    assert home.ensure_store_credentials() == keys
    assert len(set(tokens.values())) == len(tokens) == 3
    for path in home.path.glob("*.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_the_services_accept_the_token_file(home: SuiteHome) -> None:
    """The file has the form and the roles that the services' token table reads."""
    tokens = home.ensure_tokens()
    table = TokenTable.from_file(home.token_file)
    found = {subject: table.find(token) for subject, token in tokens.items()}
    roles = {subject: caller.role.value for subject, caller in found.items() if caller}
    assert roles == {"local": "admin", "service": "service", "agent": "agent"}


def test_services_of_an_older_suite_get_their_role(home: SuiteHome) -> None:
    """They were admins, and would now be refused to ask for others; tokens and people stay."""
    tokens = home.ensure_tokens()
    content = json.loads(home.token_file.read_text())
    content["tokens"][1]["role"] = "admin"
    content["tokens"].append({"token": "t", "subject": "ada", "role": "editor"})
    home.write_private(home.token_file.name, json.dumps(content))
    assert home.ensure_tokens() == {**tokens, "ada": "t"}
    kept = json.loads(home.token_file.read_text())["tokens"]
    assert [each["role"] for each in kept] == ["admin", "service", "agent", "editor"]
    assert home.token_file.stat().st_mode & 0o077 == 0


def test_one_folder_has_one_supervisor(home: SuiteHome) -> None:
    """A second supervisor is refused while the first lives, and let in afterwards."""
    other = SuiteHome(home.path)
    with home.lock():
        assert other.is_locked()
        with pytest.raises(HomeLockedError), other.lock():
            pass
    assert not other.is_locked()
    with other.lock():
        pass


def test_default_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`AIMASS_HOME` wins over the user's data folder."""
    monkeypatch.delenv("AIMASS_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert SuiteHome.default().path == tmp_path / "aimass"
    monkeypatch.setenv("AIMASS_HOME", str(tmp_path / "mine"))
    assert SuiteHome.default().path == tmp_path / "mine"


def test_state_is_readable_json(home: SuiteHome) -> None:
    """People and scripts may read the file."""
    home.write_state(SuiteState("abc", Phase.STARTING, 1))
    assert json.loads(home.state_file.read_text())["phase"] == "starting"


def test_a_full_disk_is_said_before_anything_starts(
    home: SuiteHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room a supervisor could not even log why it ends; nothing half-written stays."""
    before = sorted(home.path.iterdir())
    full = Path("/dev/full")  # a device of Linux that has no room, ever
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: full.open("wb"))
    monkeypatch.setattr(Suite, "_spawn", None)
    with pytest.raises(DiskFullError, match=str(home.path)):
        Suite(home).up()
    assert sorted(home.path.iterdir()) == before
