"""NumPy archives: arrays become columns; nothing is unpickled."""

import io
import os
import zipfile

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.data.schema import ColumnType, Task
from common.errors import InvalidFieldError
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.sources.archive import ArchiveLimits
from services.catalog.domain.spec import SplitSpec
from tests.unit.catalog.support import Imported, field_of, import_bytes, npz_of, zip_of

NO_SPLIT = SplitSpec(validation_fraction=0)


def import_npz(content: bytes, limits: ArchiveLimits | None = None) -> Imported:
    """Imports an archive without a split."""
    return import_bytes(content, DataFormat.NPZ, split=NO_SPLIT, limits=limits)


def test_arrays_become_columns() -> None:
    """Two dimensions give a column each, one gives one, and `y` is the target."""
    matrix = np.arange(12, dtype=np.float64).reshape(4, 3) / 8
    got = import_npz(npz_of(X=matrix, y=np.array(["a", "b", "a", "b"]), flag=matrix[:, 0] > 0.5))
    assert [column.name for column in got.schema.columns] == ["X_0", "X_1", "X_2", "y", "flag"]
    assert np.array_equal(np.stack([got.columns[f"X_{i}"] for i in range(3)], 1), matrix)
    assert (got.schema.target, got.schema.task) == ("y", Task.CLASSIFICATION)
    assert got.labels("y") == ["a", "b", "a", "b"]
    assert got.labels("flag") == ["false", "false", "true", "true"]


def test_nan_is_missing() -> None:
    """NaN in a feature is a missing value."""
    got = import_npz(npz_of(x=np.array([1, np.nan, 3], np.float32)))
    assert got.schema.column("x").missing_count == 1
    np.testing.assert_array_equal(got.columns["x"], np.array([1, np.nan, 3], np.float32))


@pytest.mark.parametrize(
    ("shape", "stored"),
    [
        ((5, 4, 6), (1, 4, 6)),
        ((5, 3, 4, 6), (3, 4, 6)),
        ((5, 1, 4, 6), (1, 4, 6)),
        ((5, 4, 6, 3), (3, 4, 6)),
        ((5, 4, 6, 1), (1, 4, 6)),
        ((5, 2, 8, 8), (2, 8, 8)),
    ],
)
def test_images(shape: tuple[int, ...], stored: tuple[int, ...]) -> None:
    """Bytes of three or four dimensions are images; channels may come first or last."""
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    got = import_npz(npz_of(pictures=images))
    column = got.schema.column("pictures")
    assert (column.type, column.shape) == (ColumnType.IMAGE, stored)
    expected = images if images.ndim == 4 else images[:, np.newaxis]
    if expected.shape[1:] != stored:
        expected = expected.transpose(0, 3, 1, 2)
    assert np.array_equal(got.columns["pictures"], expected)


class Bomb:
    """An object whose unpickling would leave a trace."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Says what pickle is to call."""
        return os.system, ("touch /tmp/aimass-unpickled",)


def test_objects_are_refused_by_name() -> None:
    """An array of Python objects is never unpickled; the error names it."""
    content = npz_of(fine=np.zeros(2), evil=np.array([Bomb(), Bomb()], dtype=object))
    with pytest.raises(InvalidFieldError, match="array `evil` holds Python objects") as caught:
        import_npz(content)
    assert caught.value.reason == "OBJECT_ARRAY"
    assert not os.path.exists("/tmp/aimass-unpickled")  # noqa: PTH110


def npy(array: npt.NDArray[np.generic]) -> bytes:
    """Returns an array in NumPy's format."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npz_of(a=np.zeros(3), b=np.zeros(2)), "array `b` has 2 rows where the first array has 3"),
        (npz_of(a=np.array(1.0)), "array `a` is a single value"),
        (npz_of(a=np.zeros((0, 2))), "no rows"),
        (npz_of(a=np.zeros((2, 2, 2))), "neither a table nor images"),
        (npz_of(a=np.zeros((1, 2, 2, 2, 2), np.uint8)), "neither a table nor images"),
        (npz_of(a=np.zeros(2, complex)), "type complex128"),
        (npz_of(a=np.zeros(2, "i4,f4")), "cannot be imported"),
        (npz_of(x=np.zeros((2, 1)), x_0=np.zeros(2)), "two arrays give a column `x_0`"),
        (npz_of(), "holds no arrays"),
        (zip_of({"a.npy": npy(np.zeros(4))[:-8]}), "array `a` is cut off"),
        (zip_of({"a.npy": npy(np.zeros(4)) + b"12345678"}), "array `a` is cut off"),
        (zip_of({"a.npy": b"no array"}), "not in NumPy's format"),
        (zip_of({"a.txt": b""}), "`a.txt` is no array"),
        (b"no archive at all", "not a zip archive"),
        (b"", "not a zip archive"),
        (npz_of(a=np.array([b"\xff"])), "not UTF-8"),
    ],
)
def test_bad_archives(content: bytes, words: str) -> None:
    """Whatever cannot be imported is refused by name."""
    with pytest.raises(InvalidFieldError) as caught:
        import_npz(content)
    assert field_of(caught.value) == "dataset_import.spec.upload"
    assert words in caught.value.message


def test_header_that_lies_about_the_shape() -> None:
    """A header of more rows than bytes is found before anything is allocated."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
    )
    with pytest.raises(InvalidFieldError, match="array `a` is cut off"):
        import_npz(zip_of({"a.npy": header.getvalue()}))


def test_negative_shape() -> None:
    """Two negative sides, whose product is positive, are refused."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (-2, -2)}
    )
    with pytest.raises(InvalidFieldError, match="array `a` is cut off"):
        import_npz(zip_of({"a.npy": header.getvalue() + bytes(32)}))


def test_bomb_of_a_valid_array() -> None:
    """300 MB of zeros in 300 KB are refused before they are unpacked."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("zeros.npy", "w") as file,
    ):
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (300 * 2**20,)}
        )
        for _ in range(300):
            file.write(bytes(2**20))
    with pytest.raises(InvalidFieldError, match="like a zip bomb") as caught:
        import_npz(buffer.getvalue())
    assert caught.value.reason == "ARCHIVE_TOO_LARGE"


ARRAYS = hnp.arrays(
    dtype=st.one_of(
        hnp.integer_dtypes(sizes=(8, 16, 32)),
        hnp.unsigned_integer_dtypes(sizes=(8, 16, 32)),
        hnp.floating_dtypes(sizes=(16, 32, 64)),
    ),
    shape=hnp.array_shapes(min_dims=1, max_dims=2, max_side=9),
)


@settings(max_examples=60)
@given(ARRAYS, st.booleans())
def test_round_trip(array: npt.NDArray[np.generic], fortran: bool) -> None:
    """Whole and real numbers of any type, width, byte and memory order come back as they were."""
    if array.dtype.kind == "f":
        array = np.where(np.isinf(array), 0, array)
    ordered = np.asfortranarray(array) if fortran else array
    got = import_npz(npz_of(a=ordered))
    columns = [values for name, values in got.columns.items()]
    read = np.stack(columns, axis=1) if array.ndim == 2 else columns[0]
    np.testing.assert_array_equal(read, array.astype(np.float64))


def test_random_damage_is_always_a_clear_error() -> None:
    """Whichever byte of an archive is wrong, the answer is a result or a typed error."""
    content = npz_of(x=np.arange(6.0).reshape(3, 2), y=np.array(["a", "b", "a"]))
    for position in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[position] ^= 0x55
        try:
            import_npz(bytes(damaged))
        except InvalidFieldError as error:
            assert field_of(error).startswith("dataset_import.spec")
