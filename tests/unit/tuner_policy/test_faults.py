"""Policies survive a crash at any step, other replicas and a store that is away."""

from typing import Any, NoReturn

import pytest

from aimass.tuner.v1 import policy_pb2
from common.errors import UnavailableError
from tests.unit.tuner_policy.policies import CLEAR, Bench


class Crash(BaseException):
    """The process dies."""


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("step", range(1, 10))
async def test_a_crash_at_any_write_repeats_nothing(
    bench: Bench, step: int, is_written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL before or after any write to the store: another replica comes to the same end."""
    await bench.first()
    bench.catalog.add_version()
    writes, store = 0, bench.store
    plain = {name: getattr(store, name) for name in ("write", "create", "replace")}

    def dying(name: str) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == step and not is_written:
                raise Crash
            done = plain[name](*arguments)
            if writes == step:
                raise Crash
            return done

        return call

    for name in plain:
        setattr(store, name, dying(name))
    finished = False
    for _ in range(6):
        try:
            await bench.loop.look_once()
        except Crash:
            continue
        if len(bench.searches) == 2 and not finished:
            finished = True
            with monkeypatch.context() as alive:  # Whoever works on the search does not die.
                for name, call in plain.items():
                    alive.setattr(store, name, call)
                bench.finish(CLEAR)
    assert (len(bench.searches), len(bench.decisions)) == (2, 2)
    assert bench.decisions[-1].outcome == policy_pb2.DECISION_OUTCOME_MOVED
    assert (bench.catalog.alias, bench.catalog.moves, bench.policy.state.decision) == (2, 2, "")
    assert writes >= step, "there are fewer writes"


async def test_replicas_that_look_at_once_begin_one_search(bench: Bench) -> None:
    """Both have read the policy before either wrote."""
    policy = await bench.create()
    await bench.actor.act(policy)
    await bench.actor.act(policy)
    assert len(bench.searches) == len(bench.decisions) == 1


async def test_a_store_that_is_away_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One policy's trouble is not another's, and the next look does what was left."""
    await bench.create()

    def away(*arguments: object) -> NoReturn:
        raise UnavailableError("The store is away.")

    with monkeypatch.context() as trouble:
        trouble.setattr(bench.store, "create", away)
        await bench.loop.look_once()
    assert not bench.decisions
    await bench.loop.look_once()
    assert len(bench.searches) == 1
