"""How much a trial promises."""

import math

import numpy as np
from scipy.special import erfcx, ndtr

from services.tuner.domain.space.encoding import Vector

_FAR = -1.0
_LEAST = 1e-9


def log_expected_improvement(mean: Vector, variance: Vector, best: float) -> Vector:
    """Returns the logarithm of how much is expected to be gained below the best loss.

    It stays finite and ordered where the gain itself would round to 0 (Ament et al. 2023).

    Args:
        mean: Of the losses.
        variance: Of the losses.
        best: Smallest loss so far.
    """
    deviation = np.sqrt(np.maximum(variance, _LEAST**2))
    found: Vector = np.log(deviation) + _log_gain((best - mean) / deviation)
    return found


def _log_gain(score: Vector) -> Vector:
    """Returns log(density(score) + score * distribution(score)) of the normal distribution."""
    near = np.maximum(score, _FAR)
    density = np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi)
    close = np.log(density + near * ndtr(near))
    far = np.minimum(score, _FAR)
    # 1 - x * Mills' ratio, with its series where the difference would cancel out.
    ratio = 1 + far * erfcx(-far / math.sqrt(2)) * math.sqrt(math.pi / 2)
    ratio = np.where(far < -1e3, 1 / np.maximum(far**2, 1.0), ratio)
    away = -(far**2) / 2 - math.log(2 * math.pi) / 2 + np.log(np.maximum(ratio, 1e-300))
    return np.asarray(np.where(score > _FAR, close, away))
