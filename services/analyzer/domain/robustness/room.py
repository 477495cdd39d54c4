"""Where inputs can be moved to by small steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values
from common.data.schema import Column
from services.analyzer.domain.robustness.columns import Columns, deviation
from services.analyzer.domain.subject import Subject

Steps = npt.NDArray[np.float32]

_TABLE_SIZES = (0.05, 0.1, 0.25, 0.5, 1.0)
_IMAGE_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0)
_BRIGHTEST = 255.0


@dataclass(frozen=True)
class Room:
    """Inputs with the limits of their steps: none leaves the range of the data.

    Attributes:
        raw: The rows.
        units: What a step of 1 is, by the name of the inputs that can be moved: a standard
            deviation of a column, 1 of the 255 of a pixel.
        low: The largest step down, in units, at most 0; shaped as the input. 0 where there is no
            value.
        high: The largest step up.
        is_image: Whether the inputs are images.
    """

    raw: RawRows
    units: Mapping[str, float]
    low: Mapping[str, Steps]
    high: Mapping[str, Steps]
    is_image: bool

    @property
    def unit(self) -> str:
        """What sizes of steps are measured in, for people."""
        return "of 255" if self.is_image else "standard deviations"

    def limits(self, name: str, size: float) -> tuple[Steps, Steps]:
        """Returns the largest steps down and up of an input that are no larger than a size."""
        return np.maximum(self.low[name], -size), np.minimum(self.high[name], size)

    def moved(self, steps: Mapping[str, Steps]) -> RawRows:
        """Returns the rows after steps, in units; pixels are rounded."""
        others = {}
        for name, own in steps.items():
            values = self.raw.columns[name]
            found = values.astype(np.float64) + self.units[name] * own
            others[name] = np.rint(found).astype(np.uint8) if self.is_image else found
        return RawRows({**self.raw.columns, **others}, self.raw.labels)


def sizes_of(columns: Columns) -> tuple[float, ...]:
    """Returns sizes of steps, in units, ascending; none where nothing can be moved."""
    if columns.images:
        return _IMAGE_SIZES
    return _TABLE_SIZES if columns.numbers or columns.series else ()


def room_of(subject: Subject, columns: Columns, raw: RawRows) -> Room:
    """Returns the room of the images that a model takes; without, of its numbers."""
    if columns.images:
        return _of_images(columns.images, raw)
    lags = [name for each in columns.series for name in each.columns]
    known, sample = subject.sample.columns, subject.sample.raw.columns
    units, low, high = {}, {}, {}
    for name in (*columns.numbers, *lags):
        units[name] = deviation(sample[name])
        low[name], high[name] = _steps(
            raw.columns[name], _range(known[name], sample[name]), units[name]
        )
    return Room(raw, units, low, high, is_image=False)


def _of_images(names: Sequence[str], raw: RawRows) -> Room:
    pixels = {name: raw.columns[name].astype(np.float32) for name in names}
    return Room(
        raw,
        units=dict.fromkeys(names, 1.0),
        low={name: -each for name, each in pixels.items()},
        high={name: _BRIGHTEST - each for name, each in pixels.items()},
        is_image=True,
    )


def _range(column: Column, values: Values) -> tuple[float, float]:
    """Returns the least and the largest value of a column."""
    if column.numeric is not None:
        return column.numeric.min, column.numeric.max
    numbers = values.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return (float(numbers.min()), float(numbers.max())) if len(numbers) else (0.0, 0.0)


def _steps(values: Values, limits: tuple[float, float], unit: float) -> tuple[Steps, Steps]:
    numbers = values.astype(np.float64)
    least, largest = limits
    if unit == 0:
        nowhere = np.zeros(numbers.shape, np.float32)
        return nowhere, nowhere
    low = np.nan_to_num(np.minimum(0, (least - numbers) / unit), nan=0.0)
    high = np.nan_to_num(np.maximum(0, (largest - numbers) / unit), nan=0.0)
    return low.astype(np.float32), high.astype(np.float32)
