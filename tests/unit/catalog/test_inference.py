"""Types, target and task: what is guessed, what is obeyed, what is refused."""

from collections.abc import Sequence

import numpy as np
import pytest

from common.data.schema import ColumnType, Part, Task
from common.errors import InvalidFieldError
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.importer import READING, WRITING
from services.catalog.domain.spec import SplitMethod, SplitSpec
from tests.unit.catalog.support import field_of, import_bytes, npz_of

NO_SPLIT = SplitSpec(validation_fraction=0)


def table(target: str, values: Sequence[object]) -> bytes:
    """Returns a CSV of one feature and a target."""
    return "\n".join([f"x,{target}", *(f"{i},{value}" for i, value in enumerate(values))]).encode()


@pytest.mark.parametrize("name", ["target", "label", "class", "y"])
def test_usual_target_names(name: str) -> None:
    """A column with one of the usual names is the target."""
    got = import_bytes(table(name, ["a", "b"] * 3))
    assert (got.schema.target, got.schema.task) == (name, Task.CLASSIFICATION)


def test_no_target() -> None:
    """Without such a column nothing is to be predicted."""
    got = import_bytes(table("price", [1, 2, 3]))
    assert (got.schema.target, got.schema.task) == ("", Task.UNSUPERVISED)
    assert got.schema.task_reason


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 30, Task.CLASSIFICATION),
        (["true", "false"] * 30, Task.CLASSIFICATION),
        (list(range(20)) * 3, Task.CLASSIFICATION),
        (list(range(21)) * 3, Task.REGRESSION),
        ([0.5, 1.5] * 30, Task.REGRESSION),
        ([1.0, 2.0] * 30, Task.CLASSIFICATION),
    ],
)
def test_task_guess(values: list[object], task: Task) -> None:
    """Labels and few whole numbers are classes, other numbers are values."""
    got = import_bytes(table("y", values))
    assert got.schema.task is task
    assert "`y`" in got.schema.task_reason


def test_classes_in_order_of_value() -> None:
    """Numbers that stand for classes are sorted by value, and one value is one class."""
    got = import_bytes(table("y", [10, "9.0", 9, 10, 2, 2]), split=NO_SPLIT)
    assert got.schema.column("y").categories == ("2", "9", "10")
    assert got.labels("y") == ["10", "9", "9", "10", "2", "2"]


def test_asked_for_categories_stay_as_written() -> None:
    """A postal code with a leading zero is another than one without."""
    got = import_bytes(
        b"code\n01\n1\n01\n", column_types={"code": ColumnType.CATEGORICAL}, split=NO_SPLIT
    )
    assert got.labels("code") == ["01", "1", "01"]


def test_asked_for_booleans() -> None:
    """Zeros and ones may stand for truth values."""
    got = import_bytes(b"f\n1\n0\n\n", column_types={"f": ColumnType.BOOLEAN}, split=NO_SPLIT)
    assert got.labels("f") == ["true", "false", None]
    assert got.schema.column("f").missing_count == 1


def test_boolean_target() -> None:
    """Truth values are two classes, false first."""
    got = import_bytes(table("y", ["TRUE", "false"] * 5), split=NO_SPLIT)
    assert got.schema.column("y").type is ColumnType.BOOLEAN
    assert got.columns["y"].tolist() == [1, 0] * 5


def test_numpy_class_numbers() -> None:
    """Classes that NumPy holds as floats or large integers keep their value as label."""
    large = 2**60
    got = import_bytes(
        npz_of(x=np.arange(4.0), y=np.array([large, large + 1] * 2)),
        DataFormat.NPZ,
        split=NO_SPLIT,
        task=Task.CLASSIFICATION,
    )
    assert got.labels("y") == [str(large), str(large + 1)] * 2
    floats = npz_of(x=np.arange(4.0), y=np.array([1.0, 0.0] * 2))
    assert import_bytes(floats, DataFormat.NPZ, split=NO_SPLIT).labels("y") == ["1", "0"] * 2


def test_texts_and_categories() -> None:
    """What repeats is a category, what does not is text."""
    lines = ["colour,note", *(f"c{i % 25},text {i}" for i in range(100))]
    got = import_bytes("\n".join(lines).encode())
    assert got.schema.column("colour").type is ColumnType.CATEGORICAL
    assert got.schema.column("colour").distinct_count == 25
    assert got.schema.column("note").type is ColumnType.TEXT
    assert got.schema.column("note").distinct_count == 100


def test_infinite_words_in_text_are_words() -> None:
    """A text that looks like infinity is harmless where the column is no number."""
    got = import_bytes(b"word\ninf\nhello\n", split=NO_SPLIT)
    assert got.labels("word") == ["inf", "hello"]


@pytest.mark.parametrize(
    ("content", "asked", "field", "words"),
    [
        (table("y", [1, 1, 1]), {}, "target", "a single class, `1`"),
        (table("y", ["a", "a"]), {}, "target", "a single class, `a`"),
        (table("y", ["true", "true"]), {}, "target", "a single class, `true`"),
        (table("y", ["a", "", "b"]), {}, "target", "no value in 1 of 3 rows, first in row 2"),
        (table("y", [1.5, "nan", 2]), {}, "target", "first in row 2"),
        (table("y", [1.5, "NA", 2]), {}, "target", "first in row 2"),
        (table("y", [1.5, "inf", 2]), {}, "target", "infinite value in row 2"),
        (b"x,y\n1,0\n-inf,1\n", {}, "upload", "column `x` holds an infinite value in row 2"),
        (table("y", [1, 2]), {"target": "z"}, "target", "no column `z`; the columns are `x`, `y`"),
        (
            table("y", [1, 2]),
            {"column_types": {"q": ColumnType.TEXT}},
            "column_types",
            "no column `q`",
        ),
        (
            table("y", ["a", "b"]),
            {"column_types": {"y": ColumnType.NUMERIC}},
            "task",
            "`a` in row 1",
        ),
        (table("y", [1, "oops"]), {"task": Task.REGRESSION}, "task", "`oops` in row 2"),
        (
            b"x,z\n1,a\n2,b\n",
            {"column_types": {"z": ColumnType.NUMERIC}},
            "column_types",
            "does not hold numeric values (`a` in row 1)",
        ),
        (
            b"x\n1\n2\n",
            {"column_types": {"x": ColumnType.TIMESTAMP}},
            "column_types",
            "does not hold timestamp values",
        ),
        (
            b"x\n1\n2\n",
            {"column_types": {"x": ColumnType.IMAGE}},
            "column_types",
            "does not hold image values",
        ),
        (
            b"x\n1\n2\n",
            {"column_types": {"x": ColumnType.EMBEDDING}},
            "column_types",
            "does not hold embedding values",
        ),
        (
            ("x\n" + "\n".join(map(str, range(1001)))).encode(),
            {"column_types": {"x": ColumnType.CATEGORICAL}},
            "column_types",
            "more than 1000 labels",
        ),
        (
            ("x,y\n" + "\n".join(f"1,t{i}" for i in range(1001))).encode(),
            {},
            "target",
            "no classes, or more than 1000",
        ),
        (b"x,z\n1,2\n", {"task": Task.REGRESSION}, "target", "regression needs a target"),
        (
            b"x,z\n1,2\n",
            {"split": SplitSpec(method=SplitMethod.STRATIFIED)},
            "split.method",
            "a stratified split needs classes",
        ),
        (
            table("y", ["2024-01-01", "2024-01-02"]),
            {"column_types": {"y": ColumnType.TIMESTAMP}},
            "column_types",
            "cannot be timestamp",
        ),
    ],
)
def test_refused(content: bytes, asked: dict[str, object], field: str, words: str) -> None:
    """Data that does not allow what was asked for is refused, naming field, place and cure."""
    with pytest.raises(InvalidFieldError) as caught:
        import_bytes(content, **asked)  # type: ignore[arg-type]
    assert field_of(caught.value) == f"dataset_import.spec.{field}"
    assert words in caught.value.message


def test_progress_is_told() -> None:
    """Reading counts rows whose number is not known yet; writing knows it."""
    got = import_bytes(table("y", [0, 1] * 10))
    assert got.progress == [(READING, 20, 0), (WRITING, 20, 20)]


def test_same_content_same_digest() -> None:
    """The digest depends on columns, values, split and task, and on nothing else."""
    content = table("y", [0, 1] * 10)
    digest = import_bytes(content).data.data.digest
    assert import_bytes(content).data.data.digest == digest
    others = [
        import_bytes(table("y", [1, 0] * 10)),
        import_bytes(content, split=SplitSpec(seed=1)),
        import_bytes(content, split=SplitSpec(validation_fraction=0.3)),
        import_bytes(content, task=Task.REGRESSION),
        import_bytes(content.replace(b"x,", b"z,")),
    ]
    digests = {digest, *(other.data.data.digest for other in others)}
    assert len(digests) == 1 + len(others)


def test_every_class_keeps_a_row_to_train_on() -> None:
    """A class of one row is trained on, whatever the split asks for."""
    got = import_bytes(table("y", ["a"] * 30 + ["b"]), split=SplitSpec(validation_fraction=0.9))
    assert got.parts[30] == Part.TRAIN
