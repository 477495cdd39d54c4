"""Random numbers of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.domain.augmentation.draws import Draws

MANY = np.arange(20_000)


def draws(seed: int = 1, epoch: int = 0, places: np.ndarray = MANY) -> Draws:
    return Draws.of_rows(seed, epoch, places)


@given(
    places=st.lists(st.integers(0, 2**40), min_size=1, max_size=50, unique=True).map(np.array),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_a_row_gets_the_same_numbers_whoever_is_beside_it(
    places: np.ndarray, seed: int, data: st.DataObject
) -> None:
    """Protects runs whose number of workers changes: numbers go by the row's place alone."""
    chosen = np.array(data.draw(st.permutations(range(len(places)))))[: len(places) // 2 + 1]
    every, some = draws(seed, 3, places), draws(seed, 3, places[chosen])
    np.testing.assert_array_equal(every.uniforms(3)[chosen], some.uniforms(3))
    np.testing.assert_array_equal(every.of(chosen).normals(2), some.normals(2))
    np.testing.assert_array_equal(every.branch(4).beta(0.3)[chosen], some.branch(4).beta(0.3))


def test_seed_epoch_branch_and_call_give_other_numbers() -> None:
    """Protects from rows that look the same in each epoch, or changes that go hand in hand."""
    first = draws()
    series = [
        first.uniform(),
        first.uniform(),
        draws(seed=2).uniform(),
        draws(epoch=1).uniform(),
        draws().branch(0).uniform(),
        draws().branch(1).uniform(),
        draws(places=MANY + 1).uniform(),
    ]
    correlations = np.corrcoef(series) - np.eye(len(series))
    assert np.abs(correlations).max() < 0.03
    neighbours = np.corrcoef(series[0][1:], series[0][:-1])[0, 1]
    assert abs(neighbours) < 0.03


def test_numbers_follow_their_distributions() -> None:
    """Protects strengths: bounds, means and spreads."""
    uniform = draws().uniform(-1, 3)
    assert uniform.min() >= -1 and uniform.max() < 3
    assert uniform.mean() == pytest.approx(1, abs=0.03)
    histogram = np.histogram(uniform, bins=20)[0]
    assert histogram.min() > 800 and histogram.max() < 1_200
    normal = draws().normals(2)
    assert np.isfinite(normal).all()
    assert [normal.mean(), normal.std()] == pytest.approx([0, 1], abs=0.02)
    beta = draws().beta(0.2)
    assert [beta.mean(), beta.var()] == pytest.approx([0.5, 0.25 / 1.4], abs=0.02)
    assert draws().chosen(0.3).mean() == pytest.approx(0.3, abs=0.02)
    limits = MANY % 5 + 1
    whole = draws().integers(limits, 4)
    assert whole.min() == 0 and bool((whole < limits[:, None]).all())
    assert np.bincount(whole[limits == 5].ravel()).min() > 2_500
