import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from services.outlier.domain.detector import Fitted, Matrix, UnfitError
from services.outlier.domain.detectors.neural import AutoEncoder
from tests.unit.outlier.support import rows_of

QUICK = AutoEncoder(epochs=3)


def on_a_plane(count: int, seed: int = 0) -> Matrix:
    """Six features made of two."""
    generator = np.random.default_rng(seed)
    mixed = np.random.default_rng(9).normal(size=(2, 6)) / np.sqrt(2)
    values: Matrix = generator.normal(size=(count, 2)) @ mixed
    return values + 0.05 * generator.normal(size=values.shape)


def fitted(values: npt.ArrayLike, detector: AutoEncoder = QUICK, seed: int = 0) -> Fitted:
    return detector.fit(rows_of(values), np.random.default_rng(seed))


def test_rows_off_the_plane_are_odd() -> None:
    """Protects what it is for: the features of odd rows are shuffled, each alone is usual."""
    usual = on_a_plane(300, seed=1)
    odd = np.random.default_rng(2).permuted(usual, axis=0)
    detector = fitted(on_a_plane(400), AutoEncoder(epochs=40))
    scores = detector.score(rows_of(np.concatenate([usual, odd])))
    assert roc_auc_score(np.repeat([0, 1], 300), scores) > 0.9


def test_is_deterministic_and_leaves_torch_alone() -> None:
    """Protects repeatability, and the random numbers and threads of others who use torch."""
    import torch  # noqa: PLC0415  # the module under test imports it late too

    values = on_a_plane(100)
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    first, same, other = (fitted(values, seed=seed).score(rows_of(values)) for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_scoring_needs_no_torch() -> None:
    """Protects start-up and memory of processes that only score."""
    code = "import sys, services.outlier.domain.detectors.neural; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stops_in_time() -> None:
    """Protects the limit: what is learned until then counts."""
    detector = fitted(on_a_plane(5000), AutoEncoder(epochs=1000, patience=100, seconds=0.05))
    assert np.isfinite(detector.score(rows_of(on_a_plane(10)))).all()


def test_a_score_does_not_depend_on_the_rows_beside_it() -> None:
    """Protects scoring in parts."""
    values = on_a_plane(1000)
    detector = fitted(values)
    together = detector.score(rows_of(values))
    assert together[[0, 999]] == pytest.approx(detector.score(rows_of(values[[0, 999]])), rel=1e-9)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((50, 3)),
        np.ones((2, 1)),
        np.random.default_rng(0).normal(size=(20, 10_000)),
        np.random.default_rng(0).normal(size=(40, 2)) * 1e300,
    ],
    ids=["constant", "two equal rows", "wide", "huge"],
)
def test_awkward_rows_are_scored(values: Matrix) -> None:
    """Protects against data that has nothing to rebuild, or far too much."""
    scores = fitted(values).score(rows_of(np.concatenate([values, 2 * values + 1])))
    assert np.isfinite(scores).all()


def test_one_wild_number_is_odd() -> None:
    """Protects against a network that squashes what is far away."""
    values = on_a_plane(200)
    wild = values[:1].copy()
    wild[0, 3] = 1e6
    detector = fitted(values)
    assert detector.score(rows_of(wild))[0] > detector.score(rows_of(values)).max()


def test_says_that_features_are_missing() -> None:
    """Protects the sentence users get where no column was chosen."""
    with pytest.raises(UnfitError, match="Choose some columns"):
        fitted(np.zeros((5, 0)))
