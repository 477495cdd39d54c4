"""What policies begin, and what they decide by numbers."""

import pytest

from aimass.tuner.v1 import policy_pb2, tuner_pb2
from aimass.type.v1 import run_pb2
from tests.unit.tuner_policy.policies import CLEAR, DATA, DOUBTFUL, MODEL, NAME, Bench, Outcome


async def test_the_first_model_becomes_the_champion(bench: Bench) -> None:
    """There is nothing to compare with."""
    await bench.first()
    [decision] = bench.decisions
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_FIRST
    assert decision.trigger == policy_pb2.POLICY_TRIGGER_NO_CHAMPION
    assert decision.model_version == f"{MODEL}/versions/1" and bench.catalog.alias == 1
    assert decision.HasField("end_time") and not decision.champion
    [run] = bench.searches
    assert (run.name, run.spec.champion, run.labels["team"]) == (decision.tuning_run, "", "blue")
    assert run.status.creator == NAME
    state = bench.policy.state
    assert (state.decision, state.tuning_run, state.decision_count) == ("", run.name, 1)
    assert state.learned_version == f"{DATA}/versions/1"


async def test_nothing_is_done_twice_for_a_version(bench: Bench) -> None:
    """However often a policy looks."""
    await bench.first()
    for _ in range(3):
        await bench.loop.look_once()
    assert (len(bench.decisions), len(bench.searches), bench.catalog.moves) == (1, 1, 1)


async def test_a_clearly_better_model_takes_the_alias(bench: Bench) -> None:
    """Its search went on from the last one, and was compared with the champion."""
    await bench.first()
    version = bench.catalog.add_version()
    await bench.loop.look_once()
    spec = bench.searches[-1].spec
    assert (spec.dataset_version, spec.champion) == (version, f"{MODEL}/versions/1")
    assert spec.continue_from == bench.searches[0].name
    assert bench.decisions[-1].outcome == policy_pb2.DECISION_OUTCOME_SEARCHING
    bench.finish(CLEAR)
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_MOVED
    assert (bench.catalog.alias, decision.comparison.gain_low) == (2, CLEAR[1])
    assert "clearly better than models/d/versions/1" in decision.reason


@pytest.mark.parametrize(("gain", "rows"), [(DOUBTFUL, 100), (CLEAR, 29)])
async def test_without_a_clear_gain_the_alias_stays(
    bench: Bench, gain: tuple[float, float], rows: int
) -> None:
    """Also where too few rows say so. The next search goes on from this one all the same."""
    await bench.first()
    bench.catalog.add_version()
    await bench.loop.look_once()
    bench.finish(gain, rows)
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_KEPT
    assert (bench.catalog.alias, decision.comparison.row_count) == (1, rows)
    assert bench.policy.state.tuning_run == bench.searches[-1].name


async def test_an_alias_that_was_moved_meanwhile_stays(bench: Bench) -> None:
    """Whoever moved it knows why."""
    await bench.first()
    bench.catalog.add_version()
    await bench.loop.look_once()
    bench.catalog.add_model()
    bench.catalog.alias = 2
    bench.finish(CLEAR)
    await bench.loop.look_once()
    assert bench.decisions[-1].outcome == policy_pb2.DECISION_OUTCOME_OVERTAKEN
    assert bench.catalog.alias == 2


@pytest.mark.parametrize(
    ("drift", "outcome"),
    [
        (0.1, policy_pb2.DECISION_OUTCOME_NOT_NEEDED),
        (0.3, policy_pb2.DECISION_OUTCOME_SEARCHING),
    ],
)
async def test_drift_within_the_bound_starts_nothing(
    bench: Bench, drift: float, outcome: Outcome.ValueType
) -> None:
    """Both are recorded with the numbers; times move always, and do not count."""
    await bench.first(drift=0.25)
    bench.catalog.add_version()
    bench.catalog.drift = drift
    await bench.loop.look_once()
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert (len(bench.decisions), decision.outcome) == (2, outcome)
    [moved] = decision.drifts
    assert (moved.column, moved.distance) == ("x", drift)
    assert decision.base_version == f"{DATA}/versions/1"
    assert f"moved by {drift:.3g}" in decision.reason and "0.25" in decision.reason


async def test_feedback_beyond_the_bound_starts_a_search_once(bench: Bench) -> None:
    """On the version that there is; what was counted does not count again."""
    await bench.first(feedback_rows=5)
    bench.outliers.rows = 4
    await bench.loop.look_once()
    assert len(bench.decisions) == 1
    bench.outliers.rows = 5
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert decision.trigger == policy_pb2.POLICY_TRIGGER_FEEDBACK
    assert decision.feedback_rows == 5
    since = bench.policy.state.feedback_until
    assert since == decision.create_time
    bench.finish(DOUBTFUL)
    bench.outliers.rows = 0
    await bench.loop.look_once()
    await bench.loop.look_once()
    assert bench.outliers.filters[-1].endswith(f'create_time>"{since.ToJsonString()}"')
    assert len(bench.decisions) == 2


async def test_a_champion_that_knows_the_data_needs_no_search(bench: Bench) -> None:
    """A model that was there before the policy may have learned from the newest version."""
    bench.catalog.add_model(f"{DATA}/versions/1")
    bench.catalog.alias = 1
    await bench.create()
    await bench.loop.look_once()
    [decision] = bench.decisions
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_NOT_NEEDED
    assert "has learned from" in decision.reason and not bench.searches


async def test_a_paused_policy_begins_nothing_but_decides_what_is_under_way(bench: Bench) -> None:
    """Pausing loses no search."""
    await bench.create()
    await bench.loop.look_once()

    def pause(policy: policy_pb2.TuningPolicy) -> policy_pb2.TuningPolicy:
        policy.paused = True
        return policy

    bench.book.update(NAME, pause)
    bench.finish()
    await bench.loop.look_once()
    bench.catalog.add_version()
    await bench.loop.look_once()
    assert bench.catalog.alias == 1 and len(bench.decisions) == 1
    foreseen = await bench.actor.foresee(bench.policy)
    assert "is paused" in foreseen.reason


async def test_a_search_that_fails_leaves_the_alias(bench: Bench) -> None:
    """The decision says why, and the next version is looked at."""
    await bench.first()
    bench.catalog.add_version()
    await bench.loop.look_once()

    def fail(run: tuner_pb2.TuningRun) -> tuner_pb2.TuningRun:
        run.status.state = run_pb2.RUN_STATE_FAILED
        run.status.error.message = "The data are gone."
        return run

    bench.records.update(bench.searches[-1].name, tuner_pb2.TuningRun, fail)
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_FAILED
    assert "The data are gone." in decision.reason and bench.catalog.alias == 1
    assert bench.policy.state.tuning_run == bench.searches[0].name


async def test_a_version_that_cannot_be_compared_on_is_a_decision_with_a_reason(
    bench: Bench,
) -> None:
    """There is no search that would end without one."""
    await bench.first()
    bench.catalog.add_version(test=0)
    await bench.loop.look_once()
    decision = bench.decisions[-1]
    assert decision.outcome == policy_pb2.DECISION_OUTCOME_FAILED
    assert "no test rows" in decision.reason and len(bench.searches) == 1


async def test_a_dry_run_says_what_would_happen_and_stores_nothing(bench: Bench) -> None:
    """With the search as it would be begun."""
    await bench.first()
    seen = await bench.actor.foresee(bench.policy)
    assert seen.outcome == policy_pb2.DECISION_OUTCOME_NOT_NEEDED
    assert "has been looked at" in seen.reason
    version = bench.catalog.add_version()
    foreseen = await bench.actor.foresee(bench.policy)
    assert foreseen.outcome == policy_pb2.DECISION_OUTCOME_SEARCHING
    assert foreseen.trigger == policy_pb2.POLICY_TRIGGER_NEW_VERSION and not foreseen.name
    assert (foreseen.spec.dataset_version, foreseen.champion) == (version, f"{MODEL}/versions/1")
    assert len(bench.decisions) == len(bench.searches) == 1


async def test_a_request_searches_once_until_it_is_decided(bench: Bench) -> None:
    """A client that repeats its call on a broken connection begins no second search."""
    await bench.first()
    begun = await bench.actor.request(bench.policy)
    again = await bench.actor.request(bench.policy)
    assert begun.name == again.name and len(bench.searches) == 2
    assert begun.trigger == policy_pb2.POLICY_TRIGGER_REQUEST
