"""What every detector keeps, whichever it is."""

import json

import numpy as np
import pytest
import safetensors.numpy
from sklearn.metrics import roc_auc_score

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from services.outlier.domain.detector import Detector, Fitted, Rows
from services.outlier.domain.detectors.registry import DETECTORS
from services.outlier.domain.keeping import put_together, take_apart
from services.outlier.domain.preparation import prepare

USUAL, ODD = 400, 12


def table() -> tuple[Rows, np.ndarray]:
    """Returns rows of three numbers that hang together and two labels, and which are odd."""
    generator = np.random.default_rng(3)
    first = generator.normal(size=USUAL)
    usual = np.stack([first, first + generator.normal(0, 0.3, USUAL), generator.normal(size=USUAL)])
    odd = generator.uniform(4, 7, (3, ODD)) * generator.choice([-1, 1], (3, ODD))
    kinds = np.concatenate([generator.integers(0, 3, USUAL), np.full(ODD, 3)])
    others = np.concatenate([kinds[:USUAL], np.arange(ODD) % 3])
    numbers = np.concatenate([usual, odd], axis=1)
    labels = ("a", "b", "c", "d")
    raw = RawRows(
        {"x": numbers[0], "y": numbers[1], "z": numbers[2], "kind": kinds, "other": others},
        {"kind": labels, "other": labels},
    )
    columns = [Column(name, ColumnType.NUMERIC) for name in "xyz"]
    columns += [Column(name, ColumnType.CATEGORICAL) for name in ("kind", "other")]
    return prepare(raw, columns).apply(raw), np.repeat([0, 1], [USUAL, ODD])


ROWS, LABELS = table()


@pytest.fixture(scope="module", params=sorted(DETECTORS))
def detector(request: pytest.FixtureRequest) -> Detector:
    """Each detector with its defaults."""
    return DETECTORS[request.param]()


@pytest.fixture(scope="module")
def fitted(detector: Detector) -> Fitted:
    """The detector, fitted once for the tests below."""
    return detector.fit(ROWS, np.random.default_rng(0))


def test_odd_rows_score_higher(fitted: Fitted) -> None:
    """Rows far out in every number and of a label of their own are found, without labels."""
    assert roc_auc_score(LABELS, fitted.score(ROWS)) > 0.9


def test_a_row_scores_alone_as_among_others(fitted: Fitted) -> None:
    """Scores in chunks, in another order, or of one row are the same scores."""
    whole = fitted.score(ROWS)
    assert whole.shape == (ROWS.count,) and np.isfinite(whole).all()
    order = np.random.default_rng(1).permutation(ROWS.count)
    np.testing.assert_allclose(fitted.score(ROWS.take(order)), whole[order], rtol=1e-6, atol=1e-9)
    for row in (0, ROWS.count - 1):
        alone = fitted.score(ROWS.take(np.array([row])))
        np.testing.assert_allclose(alone, whole[[row]], rtol=1e-6, atol=1e-9)


def test_is_kept_without_pickle(fitted: Fitted) -> None:
    """Arrays and JSON hold all of it: put together again it gives the same scores."""
    arrays, plain = take_apart(fitted)
    stored = safetensors.numpy.load(safetensors.numpy.save(arrays))
    again = put_together(stored, json.loads(json.dumps(plain)), type(fitted))
    np.testing.assert_array_equal(again.score(ROWS), fitted.score(ROWS))


def test_a_seed_repeats_it(detector: Detector, fitted: Fitted) -> None:
    """The generator is the only source of randomness."""
    again = detector.fit(ROWS, np.random.default_rng(0))
    np.testing.assert_allclose(again.score(ROWS), fitted.score(ROWS), rtol=1e-6, atol=1e-9)


def test_its_card_is_filled_in(detector: Detector) -> None:
    """Users are told for what each is good, what it costs and where it comes from."""
    card = detector.card
    assert card.fits.endswith(".") and card.cost and any(letter.isdigit() for letter in card.source)
    assert card.most_rows >= 1000
