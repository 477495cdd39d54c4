"""Online streams: what was said to be saved outlives the scorer, and one feeder has the say."""

from dataclasses import dataclass

import numpy as np
import pytest

from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from common.artifacts.memory import MemoryStore
from common.errors import ConflictError, DataLossError, InvalidFieldError, UnavailableError
from common.records import RecordStore
from services.outlier.feedback import FeedbackBox
from services.outlier.scorer.streams import OnlineStreams
from tests.unit.outlier_service.test_rows import doubles, strings, table

NAME = "outlierStreams/pump"
ROWS = np.random.default_rng(0).normal(size=(1000, 2)).round(6)


@dataclass
class Clock:
    """Seconds that pass when they are told to."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Scorer:
    """The streams of one scorer process, in front of a store that outlives it."""

    def __init__(self, store: MemoryStore) -> None:
        self.clock = Clock()
        self.streams = OnlineStreams(store, RecordStore(store), self.clock)

    def open(self, session: str, **options: int) -> outlier_pb2.ScoreStreamResponse:
        detector = outlier_pb2.OnlineDetector(stream=NAME, **options)
        return self.streams.open(scorer_pb2.OpenStream(session=session, detector=detector))

    def feed(
        self, session: str, part: slice, explain: bool = False
    ) -> outlier_pb2.ScoreStreamResponse:
        rows = table(heat=doubles(*ROWS[part, 0]), speed=doubles(*ROWS[part, 1]))
        return self.streams.process(
            scorer_pb2.StreamRows(session=session, rows=rows, explain=explain)
        )

    def close(self, session: str) -> outlier_pb2.ScoreStreamResponse:
        return self.streams.close(scorer_pb2.CloseStream(session=session))


@pytest.fixture
def store() -> MemoryStore:
    """An empty store."""
    return MemoryStore()


def test_rows_that_were_saved_outlive_the_scorer(store: MemoryStore) -> None:
    """A new scorer goes on after the last row that was acknowledged as saved, with equal scores."""
    whole = Scorer(store)
    detector = outlier_pb2.OnlineDetector(stream="outlierStreams/whole")
    whole.streams.open(scorer_pb2.OpenStream(session="w", detector=detector))
    whole.feed("w", slice(0, 600))
    expected = whole.feed("w", slice(600, 700)).scored.scores

    dying = Scorer(store)
    assert dying.open("first").first_row == 0
    dying.feed("first", slice(0, 500))
    dying.clock.now = 5
    assert dying.feed("first", slice(500, 600)).saved_row_count == 600
    assert dying.feed("first", slice(600, 650)).saved_row_count == 600
    heir = Scorer(store)
    with pytest.raises(UnavailableError):
        heir.feed("first", slice(650, 700))
    opened = heir.open("second")
    assert (opened.first_row, opened.saved_row_count) == (600, 600)
    assert heir.feed("second", slice(600, 700)).scored.scores == expected


def test_closing_saves(store: MemoryStore) -> None:
    """Whoever ends a stream in peace loses nothing, and only the newest state is kept."""
    scorer = Scorer(store)
    for session, start in (("a", 0), ("b", 100), ("c", 200)):
        assert scorer.open(session).first_row == start
        scorer.feed(session, slice(start, start + 100))
        assert scorer.close(session).saved_row_count == start + 100
    assert len(list(store.list(f"{NAME}/"))) == 1


def test_pauses_save(store: MemoryStore) -> None:
    """Rows are saved although no others come: they outlive a scorer that dies then."""
    scorer = Scorer(store)
    scorer.open("a")
    scorer.feed("a", slice(0, 100))
    saving = scorer_pb2.SaveStream(session="a")
    assert scorer.streams.save(saving).saved_row_count == 100
    before = [info.key for info in store.list(f"{NAME}/")]
    assert scorer.streams.save(saving).saved_row_count == 100
    assert [info.key for info in store.list(f"{NAME}/")] == before
    assert Scorer(store).open("heir").first_row == 100
    with pytest.raises(ConflictError):
        scorer.streams.save(saving)
    scorer.feed("a", slice(100, 200))
    with pytest.raises(ConflictError):
        scorer.streams.save(saving)


def test_earlier_feeder_cannot_save(store: MemoryStore) -> None:
    """A stream has one feeder: the earlier one ends, what it learned since is not the stream's."""
    scorer, other = Scorer(store), Scorer(store)
    scorer.open("early")
    scorer.feed("early", slice(0, 100))
    other.open("late")
    other.feed("late", slice(0, 50))
    other.close("late")
    with pytest.raises(ConflictError):
        scorer.close("early")
    assert Scorer(store).open("next").first_row == 50
    assert len(list(store.list(f"{NAME}/"))) == 1


def test_parameters_are_those_of_the_beginning(store: MemoryStore) -> None:
    """What a stream was begun with is kept; other parameters are refused by name."""
    scorer = Scorer(store)
    scorer.open("a", trees=7)
    scorer.open("b", trees=7)
    scorer.open("c")
    with pytest.raises(InvalidFieldError, match="trees"):
        scorer.open("d", trees=8)
    stream = RecordStore(store).get(NAME, outlier_pb2.OutlierStream).resource
    assert (stream.detector.trees, stream.detector.recent) == (7, 1024)


def test_other_columns_are_refused(store: MemoryStore) -> None:
    """Rows of another shape, or of texts, are named; the stream's detector is as it was."""
    scorer = Scorer(store)
    scorer.open("a")
    scorer.feed("a", slice(0, 100))
    for rows, hint in [
        (table(heat=doubles(1.0)), "speed"),
        (table(heat=doubles(1.0), speed=doubles(1.0), other=doubles(1.0)), "other"),
        (table(heat=doubles(1.0), speed=strings("fast")), "speed"),
    ]:
        with pytest.raises(InvalidFieldError, match=hint):
            scorer.streams.process(scorer_pb2.StreamRows(session="a", rows=rows))
    assert scorer.feed("a", slice(100, 200)).first_row == 100


def test_columns_may_come_in_another_order(store: MemoryStore) -> None:
    """Columns are found by name."""
    scorer = Scorer(store)
    scorer.open("a")
    scorer.feed("a", slice(0, 300))
    scorer.close("a")
    straight, turned = Scorer(store), Scorer(store)
    straight.open("s")
    expected = straight.feed("s", slice(300, 400)).scored.scores
    turned.open("t")
    rows = table(speed=doubles(*ROWS[300:400, 1]), heat=doubles(*ROWS[300:400, 0]))
    answer = turned.streams.process(scorer_pb2.StreamRows(session="t", rows=rows))
    assert answer.scored.scores == expected


def test_feedback_is_learned_once(store: MemoryStore) -> None:
    """Feedback on a stream is learned when it is opened, by every heir the same, and once."""
    scorer = Scorer(store)
    scorer.open("a")
    scorer.feed("a", slice(0, 1000))
    scorer.close("a")
    rows = table(heat=doubles(6.0), speed=doubles(6.0))
    FeedbackBox(store, RecordStore(store)).add(
        outlier_pb2.OutlierFeedback(learner=NAME, subject=NAME),
        scorer_pb2.LabelledRows(rows=rows, anomalous=[False]),
        None,
    )

    def score(streams: OnlineStreams, session: str) -> float:
        question = scorer_pb2.StreamRows(session=session, rows=rows)
        return streams.process(question).scored.scores[0]

    ignorant = Scorer(MemoryStore())
    ignorant.open("i")
    ignorant.feed("i", slice(0, 1000))
    first = Scorer(store)
    first.open("f")
    taught = score(first.streams, "f")
    assert taught < score(ignorant.streams, "i")
    second = Scorer(store)
    second.open("s")
    assert score(second.streams, "s") == taught


def test_feedback_of_a_former_stream_is_not_learned(store: MemoryStore) -> None:
    """A stream that was made anew under a name begins with nothing, whatever was left behind."""
    feedback = outlier_pb2.OutlierFeedback(learner=NAME, subject=NAME)
    rows = table(heat=doubles(6.0), speed=doubles(6.0))
    labelled = scorer_pb2.LabelledRows(rows=rows, anomalous=[False])
    FeedbackBox(store, RecordStore(store)).add(feedback, labelled, None)
    taught, ignorant = Scorer(store), Scorer(MemoryStore())
    answers = []
    for scorer in (taught, ignorant):
        scorer.open("a")
        scorer.feed("a", slice(0, 900))
        scorer.close("a")
        scorer.open("b")
        question = scorer_pb2.StreamRows(session="b", rows=rows)
        answers.append(scorer.streams.process(question).scored.scores)
    assert answers[0] == answers[1]


def test_marked_rows_are_explained_where_asked(store: MemoryStore) -> None:
    """The column that is far from its running median is named."""
    scorer = Scorer(store)
    scorer.open("a")
    scorer.feed("a", slice(0, 900))
    question = scorer_pb2.StreamRows(
        session="a", rows=table(heat=doubles(0.0), speed=doubles(50.0)), explain=True
    )
    answer = scorer.streams.process(question)
    assert list(answer.scored.marked) == [True]
    assert answer.scored.explanations[0].reasons[0].column == "speed"
    assert not scorer.feed("a", slice(900, 1000)).scored.explanations


def test_damaged_state_is_told(store: MemoryStore) -> None:
    """A state that was tampered with is not used, and the cure is named."""
    scorer = Scorer(store)
    scorer.open("a")
    scorer.feed("a", slice(0, 100))
    scorer.close("a")
    (state,) = store.list(f"{NAME}/")
    store.upload(state.key, [b"damaged"])
    with pytest.raises(DataLossError):
        Scorer(store).open("b")
