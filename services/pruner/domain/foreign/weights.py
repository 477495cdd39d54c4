"""Networks with fewer channels and neurons: those go that others or nothing can stand for."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from services.pruner.domain.foreign.chains import Chain, Part, Taker, chains
from services.pruner.domain.foreign.folding import merge_equal
from services.pruner.domain.foreign.graphs import (
    Array,
    Changed,
    Rows,
    constants,
    copied,
    observed,
    outputs,
    set_constant,
    taken,
    uses,
)

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

# The runtime computes channels of convolutions by as many at a time.
_STEP = 16
_MOST_ROWS = 4096
_BATCH_ROWS = 256
_PROVING_ROWS = 64
_BATCH_SAMPLES = 2000
_PROVED = 1e-4
_ROUNDING = 1e-9


def narrowed(
    model: onnx.ModelProto,
    rows: Rows,
    tolerance: float,
    check: Callable[[], None] = lambda: None,
    kept_layers: Collection[str] = (),
) -> Changed:
    """Returns a model with fewer channels and neurons.

    Of each layer those are kept that the others follow from best, and who takes them gets weights
    that make up for the rest (interpolative decomposition of activations: Chee, Renz, Damle, De Sa,
    Model preserving compression for neural networks, 2022). With a tolerance near 0 those go that
    are dead, constant, or that nobody looks at. Every removal is proved: the smaller network gives
    what the network with the same channels masked gives, else they stay.

    Args:
        model: As `folded` gives it, without branches and loops.
        rows: Inputs by name, from which activations are known.
        tolerance: Share of what a layer gives to the next that may get lost.
        check: Called before each layer; what it raises ends the work.
        kept_layers: Names of layers that stay as they are.
    """
    new, few = _with_own_vectors(model), taken(rows, slice(_MOST_ROWS))
    notes, before, after = [], 0, 0
    for chain in list(chains(new, kept_layers)):
        check()
        if isinstance(chain, str):
            notes.append(chain)
            continue
        smaller, kept, note = _without(new, chain, few, tolerance)
        new, before, after = smaller, before + chain.channels, after + kept
        notes += [note] if note else []
    if before == after:
        return Changed(model, tuple(notes))
    merge_equal(new.graph)
    return Changed(new, (f"{after:,} of {before:,} channels and neurons are left.", *notes))


def _with_own_vectors(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a model in which no two nodes share a vector; larger constants stay shared."""
    new = copied(model)
    # Shapes that were written down will be others.
    del new.graph.value_info[:]
    used = uses(new.graph)
    for name, tensor in constants(new.graph).items():
        values = numpy_helper.to_array(tensor)
        if values.size != max(values.shape, default=1):
            continue
        for number, use in enumerate(used[name][1:], 1):
            if use.node is not None and use.place >= 0:
                own = f"{name}/{number}"
                set_constant(new.graph, own, values)
                use.node.input[use.place] = own
    return new


def _without(
    model: onnx.ModelProto, chain: Chain, rows: Rows, tolerance: float
) -> tuple[onnx.ModelProto, int, str]:
    """Returns a model without channels that can be spared, how many are left, and a note."""
    known = {name: numpy_helper.to_array(each) for name, each in constants(model.graph).items()}
    takers = {taker.value: taker for taker in chain.takers}

    def keep(name: str, found: Array) -> Array:
        return _samples(found, takers[name], chain.channels)

    values = observed(model, rows, list(takers), _BATCH_ROWS, keep)
    if not all(np.isfinite(each).all() for each in values.values()):
        return model, chain.channels, f"Channels of {chain.name} stay: some are not finite."
    moments = [
        _Moments.of(values[taker.value], taker, _weights(known, taker, chain.channels))
        for taker in chain.takers
    ]
    given = np.sum([each.given() for each in moments], axis=0)
    kept = _kept(given, tolerance, _step(chain), moments[0].samples)
    if len(kept) == chain.channels:
        return model, chain.channels, ""
    constants_of = dict(known)
    for taker, each in zip(chain.takers, moments, strict=True):
        constants_of |= _made_up(constants_of, taker, each, kept)
    masked, smaller = copied(model), copied(model)
    for name in _names(chain):
        set_constant(masked.graph, name, constants_of[name])
    _shrink(smaller, chain, constants_of, kept)
    few = taken(rows, slice(_PROVING_ROWS))
    if not _is_same(masked, smaller, few):
        note = f"Channels of {chain.name} stay: without them outputs are others than with zeros."
        return model, chain.channels, note
    return smaller, len(kept), ""


def _step(chain: Chain) -> int:
    return _STEP if chain.is_convolution and chain.channels > _STEP else 1


def _names(chain: Chain) -> list[str]:
    """Returns constants that get other values."""
    names = [part.name for part in chain.parts] + [taker.bias for taker in chain.takers]
    return [name for name in dict.fromkeys(names) if name]


def _weights(known: Mapping[str, Array], taker: Taker, channels: int) -> Floats:
    """Returns the weights of who takes channels, (channels, block, others)."""
    weight = np.moveaxis(known[taker.weight.name], taker.weight.axis, 0)
    return weight.reshape(channels, taker.weight.block, -1).astype(np.float64)


@dataclass(frozen=True)
class _Moments:
    """How channels go together, as one who takes them sees it.

    Attributes:
        products: Mean products of pairs of channels, around means where these can be made up for,
            (channels, channels).
        means: Means that can be made up for, else 0, (channels,).
        lengths: Norms of what the channels are weighed with, (channels,).
        samples: How many they come from.
    """

    products: Floats
    means: Floats
    lengths: Floats
    samples: int

    @classmethod
    def of(cls, samples: Floats, taker: Taker, weights: Floats) -> "_Moments":
        """Takes channels at rows and places, and weights (channels, block, others)."""
        means = samples.mean(axis=0) * bool(taker.bias)
        centred = samples - means
        products = centred.T @ centred / len(centred)
        return cls(products, means, np.linalg.norm(weights, axis=(1, 2)), len(samples))

    def given(self) -> Floats:
        """Returns what pairs of channels give together, as a share of all that they give."""
        given = self.lengths[:, None] * self.products * self.lengths
        return np.asarray(given / (np.trace(given) or 1.0))

    def mixture(self, kept: Positions, gone: Positions) -> Floats:
        """Returns the channels that go as mixtures of those that stay, (kept, gone)."""
        own = self.products[np.ix_(kept, kept)]
        own[np.diag_indices_from(own)] += _ROUNDING * np.trace(own) + np.finfo(np.float64).tiny
        return np.asarray(np.linalg.solve(own, self.products[np.ix_(kept, gone)]))


def _samples(values: Array, taker: Taker, channels: int) -> Floats:
    """Returns channels at some rows and places, (samples, channels)."""
    if taker.axis == 1:
        found = np.moveaxis(values, 1, -1).reshape(-1, channels)
    else:
        blocks = values.reshape(-1, channels, taker.weight.block)
        found = np.moveaxis(blocks, 1, -1).reshape(-1, channels)
    return found[:: -(-len(found) // _BATCH_SAMPLES)].astype(np.float64)


def _kept(given: Floats, tolerance: float, step: int, samples: int) -> Positions:
    """Returns channels that the rest follow from within a tolerance, ascending.

    Cholesky decomposition with pivots: next is always the channel that follows least from those
    before it. As many samples as channels would prove that each follows from the others: what is
    left counts as on samples that come (Akaike, Fitting autoregressive models for prediction,
    1969).
    """
    left = np.diag(given).copy()
    bound = tolerance * left.sum()
    factors, order = np.zeros_like(given), list[int]()
    alive = int((left > _ROUNDING * left.sum()).sum())
    while len(order) < min(step * -(-max(alive, 1) // step), len(left)):
        is_width = bool(order) and len(order) % step == 0
        if is_width and _is_within(float(left.sum()), bound, samples - 1, len(order)):
            break
        left[order] = -1.0
        pivot = int(left.argmax())
        left[order] = 0.0
        at = len(order)
        order.append(pivot)
        if left[pivot] > 0:
            column = given[:, pivot] - factors[:, :at] @ factors[pivot, :at]
            factors[:, at] = column / np.sqrt(left[pivot])
            left = np.maximum(left - np.square(factors[:, at]), 0.0)
        left[order] = 0.0
    return np.sort(np.asarray(order, np.int64))


def _is_within(error: float, bound: float, samples: int, fitted: int) -> bool:
    """Returns whether an error is within a bound on samples that nothing was fitted to."""
    return samples > fitted and error * (samples + fitted) <= bound * (samples - fitted)


def _made_up(
    known: Mapping[str, Array], taker: Taker, moments: _Moments, kept: Positions
) -> dict[str, Array]:
    """Returns constants of who takes channels: zeros for those that go, others make up for them."""
    part, count = taker.weight, len(moments.means)
    gone = np.setdiff1d(np.arange(count), kept)
    weights = _weights(known, taker, count)
    mixture = moments.mixture(kept, gone)
    # Weights of those that go, (gone, block, others).
    lost = weights[gone]
    new = weights.copy()
    new[kept] += np.tensordot(mixture, lost, axes=1)
    new[gone] = 0.0
    old = known[part.name]
    shape = np.moveaxis(old, part.axis, 0).shape
    found = {part.name: np.moveaxis(new.reshape(shape), 0, part.axis).astype(old.dtype)}
    if taker.bias:
        bias = known[taker.bias]
        means = moments.means[gone] - moments.means[kept] @ mixture
        added = np.tensordot(means, lost.sum(axis=1), axes=1).reshape(len(bias), -1).sum(axis=1)
        found[taker.bias] = (bias + added).astype(bias.dtype)
    return found


def _shrink(
    model: onnx.ModelProto, chain: Chain, known: Mapping[str, Array], kept: Positions
) -> None:
    """Cuts channels out of a model's constants."""
    values = {name: known[name] for name in _names(chain)}
    for part in chain.parts:
        values[part.name] = _cut(values[part.name], part, kept)
    for part in chain.shapes:
        first, _ = known[part.name]
        values[part.name] = np.array([first, len(kept) * part.block], np.int64)
    for name, value in values.items():
        set_constant(model.graph, name, value)
    for node in model.graph.node:
        if node.output[0] in chain.depthwise:
            for attribute in node.attribute:
                if attribute.name == "group":
                    attribute.i = len(kept)


def _cut(values: Array, part: Part, kept: Positions) -> Array:
    places = (kept[:, None] * part.block + np.arange(part.block)).ravel()
    return np.take(values, places, axis=part.axis)


def _is_same(masked: onnx.ModelProto, smaller: onnx.ModelProto, rows: Rows) -> bool:
    """Returns whether two models give the same outputs but for rounding."""
    expected = outputs(masked, rows)
    try:
        found = outputs(smaller, rows)
    except Exception:  # onnxruntime's own exceptions have no common root; it is no valid model.
        return False
    numbers = [name for name, values in expected.items() if values.dtype.kind == "f"]
    return all(
        found[name].shape == expected[name].shape
        and np.allclose(
            found[name], expected[name], rtol=_PROVED, atol=_PROVED * np.abs(expected[name]).max()
        )
        for name in numbers
    )
