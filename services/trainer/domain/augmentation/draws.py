"""Random numbers of rows: each row has a stream of its own, whoever draws it and in what order.

A generator with a state would make what a row looks like depend on the rows before it, and so on
how many workers share a batch. Here a number is a hash of what it is for.

Source of the hash: Steele, Lea and Flood, Fast splittable pseudorandom number generators (OOPSLA
2014), with their SplitMix64's constants.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtri

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_STRIDE = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_BITS = np.uint64(11)
_UNIT = 2.0**-53


class Draws:
    """Streams of numbers, one for each row; every call takes the next ones.

    Two with the same keys give the same numbers as long as they are asked for the same ones.
    """

    def __init__(self, keys: Keys) -> None:
        """Begins streams.

        Args:
            keys: What each row's numbers are a function of, shape (rows,).
        """
        self._keys = keys
        self._taken = 0

    @classmethod
    def of_rows(cls, seed: int, epoch: int, places: Integers) -> "Draws":
        """Returns the streams of rows.

        Args:
            seed: The run's.
            epoch: From 0.
            places: Place of each row in the order of its epoch, shape (rows,): a row that is drawn
                twice in an epoch has two.
        """
        of_epoch = _hashed(_hashed(np.array([seed], np.uint64)) + np.uint64(epoch))
        return cls(_hashed(of_epoch + places.astype(np.uint64)))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._keys)

    def branch(self, number: int) -> "Draws":
        """Returns other streams of the same rows, independent of how many numbers these gave."""
        offset = _hashed(np.array([number + 1], np.uint64))
        return Draws(_hashed(self._keys ^ offset))

    def of(self, chosen: Integers | slice) -> "Draws":
        """Returns the streams of some rows, going on where these are."""
        part = Draws(self._keys[chosen])
        part._taken = self._taken
        return part

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Floats:
        """Returns numbers between two bounds, the upper one excluded, shape (rows,)."""
        return self.uniforms(1, low, high)[:, 0]

    def uniforms(self, count: int, low: float = 0.0, high: float = 1.0) -> Floats:
        """Returns so many numbers for each row, shape (rows, count)."""
        steps = np.arange(self._taken + 1, self._taken + 1 + count, dtype=np.uint64)
        self._taken += count
        words = _hashed(self._keys[:, None] + steps * _STRIDE)
        return low + (high - low) * ((words >> _BITS).astype(np.float64) * _UNIT)

    def normals(self, count: int) -> Floats:
        """Returns so many numbers of mean 0 and deviation 1 for each row, shape (rows, count)."""
        numbers: Floats = ndtri(self.uniforms(count) + _UNIT / 2)
        return numbers

    def integers(self, below: int | Integers, count: int) -> Integers:
        """Returns so many whole numbers from 0 for each row, shape (rows, count).

        Args:
            below: What they stay below; a number, or one for each row, shape (rows,).
            count: How many.
        """
        limits = np.broadcast_to(below, self.rows)[:, None]
        numbers: Integers = (self.uniforms(count) * limits).astype(np.int64)
        return numbers

    def beta(self, alpha: float) -> Floats:
        """Returns numbers of the beta distribution with two equal parameters, shape (rows,)."""
        numbers: Floats = betaincinv(alpha, alpha, self.uniform())
        return numbers

    def chosen(self, probability: float) -> Bools:
        """Says of each row whether it is one of a share, shape (rows,)."""
        return self.uniform() < probability


def _hashed(words: Keys) -> Keys:
    """Returns words in which every bit depends on all bits of the given ones."""
    words = (words ^ (words >> _SHIFTS[0])) * _FIRST
    words = (words ^ (words >> _SHIFTS[1])) * _SECOND
    return words ^ (words >> _SHIFTS[2])
