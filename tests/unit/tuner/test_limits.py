"""What is returned and said where no candidate keeps the limits of the final model."""

import numpy as np
import pytest

from common.scoring.values import RMSE
from services.tuner.domain.ensemble.exceeding import exceeded
from services.tuner.domain.ensemble.pool import Cost, Limits, Pool
from services.tuner.domain.ensemble.selection import choose_ensemble
from services.tuner.domain.problem import ProblemKind

COSTS = (Cost(1.0, 900.0), Cost(2.0, 300.0), Cost(4.0, 600.0))


def pool() -> Pool:
    """Three candidates, of which the quickest is not the smallest."""
    truth = np.random.default_rng(0).normal(size=60)
    outputs = np.stack([truth, truth + 0.1, truth + 0.2])[..., None].astype(np.float32)
    parts = np.arange(60) % 3
    costs = dict(enumerate(COSTS))
    return Pool(ProblemKind.REGRESSION, RMSE, truth, (0, 1, 2), outputs, parts, costs=costs)


@pytest.mark.parametrize(
    ("limits", "nearest"),
    [(Limits(seconds=0.1), 0), (Limits(bytes=100), 1), (Limits(seconds=0.5, bytes=100), 1)],
)
def test_the_nearest_is_taken(limits: Limits, nearest: int) -> None:
    """It is the one that is least beyond what was asked for, not any cheap one."""
    assert list(choose_ensemble(pool(), limits).weights) == [nearest]


def test_each_limit_that_is_not_kept_is_named_with_both_numbers() -> None:
    """So that people know what to allow."""
    latency, size = exceeded(Limits(seconds=0.001, bytes=100), Cost(0.025, 900.0))
    assert "`row_latency`, 1 ms" in latency and "25 ms" in latency and "nearest" in latency
    assert "`model_bytes`, 100" in size and "900 bytes" in size and "nearest" in size


def test_nothing_is_said_of_limits_that_hold() -> None:
    """Neither of those that are exactly reached."""
    assert not exceeded(Limits(seconds=0.001, bytes=100), Cost(0.001, 100.0))
    assert not exceeded(Limits(), Cost(9e9, 9e9))
