"""Small networks learn what a model says: of rows it knows, of others, in the time there is."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from aimass.catalog.v1 import model_pb2
from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from common.models.inputs import inputs_of_rows
from common.models.onnx_model import open_onnx
from common.models.preprocessing import Target
from common.models.sample_rows import sample_rows
from common.models.twin import Twin, export_twin
from services.pruner.domain.networks import Pace
from services.pruner.domain.students.column_graph import over_columns
from services.pruner.domain.students.distilling import Ask, Student, Syllabus, students
from services.pruner.domain.students.lessons import Lessons, lessons_of
from services.pruner.domain.students.made_rows import made_rows

COUNT = 600
LABELS = ("blue", "green", "red", "unseen")
COLUMNS = (
    Column("length", ColumnType.NUMERIC),
    Column("width", ColumnType.NUMERIC),
    Column("colour", ColumnType.CATEGORICAL, categories=LABELS),
    Column("sold", ColumnType.BOOLEAN),
)
NAMES = tuple(each.name for each in COLUMNS)
CLASSES = Target(name="y", task="classification", classes=("no", "yes"))
VALUES = Target(name="y", task="regression", mean=100.0, scale=20.0)
SHORT = Syllabus(sizes=((32, 16),), steps=1_500, made_rows=4_000)


def rows_of(count: int, seed: int) -> RawRows:
    """Returns rows of which some values are missing; one colour never comes."""
    generator = np.random.default_rng(seed)
    length = generator.normal(50, 10, size=count)
    length[generator.random(count) < 0.1] = np.nan
    return RawRows(
        {
            "length": length,
            "width": generator.normal(size=count).astype(np.float32),
            "colour": generator.integers(-1, 3, size=count).astype(np.int16),
            "sold": generator.integers(-1, 2, size=count).astype(np.int8),
        },
        {"colour": LABELS, "sold": ("false", "true")},
    )


def signature_of(*names: str) -> model_pb2.Signature:
    """Returns the signature of a model that takes columns by name."""
    return model_pb2.Signature(
        inputs=[model_pb2.TensorSpec(name=name, dtype="float64", shape=[-1]) for name in names]
    )


def lessons(target: Target) -> Lessons:
    """Returns lessons of rows with every type of column."""
    found = lessons_of(COLUMNS, signature_of(*NAMES), rows_of(COUNT, 0), np.arange(COUNT), target)
    assert found is not None
    return found


def score(rows: RawRows) -> npt.NDArray[np.float64]:
    """Returns what the model knows of rows; of missing values too."""
    length, width = (np.asarray(rows.columns[name], np.float64) for name in ("length", "width"))
    length = np.nan_to_num((length - 50) / 10, nan=0.5)
    colour, sold = (np.asarray(rows.columns[name], np.int64) for name in ("colour", "sold"))
    shift = np.array([0.0, 1.0, -1.0, 0.5, 0.2])[colour]
    return np.asarray(length + np.abs(width) + shift + 0.5 * sold - 1)


def chances(rows: RawRows) -> npt.NDArray[np.float64]:
    """Returns the probabilities that the model gives."""
    yes = 1 / (1 + np.exp(-2 * score(rows)))
    return np.column_stack([1 - yes, yes])


def values(rows: RawRows) -> npt.NDArray[np.float64]:
    """Returns the values that the model gives."""
    return 100 + 20 * score(rows).reshape(-1, 1)


def truth_of(target: Target) -> npt.NDArray[np.float64]:
    """Returns what is true of the rows: chance has a part in it."""
    generator = np.random.default_rng(7)
    rows = rows_of(COUNT, 0)
    if target is CLASSES:
        return (generator.random(COUNT) < chances(rows)[:, 1]).astype(np.float64)
    return values(rows)[:, 0] + generator.normal(scale=5, size=COUNT)


def pace(seconds: float = 120.0, seed: int = 0, check: Callable[[], None] = lambda: None) -> Pace:
    """Returns a pace that tells nobody anything."""
    return Pace(seconds, seed, check, lambda _: None)


def taught(target: Target, ask: Ask, own: Pace | None = None) -> Student:
    """Returns a student."""
    [student] = students(lessons(target), truth_of(target), ask, own or pace(), SHORT)
    return student


def said(student: Student, rows: RawRows, target: Target) -> npt.NDArray[np.float64]:
    """Returns what a student says of rows, by its twin."""
    own = lessons(target)
    inputs = [torch.from_numpy(each) for each in own.inputs(rows).values()]
    with torch.no_grad():
        found = Twin(student.network, own.preprocessing)(*inputs)
    return np.asarray(found.double().numpy())


@pytest.fixture(scope="module")
def classifier() -> Student:
    """A student of a classifier."""
    return taught(CLASSES, chances)


def test_a_student_gives_the_probabilities_of_its_teacher(classifier: Student) -> None:
    """Of rows that neither has seen; classes with missing values and labels among them."""
    rows = rows_of(2_000, 1)
    found, wanted = said(classifier, rows, CLASSES), chances(rows)
    assert np.abs(found - wanted).mean() < 0.05
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.93
    assert "600 rows that this has learned from, and of 4,000 made of these" in classifier.note
    assert classifier.name == "network_32_16"


def test_a_student_gives_values_in_their_own_units() -> None:
    student, rows = taught(VALUES, values), rows_of(2_000, 1)
    found, wanted = said(student, rows, VALUES), values(rows)
    assert np.sqrt(np.square(found - wanted).mean()) < 0.15 * wanted.std()


def test_what_was_never_seen_counts_as_missing(classifier: Student) -> None:
    """A label without a row to learn from has no code of its own, nor has one of other data."""
    rows = rows_of(50, 2)
    unseen, missing = (
        replace(rows, columns={**rows.columns, "colour": np.full(50, code, np.int16)})
        for code in (LABELS.index("unseen"), -1)
    )
    other = RawRows(unseen.columns, {**rows.labels, "colour": ("a", "b", "c", "d")})
    expected = said(classifier, missing, CLASSES)
    assert np.isfinite(expected).all()
    for each in (unseen, other):
        np.testing.assert_array_equal(said(classifier, each, CLASSES), expected)


def test_the_same_seed_gives_the_same_network(classifier: Student) -> None:
    """Whatever else draws from torch's global generator, which is left as it was."""
    before = torch.manual_seed(5).get_state()
    again, other = taught(CLASSES, chances), taught(CLASSES, chances, pace(seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    own = classifier.network.state_dict()
    for name, each in again.network.state_dict().items():
        assert torch.equal(each, own[name])
    assert not torch.equal(other.network.state_dict()["layers.0.weight"], own["layers.0.weight"])


def test_time_ends_asking_and_training() -> None:
    """A network that has learned next to nothing is left out, which is told."""
    asked: list[int] = []
    told: list[str] = []

    def ask(rows: RawRows) -> npt.NDArray[np.float64]:
        asked.append(rows.count)
        return chances(rows)

    long = Syllabus(sizes=((16,), (32,)), steps=10_000_000, made_rows=1_000_000)
    none = Pace(0.0, 0, lambda: None, told.append)
    assert not [*students(lessons(CLASSES), truth_of(CLASSES), ask, none, long)]
    assert asked == [COUNT, 2_000]
    assert [each.split(",")[0] for each in told] == [
        *("Time is too short for network_16", "Time is too short for network_32")
    ]
    begin = time.monotonic()
    found = [*students(lessons(CLASSES), truth_of(CLASSES), chances, pace(6.0), long)]
    assert time.monotonic() - begin < 30
    for each in found:
        assert "of 10,000,000 steps" in each.note
        assert np.isfinite(said(each, rows_of(50, 1), CLASSES)).all()


def test_a_cancel_stops_between_two_steps() -> None:
    class CancelledError(Exception):
        """Stands for the end of a run."""

    calls = iter(range(1_000_000))

    def check() -> None:
        if next(calls) == 50:
            raise CancelledError

    with pytest.raises(CancelledError):
        taught(CLASSES, chances, pace(check=check))
    assert next(calls) == 51


def test_a_teacher_that_has_no_number_for_made_rows_still_teaches() -> None:
    """What it says of the rows that it has learned from is learned alone."""

    def ask(rows: RawRows) -> npt.NDArray[np.float64]:
        if rows.count != COUNT:
            raise ValueError("it gives values that are no numbers")
        return chances(rows)

    student, rows = taught(CLASSES, ask), rows_of(2_000, 1)
    assert "and of 0 made of these" in student.note
    assert np.abs(said(student, rows, CLASSES) - chances(rows)).mean() < 0.15


def test_a_teacher_of_no_numbers_at_all_is_an_error() -> None:
    def ask(rows: RawRows) -> npt.NDArray[np.float64]:
        raise ValueError("it gives values that are no numbers")

    with pytest.raises(ValueError, match="no numbers"):
        taught(CLASSES, ask)


def test_infinite_values_do_not_spoil_a_network() -> None:
    """A few models take them; scaled they would make weights of no number."""
    own = lessons(VALUES)
    length = own.rows.columns["length"].copy()
    length[:5] = np.inf
    own = replace(own, rows=RawRows({**own.rows.columns, "length": length}, own.rows.labels))

    def ask(rows: RawRows) -> npt.NDArray[np.float64]:
        finite = np.minimum(rows.columns["length"].astype(np.float64), 100)
        return values(replace(rows, columns={**rows.columns, "length": finite}))

    [student] = students(own, truth_of(VALUES), ask, pace(), replace(SHORT, steps=50))
    assert np.isfinite(said(student, rows_of(50, 1), VALUES)).all()


def test_a_graph_of_a_student_takes_columns_by_name(classifier: Student) -> None:
    """Codes are nobody's business: labels, truth values and missing ones go in as they are."""
    own, rows = lessons(CLASSES), rows_of(50, 3)
    rows.columns["colour"][0] = LABELS.index("unseen")
    twin = Twin(classifier.network, own.preprocessing)
    few = {name: torch.from_numpy(each) for name, each in own.inputs(rows).items()}
    content = over_columns(export_twin(twin, few, "probabilities").content, own)
    model = open_onnx(content, "model")
    assert [each.name for each in model.signature.inputs] == [*NAMES]
    inputs = inputs_of_rows(model, sample_rows(rows, COLUMNS, None))
    assert inputs["colour"][0, 0] == "unseen"
    found = np.asarray(model.predict(inputs)["probabilities"], np.float64)
    np.testing.assert_allclose(found, said(classifier, rows, CLASSES), atol=1e-6)


def test_made_rows_have_values_of_learned_ones() -> None:
    """Types and missing values are kept; there are as many as asked for, in pieces."""
    rows = rows_of(COUNT, 0)
    pieces = [*made_rows(rows, 13_500, 0, 1_000)]
    assert sum(each.count for each in pieces) == 13_500
    assert max(each.count for each in pieces) == 1_000
    for name, learned in rows.columns.items():
        made = np.concatenate([each.columns[name] for each in pieces])
        assert made.dtype == learned.dtype
        assert np.isin(made[~np.isnan(made)], learned).all()
    assert any((each.columns["colour"] == -1).any() for each in pieces)
    assert any(np.isnan(each.columns["length"]).any() for each in pieces)
    [other] = made_rows(rows, 1_000, 1, 1_000)
    assert not np.array_equal(other.columns["width"], pieces[0].columns["width"])


def lessons_for(signature: model_pb2.Signature, columns: tuple[Column, ...]) -> Lessons | None:
    """Returns the lessons of a model, None where no network can learn from it."""
    rows = rows_of(COUNT, 0)
    more = {each.name: np.zeros(COUNT) for each in columns if each.name not in rows.columns}
    rows = RawRows({**rows.columns, **more}, rows.labels)
    return lessons_of(columns, signature, rows, np.arange(COUNT), CLASSES)


def test_columns_are_those_that_the_model_takes() -> None:
    """By name; or all of numbers, truth values among them, where it takes one array."""
    named = lessons_for(signature_of("colour", "width"), COLUMNS)
    assert named is not None and named.preprocessing.features == ("width", "colour")
    matrix = model_pb2.Signature(
        inputs=[model_pb2.TensorSpec(name="features", dtype="float32", shape=[-1, 3])]
    )
    whole = lessons_for(matrix, COLUMNS)
    assert whole is not None and whole.preprocessing.features == ("length", "width", "sold")


def test_models_of_other_things_than_tables_have_no_students() -> None:
    """Texts, pictures and vectors do not fit, nor does what is mistaken for a network's input."""
    text = (*COLUMNS, Column("words", ColumnType.TEXT))
    assert lessons_for(signature_of("width", "words"), text) is None
    assert lessons_for(signature_of("width"), text) is not None
    assert lessons_for(signature_of("width", "embedded.0"), COLUMNS) is None
    picture = model_pb2.TensorSpec(name="pixels", dtype="float32", shape=[-1, 3, 8, 8])
    assert lessons_for(model_pb2.Signature(inputs=[picture]), COLUMNS) is None
    mistaken = (*COLUMNS, Column("numeric", ColumnType.NUMERIC))
    assert lessons_for(signature_of("width"), mistaken) is None
    matrix = model_pb2.TensorSpec(name="numeric", dtype="float32", shape=[-1, 3])
    assert lessons_for(model_pb2.Signature(inputs=[matrix]), COLUMNS) is None
