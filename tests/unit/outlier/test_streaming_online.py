import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from services.outlier.domain.detector import Matrix, UnfitError
from services.outlier.domain.keeping import DamagedError
from services.outlier.domain.streaming.half_space_trees import HalfSpaceTrees
from services.outlier.domain.streaming.online import Online, OnlineDetector, OnlineScores

QUICK = Online(trees=HalfSpaceTrees(trees=8, height=6, window=100), memory=192, recent=200)
MARK_AT = 2000


def stream(count: int, odd: float = 0.03, gaps: float = 0.05, seed: int = 0) -> Matrix:
    generator = np.random.default_rng(seed)
    rows: Matrix = generator.normal(size=(count, 4)) * [1, 10, 0.1, 1] + [0, 5, 0, -3]
    rows[generator.random(count) < odd] *= 5
    rows[generator.random(rows.shape) < gaps] = np.nan
    return rows


def alike(ours: OnlineScores, theirs: list[OnlineScores]) -> None:
    """Asserts that batches say together what one said."""
    for name in ("scores", "p_values", "probabilities", "marked"):
        together = np.concatenate([getattr(part, name) for part in theirs])
        np.testing.assert_array_equal(getattr(ours, name), together)
    assert ours.threshold == theirs[-1].threshold
    assert list(ours.drifts) == [drift for part in theirs for drift in part.drifts]


def drifting(count: int, seed: int) -> Matrix:
    rows = stream(count, seed=seed)
    rows[count // 2 :, 1] += 60
    return rows


@settings(max_examples=8)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.integers(0, 5))
def test_batches_change_nothing(sizes: list[int], seed: int) -> None:
    """Protects users from a result that depends on how their stream arrives, drifts included."""
    rows = drifting(sum(sizes), seed)
    whole, parts = QUICK.start(4), QUICK.start(4)
    expected = whole.process(rows)
    alike(expected, [parts.process(part) for part in np.split(rows, np.cumsum(sizes)[:-1])])


def test_one_row_at_a_time_is_the_same() -> None:
    """Protects the extreme case, beside batches of 64, and that alarms are among what is alike."""
    rows = drifting(1000, seed=1)
    expected = QUICK.start(4).process(rows)
    single, blocks = QUICK.start(4), QUICK.start(4)
    alike(expected, [single.process(row[None]) for row in rows])
    alike(expected, [blocks.process(rows[at : at + 64]) for at in range(0, 1000, 64)])
    assert expected.drifts


@settings(max_examples=12)
@given(st.integers(0, 700), st.booleans(), st.integers(0, 3))
def test_goes_on_where_it_stopped(at: int, labels: bool, seed: int) -> None:
    """Protects long streams: restored at any row, it goes on as if it had never stopped."""
    rows = drifting(800, seed)
    detector = QUICK.start(4)
    detector.process(rows[:at])
    if labels and at:
        numbers = np.arange(at)[-20:]
        detector.learn_labels(rows[numbers], numbers % 3 == 0, numbers)
    arrays, numbers_and_texts = detector.state()
    assert all(isinstance(value, float | int | str) for value in numbers_and_texts.values())
    assert all(array.dtype.kind in "fib" for array in arrays.values())
    restored = OnlineDetector.from_state(arrays, numbers_and_texts)
    expected = detector.process(rows[at:])
    alike(expected, [restored.process(rows[at : at + 30]), restored.process(rows[at + 30 :])])
    again, _ = restored.state()
    for name, array in detector.state()[0].items():
        np.testing.assert_array_equal(array, again[name])


def test_a_state_does_not_change_with_its_detector() -> None:
    """Protects what is being written to a store while the stream goes on."""
    detector = QUICK.start(4)
    detector.process(stream(500))
    arrays, _ = detector.state()
    before = {name: array.copy() for name, array in arrays.items()}
    detector.process(stream(500))
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])


def test_a_damaged_state_is_refused() -> None:
    """Protects from going on with half a detector."""
    detector = QUICK.start(4)
    detector.process(stream(300))
    arrays, numbers = detector.state()
    del arrays["trees/ranges"]
    with pytest.raises(DamagedError):
        OnlineDetector.from_state(arrays, numbers)


def test_planted_anomalies_are_marked_from_nothing() -> None:
    """Protects the purpose: no share of anomalies is told, and hardly a usual row is marked."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(6000, 10))
    odd = generator.random(6000) < 0.04
    rows[odd] += generator.normal(size=(odd.sum(), 10)) * 4
    said = Online().start(10).process(rows)
    later = slice(256, None)
    assert roc_auc_score(odd[later], said.scores[later]) > 0.99
    assert said.marked[later][odd[later]].mean() > 0.95
    assert said.marked[later][~odd[later]].mean() < 0.003
    assert said.probabilities[later][odd[later]].mean() > 0.9
    assert said.probabilities[later].mean() == pytest.approx(0.04, abs=0.02)


@pytest.mark.parametrize("wanted", [0.001, 0.01])
@pytest.mark.parametrize("kind", ["normal", "exponential"])
def test_usual_rows_are_marked_no_more_than_wanted(kind: str, wanted: float) -> None:
    """Protects users from alarms where nothing is odd; a larger share is not without effect."""
    rows = getattr(np.random.default_rng(0), kind)(size=(8000, 6))
    marked = Online(false_alarms=wanted).start(6).process(rows).marked
    assert marked[:64].sum() == 0
    assert (wanted / 20 if wanted == 0.01 else 0) <= marked.mean() < 3 * wanted


def test_marks_come_back_after_a_drift() -> None:
    """Protects streams that move: the new level is soon usual, and rows odd there are marked."""
    rows = stream(4000, odd=0, gaps=0)
    rows[MARK_AT:, 0] += 30
    rows[3900:3910, 0] = 0
    said = Online().start(4).process(rows)
    assert said.marked[MARK_AT : MARK_AT + 20].all()
    assert said.marked[3000:3900].mean() < 0.02
    assert said.marked[3900:3910].all()
    assert any(drift.feature == 0 and MARK_AT < drift.row < 2100 for drift in said.drifts)


def labelled(detector: OnlineDetector, value: float, anomalous: bool, count: int = 3) -> None:
    rows = np.full((count, 4), value) + np.random.default_rng(3).normal(size=(count, 4)) * 0.05
    detector.learn_labels(rows, np.full(count, anomalous))


def warm() -> OnlineDetector:
    detector = Online().start(4)
    detector.process(np.random.default_rng(0).normal(size=(1500, 4)))
    return detector


def score_of(detector: OnlineDetector, row: npt.ArrayLike) -> float:
    copy = OnlineDetector.from_state(*detector.state())
    return float(copy.process(np.array([row], float)).scores[0])


def test_a_labelled_normal_lowers_similar_scores() -> None:
    """Protects feedback: rows like it are usual from now on, unlike ones stay odd."""
    detector = warm()
    near, far = [6, 6, 6, 6], [-6, 6, -6, 6]
    before = score_of(detector, near), score_of(detector, far)
    assert min(before) > detector.threshold
    labelled(detector, 6, anomalous=False)
    assert score_of(detector, near) < detector.threshold / 2
    assert score_of(detector, far) > detector.threshold
    assert score_of(detector, far) == pytest.approx(before[1], rel=0.05)


def test_a_labelled_anomaly_raises_similar_scores() -> None:
    """Protects feedback: what users call an anomaly is marked when it comes again."""
    detector = warm()
    before = score_of(detector, [1.8] * 4)
    assert before < detector.threshold
    labelled(detector, 1.8, anomalous=True)
    assert score_of(detector, [1.8] * 4) > detector.threshold
    assert score_of(detector, [0.1, -0.2, 0.1, 0]) < detector.threshold


def test_labels_move_the_threshold() -> None:
    """Protects feedback: missed anomalies lower it, false alarms raise it, within limits."""
    missed, alarmed, mad = warm(), warm(), warm()
    threshold = missed.threshold
    labelled(missed, 1.8, anomalous=True)
    assert missed.threshold < threshold
    labelled(alarmed, 6.0, anomalous=False, count=9)
    assert alarmed.threshold > threshold
    labelled(mad, 0.0, anomalous=True, count=50)
    rows = np.random.default_rng(5).normal(size=(1000, 4)) + 0.9
    assert mad.process(rows).marked.mean() < 0.5


def test_labelled_anomalies_are_not_learned_as_usual() -> None:
    """Protects against anomalies that become usual by coming often."""
    usual = np.random.default_rng(0).normal(size=(1000, 4))
    odd = np.arange(800, 1000) % 2 == 0
    rows = usual.copy()
    rows[800:][odd] = 4 + 0.1 * rows[800:][odd]
    told, untold = Online().start(4), Online().start(4)
    for detector in (told, untold):
        detector.process(rows)
    numbers = np.flatnonzero(odd) + 800
    told.learn_labels(rows[numbers], np.ones(len(numbers), bool), numbers)
    parts = [detector._judge(np.full((1, 4), 4.0))[0] for detector in (told, untold)]
    assert (parts[0] >= parts[1]).all()
    assert parts[0][0] > parts[1][0]
    assert np.isnan(told._parts[numbers % 1024]).all()


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((300, 2)),
        np.full((300, 3), np.nan),
        np.random.default_rng(0).choice([1e308, -1e308, np.inf, 0.0], (300, 2)),
        np.arange(300.0)[:, None] % 2,
        np.zeros((0, 2)),
        np.random.default_rng(0).normal(size=(130, 10_000)),
        np.asfortranarray(np.random.default_rng(0).normal(size=(300, 3))),
    ],
    ids=["constant", "missing", "huge", "two values", "none", "wide", "by column"],
)
def test_awkward_streams_give_finite_scores(rows: Matrix) -> None:
    """Protects streams from crashing on constants, gaps, and the ends of numbers."""
    said = Online().start(rows.shape[1]).process(rows)
    assert np.isfinite(said.scores).all()
    assert ((said.p_values > 0) & (said.p_values <= 1)).all()
    assert said.marked.mean() < 0.05 if len(rows) else not said.marked.any()


def test_a_stream_that_begins_with_nothing_but_gaps() -> None:
    """Protects from what is learned of rows without numbers: it begins when numbers come."""
    rows = np.random.default_rng(0).normal(size=(1500, 3))
    odd = np.full((5, 3), 9.0)
    said = Online().start(3).process(np.concatenate([np.full((400, 3), np.nan), rows, odd]))
    assert said.marked[-5:].all()
    assert said.marked[900:-5].mean() < 0.01


def test_a_constant_that_changes_is_marked() -> None:
    """Protects features that never varied: that is when a change matters."""
    rows = np.zeros((600, 2))
    rows[500, 1] = 1
    assert np.flatnonzero(Online().start(2).process(rows).marked).tolist() == [500]


def test_deviations_tell_which_number_is_odd() -> None:
    """Protects explanations of marks."""
    deviations = warm().deviations(np.array([[0.0, 0.0, 9.0, np.nan]]))
    assert np.nanargmax(deviations[0]) == 2
    assert np.isnan(deviations[0, 3])


def test_rows_of_another_width_are_refused() -> None:
    """Protects users from an error of shapes: the text names the expected number."""
    detector = warm()
    with pytest.raises(UnfitError, match="4 numbers"):
        detector.process(np.zeros((2, 5)))
    with pytest.raises(UnfitError, match="label"):
        detector.learn_labels(np.zeros((2, 4)), np.ones(1, bool))
