"""Singular values of large matrices, and what they tell."""

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.weights.findings import WeightSpectrum
from services.analyzer.domain.weights.tensors import StoredTensor

EXACT = 2048
"""Matrices whose smaller side is at most this are decomposed exactly."""

_PROBES = 4
_STEPS = 48
_SECONDS_PER_PRODUCT = 2e-11
_SECONDS_PER_NUMBER = 4e-10
_LEAST = 1e-300

Doubles = npt.NDArray[np.float64]


def spectrum_of(tensor: StoredTensor, l2_norm: float, seed: int) -> WeightSpectrum | None:
    """Returns what the singular values tell; None for a matrix of zeros.

    Effective rank: Roy and Vetterli, "The effective rank: a measure of effective dimensionality",
    2007. Of large matrices, sums over the singular values are estimated from a few random vectors
    (stochastic Lanczos quadrature: Ubaru, Chen and Saad, 2017): within some 5 %, and too large by
    more where most singular values are tiny beside the largest.

    Args:
        tensor: A matrix of finite values.
        l2_norm: Root of the sum of its squares.
        seed: Of the random vectors.
    """
    side = min(tensor.rows, tensor.columns)
    is_exact = side <= EXACT
    squares, weights = _eigenvalues(tensor) if is_exact else _quadrature(tensor, seed)
    values = np.sqrt(np.maximum(squares, 0))
    largest = float(values.max())
    if not largest > 0:
        return None
    total = float(weights @ values)
    entropy = np.log(total) - float(weights @ _times_log(values)) / total
    return WeightSpectrum(
        spectral_norm=largest,
        effective_rank=float(min(side, np.exp(entropy))),
        stable_rank=(l2_norm / largest) ** 2,
        full_rank=side,
        is_estimated=not is_exact,
    )


def spectrum_seconds(tensor: StoredTensor) -> float:
    """Returns about how long `spectrum_of` takes."""
    side = min(tensor.rows, tensor.columns)
    if side <= EXACT:
        return _SECONDS_PER_PRODUCT * side * (tensor.count + 10 * side**2)
    return 2 * _STEPS * _SECONDS_PER_NUMBER * tensor.count


def _times_log(values: Doubles) -> Doubles:
    return np.asarray(values * np.log(np.maximum(values, _LEAST)))


def _eigenvalues(tensor: StoredTensor) -> tuple[Doubles, Doubles]:
    """Returns the squares of all singular values, each with the weight 1."""
    found = np.linalg.eigvalsh(_gram(tensor))
    return np.asarray(found), np.ones(len(found))


def _gram(tensor: StoredTensor) -> Doubles:
    """Returns the products of the columns, or of the rows where there are fewer of these."""
    if tensor.columns <= tensor.rows:
        total = np.zeros((tensor.columns, tensor.columns))
        for _, block in tensor.blocks():
            wide = np.asarray(block, np.float64)
            total += wide.T @ wide
        return total
    products = np.zeros((tensor.rows, tensor.rows))
    for start, block in tensor.blocks():
        upper = np.asarray(block, np.float64)
        for other, lower in tensor.blocks():
            if other > start:
                break
            part = upper @ np.asarray(lower, np.float64).T
            products[start : start + len(upper), other : other + len(lower)] = part
            products[other : other + len(lower), start : start + len(upper)] = part.T
    return products


def _quadrature(tensor: StoredTensor, seed: int) -> tuple[Doubles, Doubles]:
    """Returns squares of some singular values, with weights that make sums of them those of all."""
    side = min(tensor.rows, tensor.columns)
    generator = np.random.default_rng(seed)
    vectors = generator.choice((-1.0, 1.0), (side, _PROBES)) / np.sqrt(side)
    found = [np.linalg.eigh(each) for each in _tridiagonals(tensor, vectors)]
    squares = np.concatenate([values for values, _ in found])
    weights = np.concatenate([vectors[0] ** 2 for _, vectors in found])
    return squares, weights * side / _PROBES


def _tridiagonals(tensor: StoredTensor, first: Doubles) -> list[Doubles]:
    """Returns the matrices of Lanczos (1950), one for each column, with full orthogonalisation."""
    basis = [first]
    found = np.zeros((first.shape[1], _STEPS, _STEPS))
    for step in range(_STEPS):
        ahead = _multiplied(tensor, basis[-1])
        found[:, step, step] = (basis[-1] * ahead).sum(axis=0)
        for _ in range(2):
            for earlier in basis:
                ahead -= earlier * (earlier * ahead).sum(axis=0)
        length = np.linalg.norm(ahead, axis=0)
        if step + 1 < _STEPS:
            found[:, step, step + 1] = found[:, step + 1, step] = length
            basis.append(ahead / np.maximum(length, _LEAST))
    return list(found)


def _multiplied(tensor: StoredTensor, vectors: Doubles) -> Doubles:
    """Returns vectors times the matrix and its transpose: of its columns, or of its rows."""
    given = vectors.astype(np.float32)
    if tensor.columns <= tensor.rows:
        total = np.zeros(vectors.shape)
        for _, block in tensor.blocks():
            total += block.T @ (block @ given)
        return total
    middle = np.zeros((tensor.columns, vectors.shape[1]), np.float32)
    for start, block in tensor.blocks():
        middle += block.T @ given[start : start + len(block)]
    return np.concatenate([block @ middle for _, block in tensor.blocks()]).astype(np.float64)
