"""What units do on rows, gathered batch by batch: memory does not grow with the values."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from services.analyzer.domain.hidden.source import BOUNDS, HiddenLayer, HiddenValues

Numbers = npt.NDArray[np.float64]

_SAMPLED_VALUES = 200_000
_KEPT_VALUES = 2_000_000
_FEWEST_KEPT_UNITS = 16
_NEAR = 0.05
_SAME = 1e-6
_FEWEST_VALUES = 10
FEWEST_ROWS = 10
"""With fewer rows no unit is called dead."""
_LARGE, _HUGE = 1e15, 1e30


@dataclass
class UnitTotals:
    """Sums over the values of each unit, shape (units,) each.

    Attributes:
        count: Values that each unit had.
        total: Sum of the values.
        squares: Sum of their squares.
        least: Smallest value.
        most: Largest value.
        zeros: How many are exactly 0.
        near: How many are near a bound of the function, see `LayerWatch.bounds`.
    """

    count: int
    total: Numbers
    squares: Numbers
    least: Numbers
    most: Numbers
    zeros: Numbers
    near: Numbers

    @property
    def mean(self) -> Numbers:
        """Mean of each unit."""
        return self.total / self.count

    @property
    def stddev(self) -> Numbers:
        """Standard deviation of each unit."""
        return np.sqrt(np.maximum(self.squares / self.count - self.mean**2, 0))


@dataclass
class LayerWatch:
    """Gathers a layer's values.

    Attributes:
        layer: The layer.
        rows: How many rows will come.
        seed: Of the sample of values.
        totals: By unit; None before the first batch.
        positions: Values that a unit has for a row: 1 but for maps.
        kept: Numbers of the units whose values by row are kept, picked evenly.
        has_broken_values: Whether some values were no numbers (they count as 0) or huge.
    """

    layer: HiddenLayer
    rows: int
    seed: int
    totals: UnitTotals | None = None
    positions: int = 1
    kept: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    has_broken_values: bool = False

    def __post_init__(self) -> None:
        """Begins with nothing."""
        self._generator = np.random.default_rng(self.seed)
        self._sampled: list[HiddenValues] = []
        self._by_row = np.zeros((self.rows, 0), np.float32)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Least and greatest value of the layer's function, where it has both."""
        low, high = BOUNDS.get(self.layer.function, (0.0, None))
        return None if high is None else (low, high)

    @property
    def is_rectified(self) -> bool:
        """Whether a value of 0 means that a unit is not active."""
        return self.layer.function in ("relu", "relu6")

    @property
    def units(self) -> int:
        """How many units there are."""
        return 0 if self.totals is None else len(self.totals.total)

    @property
    def by_row(self) -> npt.NDArray[np.float32]:
        """The mean over the positions for each row and kept unit, shape (rows, kept)."""
        return self._by_row

    @property
    def sampled(self) -> HiddenValues:
        """Some values of all units, drawn at random, shape (values,)."""
        return np.concatenate(self._sampled)

    def add(self, first: int, values: HiddenValues) -> None:
        """Takes a batch.

        Args:
            first: Number of its first row.
            values: Shape (rows, units, ...).
        """
        flat = torch.from_numpy(values.reshape(*values.shape[:2], -1))
        averages = flat.mean(dim=2)
        if not bool(torch.isfinite(averages).all()):
            self.has_broken_values = True
            flat = flat.nan_to_num(0.0, _HUGE, -_HUGE).clamp(-_HUGE, _HUGE)
            averages = flat.mean(dim=2)
        self._add_totals(flat, averages)
        self._keep(first, averages.numpy())
        self._draw(flat.numpy().reshape(-1), len(values))

    def dead(self) -> npt.NDArray[np.bool_]:
        """Whether units are never active: 0 on every row, or without such a zero always the same.

        That is told of some rows only, without zero of some values: one row leaves many units off.
        """
        assert self.totals is not None
        if self.is_rectified:
            return (self.totals.most <= 0) & (self.rows >= FEWEST_ROWS)
        size = max(float(np.abs([self.totals.least, self.totals.most]).max()), 1e-30)
        is_same = self.totals.most - self.totals.least <= _SAME * size
        return is_same & (self.totals.count >= _FEWEST_VALUES)

    def always_on(self) -> npt.NDArray[np.bool_]:
        """Whether units are never 0: a rectifier lets all of their values through."""
        assert self.totals is not None
        return self.totals.least > 0 if self.is_rectified else np.zeros(self.units, bool)

    def _add_totals(self, flat: torch.Tensor, averages: torch.Tensor) -> None:
        positions = flat.shape[2]
        least, most = flat.amin(dim=(0, 2)), flat.amax(dim=(0, 2))
        is_large = float(torch.maximum(-least, most).max()) > _LARGE
        found = UnitTotals(
            count=len(flat) * positions,
            total=_numbers(averages.double().sum(dim=0) * positions),
            squares=_numbers(_norms(flat, is_large).square().sum(dim=0)),
            least=_numbers(least),
            most=_numbers(most),
            zeros=(positions - np.count_nonzero(flat.numpy(), axis=2)).sum(axis=0).astype(float),
            near=self._near(flat),
        )
        self.positions = positions
        self.totals = found if self.totals is None else _sum(self.totals, found)

    def _near(self, flat: torch.Tensor) -> Numbers:
        if self.bounds is None:
            return np.zeros(flat.shape[1])
        low, high = self.bounds
        margin = _NEAR * (high - low)
        is_near = (flat < low + margin) | (flat > high - margin)
        return _numbers(is_near.sum(dim=(0, 2)))

    def _keep(self, first: int, averages: npt.NDArray[np.float32]) -> None:
        if not len(self.kept):
            units = averages.shape[1]
            most = max(_FEWEST_KEPT_UNITS, _KEPT_VALUES // max(self.rows, 1))
            self.kept = np.linspace(0, units - 1, min(units, most)).round().astype(np.int64)
            self._by_row = np.zeros((self.rows, len(self.kept)), np.float32)
        self._by_row[first : first + len(averages)] = averages[:, self.kept]

    def _draw(self, values: HiddenValues, rows: int) -> None:
        wanted = -(-_SAMPLED_VALUES * rows // max(self.rows, 1))
        if len(values) > wanted:
            values = values[self._generator.integers(0, len(values), wanted)]
        self._sampled.append(values.copy())


def _sum(first: UnitTotals, second: UnitTotals) -> UnitTotals:
    return UnitTotals(
        first.count + second.count,
        first.total + second.total,
        first.squares + second.squares,
        np.minimum(first.least, second.least),
        np.maximum(first.most, second.most),
        first.zeros + second.zeros,
        first.near + second.near,
    )


def _norms(flat: torch.Tensor, is_large: bool) -> torch.Tensor:
    """Returns the norm of each row and unit; squares of large values need the wider type."""
    norms: torch.Tensor = torch.linalg.vector_norm(flat.double() if is_large else flat, dim=2)
    return norms.double()


def _numbers(values: torch.Tensor) -> Numbers:
    return values.double().numpy()
