"""Units that do the same."""

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.weights.findings import WeightKind
from services.analyzer.domain.weights.tensors import StoredTensor

ALIKE = 0.999
"""Cosine from which on two units do the same."""

MOST_UNITS = 4096
LEAST_INPUTS = 4
_SKETCHED = 64
_MAYBE_ALIKE = 0.99
_CHUNK = 512

Doubles = npt.NDArray[np.float64]


def duplicate_units(tensor: StoredTensor, least_norm: float, seed: int) -> int | None:
    """Returns how many units have incoming weights that point the same way as an earlier unit's.

    Pairs are found in a random projection, which keeps angles nearly (Johnson and Lindenstrauss,
    1984), and then checked.

    Args:
        tensor: Of finite values.
        least_norm: Units with smaller weights, dead ones, are left out.
        seed: Of the projection.

    Returns:
        None where it is not looked for: with few inputs, directions are alike by chance.
    """
    is_layer = tensor.kind in (WeightKind.LINEAR, WeightKind.CONVOLUTION)
    if not is_layer or tensor.columns < LEAST_INPUTS or not 1 < tensor.rows <= MOST_UNITS:
        return None
    sketch = _directions(_sketch(tensor, seed), least_norm)
    pairs = [pair for start in range(0, len(sketch), _CHUNK) for pair in _pairs(sketch, start)]
    return sum(_cosine(tensor, first, second) >= ALIKE for first, second in pairs)


def _sketch(tensor: StoredTensor, seed: int) -> Doubles:
    if tensor.columns <= _SKETCHED:
        blocks = [np.asarray(block, np.float64) for _, block in tensor.blocks()]
        return np.concatenate(blocks)
    generator = np.random.default_rng(seed)
    projection = generator.standard_normal((tensor.columns, _SKETCHED), np.float32)
    projection /= np.float32(np.sqrt(_SKETCHED))
    return np.concatenate([block @ projection for _, block in tensor.blocks()]).astype(np.float64)


def _directions(rows: Doubles, least: float) -> Doubles:
    """Returns rows of length 1, of zeros where they are short."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(lengths > least, rows / np.maximum(lengths, 1e-300), 0.0)


def _pairs(directions: Doubles, start: int) -> list[tuple[int, int]]:
    """Returns units of a chunk with the earlier one that each is most like, if it may be."""
    chunk = directions[start : start + _CHUNK]
    cosines = chunk @ directions[: start + len(chunk)].T
    is_earlier = np.arange(cosines.shape[1])[None] < start + np.arange(len(chunk))[:, None]
    cosines[~is_earlier] = -1
    found = np.flatnonzero((cosines >= _MAYBE_ALIKE).any(axis=1))
    return [(start + int(place), int(cosines[place].argmax())) for place in found]


def _cosine(tensor: StoredTensor, first: int, second: int) -> float:
    rows = (np.asarray(tensor.read(row, row + 1)[0], np.float64) for row in (first, second))
    one, other = (row / max(1e-300, float(np.linalg.norm(row))) for row in rows)
    return float(one @ other)
