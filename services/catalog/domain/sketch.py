"""Hashes of texts that are the same in every process."""

import hashlib

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]


def hash_texts(values: list[str]) -> Hashes:
    """Returns hashes of texts."""
    digests = b"".join(hashlib.blake2b(value.encode(), digest_size=8).digest() for value in values)
    return np.frombuffer(digests, np.uint64)
