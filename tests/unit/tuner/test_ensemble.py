"""Ensembles: chosen as a slow reference would, not worse than one model, within limits, kept."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.models.estimators.combining import Mean, tilted
from common.scoring.registry import METRICS
from services.tuner.domain.ensemble.calibration import calibrated
from services.tuner.domain.ensemble.greedy import Greedy, affordable, pruned
from services.tuner.domain.ensemble.judging import judge
from services.tuner.domain.ensemble.objectives import PlainBag, bag_of
from services.tuner.domain.ensemble.pool import Cost, Limits, Pool, parts_of
from services.tuner.domain.ensemble.selection import (
    Ensemble,
    choose_ensemble,
    ensemble_outputs,
)
from services.tuner.domain.ensemble.stacking import linear_weights
from services.tuner.domain.ensemble.tilting import decided
from services.tuner.domain.problem import ProblemKind, Truth

BINARY, MULTICLASS = ProblemKind.BINARY, ProblemKind.MULTICLASS
LABELS, REGRESSION = ProblemKind.MULTI_LABEL, ProblemKind.REGRESSION


def truth_of(kind: ProblemKind, rows: int, random: np.random.Generator, width: int = 4) -> Truth:
    if kind is REGRESSION:
        return random.normal(size=rows)
    if kind is LABELS:
        return (random.random((rows, width)) < 0.3).astype(np.int8)
    shares = np.array([0.8, 0.2]) if kind is BINARY else np.full(width, 1 / width)
    return random.choice(len(shares), rows, p=shares).astype(np.int64)


def outputs_for(
    kind: ProblemKind, truth: Truth, quality: float, random: np.random.Generator, width: int
) -> npt.NDArray[np.float64]:
    """Outputs of a model that is right the more often the larger its quality."""
    rows = len(truth)
    if kind is REGRESSION:
        return np.asarray(truth, np.float64)[:, None] + random.normal(size=(rows, 1)) / quality
    if kind is LABELS:
        signs = np.where(truth == 1, 1.0, -1.0)
        scores = quality * signs + random.normal(size=truth.shape)
        return np.asarray(1 / (1 + np.exp(-scores)))
    scores = quality * (truth[:, None] == np.arange(width)) + random.normal(size=(rows, width))
    raised = np.exp(scores)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def pool_for(
    kind: ProblemKind,
    metric: str,
    rows: int = 200,
    qualities: Sequence[float] = (0.5, 1.0, 1.5, 1.2, 0.2, 0.9, 1.4, 0.7),
    seed: int = 0,
    width: int = 4,
) -> Pool:
    random = np.random.default_rng(seed)
    width = 2 if kind is BINARY else width
    truth = truth_of(kind, rows, random, width)
    outputs = [outputs_for(kind, truth, each, random, width) for each in qualities]
    numbers = tuple(range(10, 10 + len(qualities)))
    parts = parts_of(truth, kind)
    stacked = np.stack(outputs).astype(np.float32)
    return Pool(kind, METRICS[metric], truth, numbers, stacked, parts)


def fresh(pool: Pool, seed: int, rows: int, qualities: Sequence[float]) -> Pool:
    return pool_for(pool.kind, pool.metric.name, rows, qualities, seed, pool.outputs.shape[2])


KINDS = [
    (BINARY, "roc_auc"),
    (BINARY, "log_loss"),
    (BINARY, "f1"),
    (MULTICLASS, "log_loss"),
    (MULTICLASS, "brier"),
    (MULTICLASS, "balanced_accuracy"),
    (LABELS, "f1_micro"),
    (LABELS, "log_loss"),
    (REGRESSION, "rmse"),
    (REGRESSION, "mae"),
]
SUMMED = [
    *((BINARY, "log_loss"), (MULTICLASS, "log_loss"), (LABELS, "log_loss"), (REGRESSION, "rmse")),
    *((BINARY, "brier"), (MULTICLASS, "brier"), (LABELS, "brier"), (REGRESSION, "r2")),
]


@given(
    st.sampled_from(SUMMED),
    st.lists(st.integers(0, 4), min_size=0, max_size=6),
    st.integers(0, 10_000),
    st.booleans(),
)
@settings(max_examples=60)
def test_sums_that_are_kept_order_candidates_as_the_metric_does(
    which: tuple[ProblemKind, str], added: list[int], seed: int, is_weighted: bool
) -> None:
    pool = pool_for(*which, rows=60, qualities=(0.4, 1.1, 0.9, 1.3, 0.1), seed=seed)
    if is_weighted:
        pool = replace(pool, weights=np.random.default_rng(seed).uniform(0.1, 3, 60))
    quick, slow = bag_of(pool), PlainBag(pool)
    for each in added:
        quick.add(each)
        slow.add(each)
    found, expected = quick.tried(range(5)), slow.tried(range(5))
    assert np.array_equal(np.argsort(found), np.argsort(expected))
    if pool.metric.name == "log_loss":
        assert np.allclose(found, expected, rtol=1e-4)


def test_histograms_tell_the_area_under_the_curve() -> None:
    pool = pool_for(BINARY, "roc_auc", rows=3_000)
    quick, slow = bag_of(pool), PlainBag(pool)
    quick.add(1)
    slow.add(1)
    assert np.allclose(quick.tried(range(8)), slow.tried(range(8)), atol=3e-4)


def reference_greedy(pool: Pool, rounds: int) -> npt.NDArray[np.float64]:
    """Caruana's selection, as simple as can be: sorted start, then the best with replacement."""

    def loss(chosen: list[int]) -> float:
        return pool.loss(np.mean([pool.outputs[at] for at in chosen], axis=0, dtype=np.float64))

    starts = [pool.order[:count] for count in range(1, 5)]
    chosen = min(starts, key=loss)
    best, least, since = chosen, loss(chosen), 0
    while len(chosen) < rounds and since < 8:
        added = min(range(pool.size), key=lambda at: loss([*chosen, at]))
        chosen, since = [*chosen, added], since + 1
        if loss(chosen) < least:
            best, least, since = chosen, loss(chosen), 0
    return np.bincount(best, minlength=pool.size) / len(best)


@pytest.mark.parametrize(("kind", "metric"), [(MULTICLASS, "log_loss"), (REGRESSION, "rmse")])
def test_selection_equals_the_slow_reference(kind: ProblemKind, metric: str) -> None:
    for seed in range(3):
        pool = pool_for(kind, metric, seed=seed)
        found = Greedy(pool, Limits(), 60).weights()
        expected = reference_greedy(pool, 40)
        assert pool.loss(pool.blended(found, Mean.PLAIN)) == pytest.approx(
            pool.loss(pool.blended(expected, Mean.PLAIN)), rel=1e-6
        )


def test_of_equal_candidates_the_cheapest_is_taken() -> None:
    pool = pool_for(REGRESSION, "rmse", qualities=(1.0, 0.1))
    twice = np.concatenate([pool.outputs, pool.outputs])
    costs = {0: Cost(3.0, 1), 1: Cost(1.0, 1), 2: Cost(1.0, 1), 3: Cost(1.0, 1)}
    pool = replace(pool, outputs=twice, numbers=(0, 1, 2, 3), costs=costs)
    weights = Greedy(pool, Limits(members=1), 60).weights()
    assert weights.tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize(("kind", "metric"), KINDS)
def test_blend_beats_the_best_single_candidate_on_fresh_rows(
    kind: ProblemKind, metric: str
) -> None:
    qualities = (0.5, 1.0, 1.5, 1.2, 0.2, 0.9, 1.4, 0.7)
    pool = pool_for(kind, metric, 400, qualities)
    ensemble = choose_ensemble(pool)
    test = fresh(pool, 99, 2_000, qualities)
    blend = test.loss(tilt(test, ensemble))
    assert blend < test.losses[pool.order[0]]
    assert sum(ensemble.weights.values()) > 0
    assert abs(blend - ensemble.loss) < 6 * ensemble.error + 0.02


def tilt(pool: Pool, ensemble: Ensemble) -> npt.NDArray[np.float64]:
    outputs = ensemble_outputs(pool, ensemble)
    if ensemble.tilts is None:
        return outputs
    return tilted(outputs, ensemble.tilts, pool.kind.has_classes)


@given(st.integers(0, 1_000), st.integers(12, 60))
@settings(max_examples=8)
def test_copies_of_one_good_candidate_among_bad_ones_are_not_made_worse(
    seed: int, rows: int
) -> None:
    qualities = (2.5, *[0.05] * 10)
    pool = pool_for(REGRESSION, "rmse", rows, qualities, seed)
    ensemble = choose_ensemble(pool)
    test = fresh(pool, seed + 5_000, 3_000, qualities)
    assert test.loss(tilt(test, ensemble)) < test.losses[0] * 1.15


def test_few_rows_and_one_candidate_are_enough() -> None:
    for kind, metric in KINDS:
        for rows, qualities in ((3, (1.0, 0.5)), (40, (1.0,)), (1, (1.0, 0.4))):
            ensemble = choose_ensemble(pool_for(kind, metric, rows, qualities))
            assert np.isfinite(ensemble.loss)
            assert ensemble.weights


@given(
    st.lists(st.floats(0.1, 5), min_size=8, max_size=8),
    st.floats(0.1, 12),
    st.floats(0.5, 20),
    st.integers(1, 8),
)
@settings(max_examples=15)
def test_limits_hold_and_the_best_that_fits_is_taken(
    costs: list[float], seconds: float, size: float, members: int
) -> None:
    pool = pool_for(REGRESSION, "rmse", 80)
    pool = replace(
        pool, costs={n: Cost(each, 2 * each) for n, each in zip(pool.numbers, costs, strict=True)}
    )
    limits = Limits(seconds, size, members)
    ensemble = choose_ensemble(pool, limits)
    places = [pool.numbers.index(number) for number in ensemble.weights]
    within = [at for at in range(8) if limits.allow(pool.cost([at]))]
    if within:
        assert limits.allow(pool.cost(places))
    else:
        assert [costs[at] for at in places] == [min(costs)]
    assert len(places) <= members
    assert affordable(pool, limits)[0] == min(within or places, key=lambda at: pool.losses[at])


def test_small_weights_go() -> None:
    pool = pool_for(REGRESSION, "rmse", qualities=(1.0, 0.9, 0.8))
    found = pruned(pool, np.array([0.01, 0.5, 0.49]), Limits(), 0.02)
    assert found[0] == 0
    assert found.sum() == pytest.approx(1)


def test_overconfident_blend_is_calibrated_and_honest_one_left_alone() -> None:
    for kind, width in ((BINARY, 2), (MULTICLASS, 4)):
        pool = pool_for(kind, "log_loss", 1_500, (1.0,))
        outputs = np.asarray(pool.outputs[0], np.float64)
        sharp = outputs**4 / (outputs**4).sum(axis=1, keepdims=True)
        found = calibrated(pool, sharp)
        assert found.calibration is not None
        assert found.judged.loss < pool.loss(sharp) - 0.05
        assert found.calibration.apply(sharp).shape == (1_500, width)
        again = calibrated(pool, found.outputs)
        assert again.judged.loss > found.judged.loss - 0.01


def test_nothing_is_surer_than_its_rows() -> None:
    """A surprise costs less than if it had been impossible; sums stay 1."""
    pool = pool_for(MULTICLASS, "log_loss")
    sure = np.eye(pool.outputs.shape[2])[pool.truth.astype(np.int64)]
    found = calibrated(pool, sure)
    assert found.calibration is not None
    doubted = found.calibration.apply(sure)
    assert np.allclose(doubted.sum(axis=1), 1)
    assert 1 - 1 / pool.row_count < doubted.max() < 1
    surprise = -np.log(doubted.min())
    assert np.log(pool.row_count) < surprise < np.log(pool.row_count) + 5


def test_calibration_is_left_out_where_the_metric_does_not_see_it() -> None:
    pool = pool_for(BINARY, "roc_auc", 300, (1.0,))
    assert calibrated(pool, np.asarray(pool.outputs[0], np.float64)).calibration is None


def test_rare_classes_are_decided_for_where_the_metric_gains() -> None:
    pool = pool_for(BINARY, "f1", 2_000, (1.0,))
    low = np.asarray(pool.outputs[0], np.float64) * [1, 0.3]
    low /= low.sum(axis=1, keepdims=True)
    found = decided(pool, low)
    assert found.tilts is not None
    assert found.judged.loss < pool.loss(low) - 0.05
    assert decided(replace(pool, metric=METRICS["roc_auc"]), low).tilts is None


def test_standard_error_is_that_of_a_mean() -> None:
    pool = pool_for(REGRESSION, "mae", 2_000, (1.0,))
    outputs = np.asarray(pool.outputs[0], np.float64)
    expected = np.abs(outputs[:, 0] - pool.truth.astype(np.float64)).std() / np.sqrt(2_000)
    assert judge(pool, outputs).error == pytest.approx(expected, rel=0.6)
    assert judge(pool, outputs).gain_error(judge(pool, outputs)) == 0


def test_linear_stacker_lowers_the_loss_near_the_blend() -> None:
    for kind, metric in ((REGRESSION, "rmse"), (MULTICLASS, "log_loss"), (LABELS, "log_loss")):
        pool = pool_for(kind, metric, 800)
        start = np.full(8, 1 / 8)
        found = linear_weights(pool, start)
        assert found is not None
        weights, mean = found
        assert weights.min() >= 0
        assert pool.loss(pool.blended(weights, mean)) < pool.loss(pool.blended(start, mean))


def test_large_pool_takes_seconds() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(26, size=20_000)
    outputs = random.random((50, 20_000, 26), np.float32)
    outputs[:, np.arange(20_000), truth] += random.random((50, 1), np.float32) * 3
    outputs /= outputs.sum(axis=2, keepdims=True)
    parts = parts_of(truth, MULTICLASS)
    pool = Pool(MULTICLASS, METRICS["log_loss"], truth, tuple(range(50)), outputs, parts)
    start = time.process_time()
    Greedy(pool, Limits(), 60).weights()
    assert time.process_time() - start < 5


# From trials to the final estimator.
