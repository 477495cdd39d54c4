"""Estimates how many distinct values a stream has, in bounded memory."""

import hashlib

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_KEPT = 1024
_SPACE = float(2**64)


class DistinctSketch:
    """The k smallest hashes of what was seen (k minimum values; Bar-Yossef et al., 2002).

    Exact up to 1,024 distinct values, about 3 % off beyond.
    """

    def __init__(self) -> None:
        """Begins with nothing seen."""
        self._smallest: Hashes = np.empty(0, np.uint64)

    def add(self, hashes: Hashes) -> None:
        """Adds the hashes of some values."""
        if len(self._smallest) == _KEPT:
            hashes = hashes[hashes < self._smallest[-1]]
        if len(hashes):
            merged = np.union1d(self._smallest, hashes)
            self._smallest = merged[:_KEPT]

    def estimate(self) -> int:
        """Returns the number of distinct values seen so far."""
        if len(self._smallest) < _KEPT:
            return len(self._smallest)
        return round((_KEPT - 1) / (float(self._smallest[-1]) / _SPACE))


def hash_numbers(values: npt.NDArray[np.float64]) -> Hashes:
    """Returns well-mixed hashes of numbers (the finaliser of SplitMix64; Steele et al., 2014)."""
    bits = (values + 0.0).view(np.uint64)  # -0.0 counts as 0.0
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = bits ^ (bits >> np.uint64(31))
    return mixed


def hash_texts(values: list[str]) -> Hashes:
    """Returns hashes of texts."""
    digests = b"".join(hashlib.blake2b(value.encode(), digest_size=8).digest() for value in values)
    return np.frombuffer(digests, np.uint64)
