"""Fitted detectors as arrays and plain configuration."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import safetensors.numpy

from services.outlier.domain.keeping import (
    DamagedError,
    NotKeptError,
    put_together,
    take_apart,
)
from services.outlier.domain.preparation import Preparation, prepare
from tests.unit.outlier.test_preparation import COLUMNS, MIXED


def test_there_and_back() -> None:
    """What went through a file and JSON prepares rows as before, to the last bit."""
    preparation = prepare(MIXED, COLUMNS)
    arrays, plain = take_apart(preparation)
    stored = safetensors.numpy.load(safetensors.numpy.save(arrays))
    again = put_together(stored, json.loads(json.dumps(plain)), Preparation)
    before, after = preparation.apply(MIXED), again.apply(MIXED)
    assert (before.values == after.values).all()
    assert (before.codes == after.codes).all()
    assert again.dropped == preparation.dropped


@dataclass(frozen=True)
class Stranger:
    """A class of another package."""

    value: object


def test_what_cannot_be_kept_is_named() -> None:
    """Objects that only pickle could keep are refused, and so are classes of strangers."""
    with pytest.raises(NotKeptError, match="detector is a Stranger"):
        take_apart(Stranger(1))
    with pytest.raises(NotKeptError, match=r"detector\.0 is an array of object"):
        take_apart((np.array(["a"], object),))


@pytest.mark.parametrize(
    "plain",
    [
        {"class": "os.system"},
        {"class": "builtins.eval"},
        {"class": "preparation.preparation.Preparation"},
        {"class": "preparation.preparation.Preparation", "columns": [], "more": 1},
        {"array": "nowhere"},
        {"neither": 1},
        [],
        3,
        json.loads("[" * 100 + "]" * 100),
    ],
)
def test_a_file_makes_nothing_else(plain: object) -> None:
    """A crafted file makes no class but those of detectors, and no part of another shape."""
    with pytest.raises(DamagedError):
        put_together({}, plain, Preparation)  # type: ignore[arg-type]
