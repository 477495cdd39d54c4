"""Anomalies of four kinds put among usual rows, to be found again.

The kinds are those of ADBench (Han et al., 2022, section 3.2); what differs from task to task is
drawn by the axes of Emmott et al. (Systematic construction of anomaly detection benchmarks from
real data, 2013): how strong anomalies are, how many, how close together, and how many columns say
nothing of them.

- Local: a row and noise that is shaped as its surroundings: by the covariance of its component of a
  Gaussian mixture, or by the difference of two of its neighbours.
- Global: uniform over ten percent more than the range.
- Clustered: one to three groups that lie off in a direction in which usual rows differ: outward
  where a row lies already, or along the difference of two rows.
- Dependency: some columns, or all, are each another row's.

Global ones and the last break what links columns: a kind that did so too, because it touched some
columns alone, would be a second one of dependency. Columns that say nothing are shuffled copies of
others. The rows that anomalies are made of are neither fitted nor judged. Anomalies are among the
rows that are fitted, as in real use; fresh ones are judged.
"""

import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from sklearn import datasets
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType

Matrix = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Generator = np.random.Generator
_MOST_ROWS = 1_500
_FITTED, _JUDGED = 0.55, 0.2
_JUDGED_ANOMALIES = 150
_RATES = (0.01, 0.05, 0.1, 0.25)
_SHARES = (0.25, 0.5, 1.0)  # of the columns, in which dependencies are broken
_IRRELEVANT = (0.0, 0.5, 1.0)  # shuffled copies for each column of numbers
_SHIFTS = (1.0, 2.0, 4.0)
_WIDER = (2.0, 5.0, 11.0)  # covariance of the noise; the row's own comes on top
_FARTHER = (1.5, 3.0, 6.0)  # times the difference of two neighbours
_CLUSTER_SPREADS = (0.1, 0.3, 1.0)
_COMPONENTS = (1, 2, 4, 8)
_ROWS_PER_COMPONENT = 3  # for each number of a row, at least
_NEIGHBOURS = 20


class Kind(StrEnum):
    """How anomalies differ from usual rows."""

    LOCAL = "local"
    GLOBAL = "global"
    CLUSTERED = "clustered"
    DEPENDENCY = "dependency"


@dataclass(frozen=True)
class Mixed:
    """Rows of numbers and labels.

    Attributes:
        numbers: Shape (rows, columns of numbers).
        labels: Codes from 0, shape (rows, columns of labels).
    """

    numbers: Matrix
    labels: Codes

    @classmethod
    def of_numbers(cls, numbers: npt.ArrayLike, labels: Codes | None = None) -> "Mixed":
        """Returns rows, by default without labels; numbers that say nothing are left out."""
        matrix = np.asarray(numbers, np.float64)
        matrix = matrix[:, matrix.std(axis=0) > 0]
        return cls(matrix, np.zeros((len(matrix), 0), np.int64) if labels is None else labels)

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.numbers)

    @property
    def columns(self) -> list[Column]:
        """What the columns of `raw` are."""
        return [
            *(Column(f"number{place}", ColumnType.NUMERIC) for place in range(self._widths[0])),
            *(Column(f"label{place}", ColumnType.CATEGORICAL) for place in range(self._widths[1])),
        ]

    @property
    def raw(self) -> RawRows:
        """The same as a scan reads them."""
        numbers = {f"number{place}": column for place, column in enumerate(self.numbers.T)}
        labels = {f"label{place}": column for place, column in enumerate(self.labels.T)}
        names = [str(code) for code in range(int(self.labels.max(initial=-1)) + 1)]
        return RawRows({**numbers, **labels}, dict.fromkeys(labels, names))

    @property
    def _widths(self) -> tuple[int, int]:
        return self.numbers.shape[1], self.labels.shape[1]

    def take(self, chosen: npt.NDArray[np.generic] | slice) -> "Mixed":
        """Returns some of the rows."""
        return Mixed(self.numbers[chosen], self.labels[chosen])

    def beside(self, other: "Mixed") -> "Mixed":
        """Returns these rows and then others."""
        return Mixed(
            np.vstack([self.numbers, other.numbers]), np.vstack([self.labels, other.labels])
        )


@dataclass(frozen=True)
class Task:
    """Anomalies of one kind to find.

    Attributes:
        kind: How they differ.
        fitted: Usual rows and anomalies, in random order.
        judged: Others; the usual ones first.
        truth: Of the judged; 1 marks an anomaly.
    """

    kind: Kind
    fitted: Mixed
    judged: Mixed
    truth: npt.NDArray[np.int64]


def tasks(name: str, rows: Mixed, turn: int) -> Iterator[Task]:
    """Yields a task of each kind.

    Args:
        name: Of the set; with `turn` it decides on everything random.
        rows: Usual ones.
        turn: Another makes others.
    """
    generator = np.random.default_rng([zlib.crc32(name.encode()), turn])
    rows = rows.take(generator.permutation(rows.count)[:_MOST_ROWS])
    units = _Units.of(rows)
    fitted, judged, bases = _parts(units.scaled(rows))
    usual = _Usual(fitted, bases, _mixture(fitted.numbers))
    for kind in Kind:
        make = _MAKERS[kind](usual, generator)
        rate = generator.choice(_RATES)
        learned = fitted.beside(make(max(1, round(rate / (1 - rate) * fitted.count))))
        learned = learned.take(generator.permutation(learned.count))
        asked = judged.beside(make(_JUDGED_ANOMALIES))
        truth = np.repeat([0, 1], [judged.count, _JUDGED_ANOMALIES])
        wide = _irrelevant(rows, generator)
        yield Task(kind, wide(units.unscaled(learned)), wide(units.unscaled(asked)), truth)


@dataclass(frozen=True)
class _Units:
    """What numbers are measured in.

    Attributes:
        mean: Of each column.
        deviation: Of each column.
        are_whole: Whether a column has no fractions, which would tell anomalies apart.
    """

    mean: Matrix
    deviation: Matrix
    are_whole: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Mixed) -> "_Units":
        """Returns the units of rows."""
        numbers = rows.numbers
        deviation = numbers.std(axis=0)
        are_whole = (numbers == np.round(numbers)).all(axis=0)
        return cls(numbers.mean(axis=0), np.where(deviation > 0, deviation, 1.0), are_whole)

    def scaled(self, rows: Mixed) -> Mixed:
        """Returns standardised rows."""
        return Mixed((rows.numbers - self.mean) / self.deviation, rows.labels)

    def unscaled(self, rows: Mixed) -> Mixed:
        """Returns standardised rows as they would have come."""
        numbers = rows.numbers * self.deviation + self.mean
        return Mixed(np.where(self.are_whole, np.round(numbers), numbers), rows.labels)


def _irrelevant(rows: Mixed, generator: Generator) -> Callable[[Mixed], Mixed]:
    """Returns what adds shuffled copies of some columns, the same ones each time."""
    width = rows.numbers.shape[1]
    count = int(np.ceil(generator.choice(_IRRELEVANT) * width))
    copied = rows.numbers[:, generator.permutation(width)[:count]]

    def add(some: Mixed) -> Mixed:
        drawn = generator.integers(rows.count, size=(some.count, count))
        more = np.take_along_axis(copied, drawn, axis=0)
        return Mixed(np.hstack([some.numbers, more]), some.labels)

    return add


def _parts(rows: Mixed) -> tuple[Mixed, Mixed, Mixed]:
    first, second = int(_FITTED * rows.count), int((_FITTED + _JUDGED) * rows.count)
    return (
        rows.take(slice(0, first)),
        rows.take(slice(first, second)),
        rows.take(slice(second, None)),
    )


def _mixture(numbers: Matrix) -> GaussianMixture:
    most = max(1, len(numbers) // (_ROWS_PER_COMPONENT * numbers.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [
            GaussianMixture(count, reg_covar=1e-3, max_iter=50, random_state=0).fit(numbers)
            for count in _COMPONENTS
            if count <= most
        ]
    return min(found, key=lambda each: float(each.bic(numbers)))


@dataclass(frozen=True)
class _Usual:
    """What anomalies are made of.

    Attributes:
        fitted: Usual rows that are fitted.
        bases: Usual rows that are neither fitted nor judged.
        mixture: Of the fitted rows' numbers.
    """

    fitted: Mixed
    bases: Mixed
    mixture: GaussianMixture

    def draw(self, count: int, generator: Generator) -> Mixed:
        """Returns rows to start from."""
        return self.bases.take(generator.integers(self.bases.count, size=count))

    def noise(self, numbers: Matrix, wider: float, generator: Generator) -> Matrix:
        """Returns noise by the covariance of each row's component, so many times as wide."""
        noise = np.empty_like(numbers)
        components = self.mixture.predict(numbers)
        for component in np.unique(components):
            mine = components == component
            covariance = self.mixture.covariances_[component] * wider
            noise[mine] = generator.multivariate_normal(
                np.zeros(len(covariance)), covariance, int(mine.sum()), method="eigh"
            )
        return noise

    def any_labels(self, count: int, generator: Generator) -> Codes:
        """Returns labels that are all equally likely."""
        counts = self.fitted.labels.max(axis=0, initial=0) + 1
        return np.asarray(generator.integers(counts, size=(count, len(counts))), np.int64)


_Make = Callable[[int], Mixed]


def _local(usual: _Usual, generator: Generator) -> _Make:
    level = int(generator.integers(3))
    # Not all by the mixture: what finds anomalies by one would have it easy.
    by_mixture = generator.random() < 0.5
    known = usual.fitted.numbers
    index = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(known) - 1)).fit(known)

    def of_neighbours(numbers: Matrix) -> Matrix:
        near = index.kneighbors(numbers, return_distance=False)
        one, other = generator.integers(near.shape[1], size=(2, len(numbers)))
        rows = np.arange(len(numbers))
        apart: Matrix = known[near[rows, one]] - known[near[rows, other]]
        return _FARTHER[level] * apart

    def make(count: int) -> Mixed:
        rows = usual.draw(count, generator)
        if by_mixture:
            noise = usual.noise(rows.numbers, _WIDER[level], generator)
        else:
            noise = of_neighbours(rows.numbers)
        swapped = generator.random(rows.labels.shape) < 0.5
        labels = np.where(swapped, usual.any_labels(count, generator), rows.labels)
        return Mixed(rows.numbers + noise, labels)

    return make


def _global(usual: _Usual, generator: Generator) -> _Make:
    low, high = usual.fitted.numbers.min(axis=0), usual.fitted.numbers.max(axis=0)
    margin = 0.05 * (high - low)

    def make(count: int) -> Mixed:
        numbers = generator.uniform(low - margin, high + margin, (count, len(low)))
        return Mixed(numbers, usual.any_labels(count, generator))

    return make


def _clustered(usual: _Usual, generator: Generator) -> _Make:
    shift, spread = generator.choice(_SHIFTS), generator.choice(_CLUSTER_SPREADS)
    groups = int(generator.choice((1, 1, 2, 3)))
    starts, ones, others = (usual.draw(groups, generator).numbers for _ in range(3))
    outward = starts - usual.fitted.numbers.mean(axis=0)
    # Two rows are so much farther apart than one is from the mean.
    along = (ones - others) / np.sqrt(2)
    centres = starts + shift * (outward if generator.random() < 0.5 else along)
    labels = usual.any_labels(groups, generator)

    def make(count: int) -> Mixed:
        chosen = generator.integers(len(centres), size=count)
        # A group is shaped as the surroundings of the row that it started from.
        noise = usual.noise(starts[chosen], spread, generator)
        return Mixed(centres[chosen] + noise, labels[chosen])

    return make


def _dependency(usual: _Usual, generator: Generator) -> _Make:
    pool = usual.fitted.beside(usual.bases)
    numbers = pool.numbers.shape[1]
    width = numbers + pool.labels.shape[1]
    count = max(int(np.ceil(generator.choice(_SHARES) * width)), 2)
    broken = np.isin(np.arange(width), generator.permutation(width)[:count])

    def make(count: int) -> Mixed:
        rows = usual.draw(count, generator)
        drawn = generator.integers(pool.count, size=(count, width))
        return Mixed(
            np.where(
                broken[:numbers],
                np.take_along_axis(pool.numbers, drawn[:, :numbers], axis=0),
                rows.numbers,
            ),
            np.where(
                broken[numbers:],
                np.take_along_axis(pool.labels, drawn[:, numbers:], axis=0),
                rows.labels,
            ),
        )

    return make


_MAKERS: Mapping[Kind, Callable[[_Usual, Generator], _Make]] = {
    Kind.LOCAL: _local,
    Kind.GLOBAL: _global,
    Kind.CLUSTERED: _clustered,
    Kind.DEPENDENCY: _dependency,
}


def offline_sets() -> dict[str, Mixed]:
    """Returns the sets that come with scikit-learn, by name."""
    loads: Mapping[str, Callable[[], Mapping[str, Matrix]]] = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "diabetes": datasets.load_diabetes,
        "breast_cancer": datasets.load_breast_cancer,
        "digits": datasets.load_digits,
    }
    return {name: Mixed.of_numbers(load()["data"]) for name, load in loads.items()}
