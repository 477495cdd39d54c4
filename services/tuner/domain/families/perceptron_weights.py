"""Weights of perceptrons for tables, as parts of one array."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.models.estimators.perceptron import Array, PiecewiseLinear
from services.tuner.domain.families.perceptron_plan import Plan


def drawn(
    columns: int,
    encoding: PiecewiseLinear,
    plan: Plan,
    outputs: int,
    generator: np.random.Generator,
) -> dict[str, Array]:
    """Returns weights to begin with; see `Network.weights`."""
    signs = generator.choice(np.array([-1, 1], np.float32), (plan.members, columns))
    found = {"mix": np.concatenate([signs, signs[:, encoding.sources]], axis=1)}
    width = found["mix"].shape[1]
    for layer in range(plan.layers):
        found[f"weight_{layer}"] = _uniform((width, plan.width), width, generator)
        found[f"bias_{layer}"] = _uniform((plan.members, plan.width), width, generator)
        width = plan.width
    found["head"] = _uniform((plan.members, width, outputs), width, generator)
    found["head_bias"] = np.zeros((plan.members, outputs), np.float32)
    return found


def _uniform(shape: tuple[int, ...], inputs: int, generator: np.random.Generator) -> Array:
    bound = 1 / math.sqrt(inputs)
    return generator.uniform(-bound, bound, shape).astype(np.float32)


def views(values: Array, like: Mapping[str, Array]) -> dict[str, Array]:
    """Returns parts of one array under their names, in their shapes."""
    ends = np.cumsum([each.size for each in like.values()])
    parts = np.split(values, ends[:-1])
    return {
        name: part.reshape(each.shape)
        for part, (name, each) in zip(parts, like.items(), strict=True)
    }


def decays(weights: Mapping[str, Array]) -> Array:
    """Returns 1 for what is a matrix and decays, else 0."""
    flags: list[Any] = [
        np.full(each.size, name.startswith("weight") or name == "head", np.float32)
        for name, each in weights.items()
    ]
    return np.concatenate(flags)
