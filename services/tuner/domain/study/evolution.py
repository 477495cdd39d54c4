"""Evolution with a covariance matrix, replayed from the record (Hansen 2016, arXiv:1604.00772)."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.encoding import Rows, Vector
from services.tuner.domain.space.space import Space

_FIRST_WIDTH = 1 / 6
_LEAST_WIDTH, _MOST_WIDTH = 1e-6, 1.0
_LEAST_EIGENVALUE = 1e-20
_OUTSIDE = 100


class Evolution:
    """A normal distribution over shares of the ranges, that moves to where losses are small.

    What it is told need not have been drawn by it: each generation is as many trials as they ended.
    """

    def __init__(self, start: Vector) -> None:
        """Knows nothing.

        Args:
            start: Where it begins, (parameters,).
        """
        width = len(start)
        self.generation = 4 + int(3 * math.log(width))
        raw = math.log((self.generation + 1) / 2) - np.log(np.arange(1, self.generation + 1))
        self._weights = np.maximum(raw, 0) / np.maximum(raw, 0).sum()
        self._mass = 1 / (self._weights**2).sum()
        self._set_rates(width)
        self._mean, self._width = start.copy(), _FIRST_WIDTH
        self._covariance = np.eye(width)
        self._sizes, self._axes = np.ones(width), np.eye(width)
        self._path, self._width_path = np.zeros(width), np.zeros(width)
        self._told = 0

    def tell(self, rows: Rows, losses: Vector) -> None:
        """Learns from a generation; worst losses may be infinite."""
        best = rows[np.argsort(losses, kind="stable")]
        steps = (best - self._mean) / self._width
        step = self._weights @ steps
        self._mean = self._mean + self._width * step
        self._told += 1
        self._follow(step)
        self._bend(steps, step)
        self._sizes, self._axes = np.linalg.eigh(self._covariance)
        self._sizes = np.sqrt(np.maximum(self._sizes, _LEAST_EIGENVALUE))

    def ask(self, generator: np.random.Generator) -> Vector:
        """Returns shares, (parameters,), drawn again while they are outside of the ranges."""
        for _ in range(_OUTSIDE):
            drawn = self._sizes * generator.standard_normal(len(self._mean))
            found: Vector = self._mean + self._width * (self._axes @ drawn)
            if ((found >= 0) & (found <= 1)).all():
                break
        return np.clip(found, 0.0, 1.0)

    def _set_rates(self, width: int) -> None:
        mass = self._mass
        self._path_rate = (4 + mass / width) / (width + 4 + 2 * mass / width)
        self._width_rate = (mass + 2) / (width + mass + 5)
        self._one_rate = 2 / ((width + 1.3) ** 2 + mass)
        many = 2 * (mass - 2 + 1 / mass) / ((width + 2) ** 2 + mass)
        self._many_rate = min(1 - self._one_rate, many)
        self._damping = 1 + 2 * max(0.0, math.sqrt((mass - 1) / (width + 1)) - 1)
        self._damping += self._width_rate
        self._length = math.sqrt(width) * (1 - 1 / (4 * width) + 1 / (21 * width**2))

    def _follow(self, step: Vector) -> None:
        """Moves the paths, and grows or shrinks the width by the length of one of them."""
        rate = self._width_rate
        white = self._axes @ ((self._axes.T @ step) / self._sizes)
        self._width_path = (1 - rate) * self._width_path
        self._width_path += math.sqrt(rate * (2 - rate) * self._mass) * white
        length = float(np.linalg.norm(self._width_path))
        grown = self._width * math.exp(rate / self._damping * (length / self._length - 1))
        self._width = min(max(grown, _LEAST_WIDTH), _MOST_WIDTH)
        settled = math.sqrt(1 - (1 - rate) ** (2 * self._told))
        self._is_steady = length / settled < (1.4 + 2 / (len(step) + 1)) * self._length
        rate = self._path_rate
        self._path = (1 - rate) * self._path
        if self._is_steady:
            self._path += math.sqrt(rate * (2 - rate) * self._mass) * step

    def _bend(self, steps: Rows, step: Vector) -> None:
        """Turns the covariance towards what was good."""
        one, many = self._one_rate, self._many_rate
        lost = 0.0 if self._is_steady else self._path_rate * (2 - self._path_rate)
        kept = 1 - one - many + one * lost
        self._covariance = (
            kept * self._covariance
            + one * np.outer(self._path, self._path)
            + many * (steps.T * self._weights) @ steps
        )


def evolved(
    space: Space,
    told: Sequence[Configuration],
    losses: Vector,
    generator: np.random.Generator,
) -> Iterator[Configuration]:
    """Yields what evolution would try next, without end.

    Args:
        space: Of numbers without conditions; its constraints are for the caller to keep.
        told: In the order in which they were given out.
        losses: Of each; infinite where it failed.
        generator: Of all chance.
    """
    evolution = Evolution(space.vector(space.default))
    rows, size = space.encoding.rows(told), evolution.generation
    for start in range(0, len(rows) - size + 1, size):
        evolution.tell(rows[start : start + size], losses[start : start + size])
    while True:
        shares = evolution.ask(generator)
        yield {
            each.name: each.at(float(share))
            for each, share in zip(space.parameters, shares, strict=True)
        }
