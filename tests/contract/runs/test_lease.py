"""Owners of a run as real processes on a real store: race, death, freeze."""

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

from aimass.type.v1 import run_pb2
from common.runs.kind import lease_key
from common.runs.lease import read_lease
from common.testing.runs_contract import OwnerProcess, Runs, owner_process

_PATIENCE_SECONDS = 20.0


def _acquire_when_free(owner: OwnerProcess) -> str:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (answer := owner.ask("acquire")) == "LEASE_HELD":
        assert time.monotonic() < deadline
    return answer


def test_of_owners_that_race_one_wins(runs: Runs) -> None:
    """Protects the run from two owners: however many try at once, one gets it."""
    name = runs.create("race")
    with ExitStack() as stack:
        owners = [stack.enter_context(owner_process(name)) for _ in range(3)]
        for owner in owners:
            owner.tell("acquire")
        answers = sorted(owner.hear() for owner in owners)
    assert answers == ["LEASE_HELD"] * 2 + ["acquired 1"]
    assert runs.get(name).status.attempt == 1


def test_killed_owner_is_replaced_at_once(runs: Runs, set_ttl: Callable[[float], None]) -> None:
    """Protects against losing half a minute: a death that can be proven needs no expiry."""
    set_ttl(600)
    name = runs.create("killed")
    with owner_process(name) as first, owner_process(name) as second:
        assert first.ask("acquire") == "acquired 1"
        assert first.ask("emit before") == "stored 2"
        assert second.ask("acquire") == "LEASE_HELD"
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        assert second.ask("acquire") == "acquired 2"
        assert second.ask("emit after") == "stored 4"
        assert second.ask("succeed") == "succeeded"
    runs.check_history(name)
    assert runs.get(name).status.last_sequence == 5


def test_frozen_owner_that_wakes_up_publishes_nothing(runs: Runs) -> None:
    """Protects a run that was taken over: its former owner adds no event, no end, no number."""
    name = runs.create("frozen")
    with owner_process(name) as first, owner_process(name) as second:
        assert first.ask("acquire") == "acquired 1"
        assert first.ask("emit before") == "stored 2"
        first.process.send_signal(signal.SIGSTOP)
        assert _acquire_when_free(second) == "acquired 2"
        assert second.ask("emit taken over") == "stored 4"
        first.process.send_signal(signal.SIGCONT)
        assert first.ask("emit too late") == "FENCED"
        assert first.ask("succeed") == "FENCED"
        assert second.ask("succeed") == "succeeded"
    runs.check_history(name)
    run = runs.get(name)
    assert (run.status.attempt, run.status.state) == (2, run_pb2.RUN_STATE_SUCCEEDED)
    assert not any(event.log_line.text == "too late" for event in runs.events(name))


def test_owner_that_was_frozen_past_its_lease_stops_without_a_successor(runs: Runs) -> None:
    """Protects the time between expiry and take-over: the late owner does not go on either."""
    name = runs.create("late")
    with owner_process(name) as owner:
        assert owner.ask("acquire") == "acquired 1"
        owner.process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (view := read_lease(runs.store, lease_key(name))) is None or not view.is_free():
            assert time.monotonic() < deadline
        owner.process.send_signal(signal.SIGCONT)
        assert owner.ask("emit too late") == "FENCED"
        assert owner.ask("succeed") == "FENCED"
    assert runs.get(name).status.state == run_pb2.RUN_STATE_RUNNING


def test_owner_elsewhere_is_given_its_time_to_live(
    runs: Runs, set_ttl: Callable[[float], None]
) -> None:
    """Protects owners whose death cannot be proven, as on another host: they have until expiry."""
    set_ttl(600)
    name = runs.create("elsewhere")
    with owner_process(name, {"AIMASS_SUITE": "other"}) as first, owner_process(name) as second:
        assert first.ask("acquire") == "acquired 1"
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        assert second.ask("acquire") == "LEASE_HELD"
