"""How perceptrons for tables are learned: AdamW over batches, bound by epochs and by time."""

import math
import time
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import issparse

from common.models.estimators.perceptron import (
    Array,
    Matrix,
    Network,
    PiecewiseLinear,
    dense,
    sigmoid,
)
from services.tuner.domain.families.family import OutOfTimeError
from services.tuner.domain.families.perceptron_plan import Goal, Plan, Positions
from services.tuner.domain.families.perceptron_weights import decays, drawn, views

_WARM = 0.05
_MOST_WATCHED = 4000
_MOST_FOR_QUANTILES = 20_000
_BETAS = (0.9, 0.99)
_PIECE = 1 << 20


@dataclass(frozen=True)
class Learned:
    """A network at its best.

    Attributes:
        network: The network.
        epochs: Passes until then.
        is_cut_short: Whether time ended before it was done.
    """

    network: Network
    epochs: int
    is_cut_short: bool


def learned(
    features: Matrix,
    goal: Goal,
    plan: Plan,
    seconds: float,
    watched: tuple[Matrix, Goal] | None = None,
) -> Learned:
    """Learns a network.

    The learning rate rises, and falls along a cosine to 0 at the end of all epochs or of the time,
    whichever comes first; with rows that are watched the best epoch is kept.

    Args:
        features: Numbers without NaN, (rows, columns), dense or sparse by rows.
        goal: Of these rows.
        plan: How.
        seconds: Time for it.
        watched: Other rows.

    Raises:
        OutOfTimeError: There was no time for a single step.
    """
    clock = _Clock(time.monotonic(), seconds)
    generator = np.random.default_rng(plan.seed)
    features = features if issparse(features) else dense(features)
    learner = _Learner(features, goal, plan, generator)
    best = _Best(learner, watched)
    epoch = 0
    while epoch < plan.last and not clock.is_late and epoch - best.epoch <= plan.patience:
        epoch += _is_passed(learner, epoch, clock)
        best.look(epoch)
    if not learner.steps:
        raise OutOfTimeError("there was no time to learn")
    return Learned(best.network(), max(best.epoch, 1), clock.is_late and epoch < plan.last)


@dataclass(frozen=True)
class _Clock:
    """Tells how much of the time has passed."""

    begin: float
    seconds: float

    @property
    def share(self) -> float:
        """What share of the time has passed."""
        return (time.monotonic() - self.begin) / max(self.seconds, 1e-9)

    @property
    def is_late(self) -> bool:
        """Whether all has."""
        return self.share >= 1


def _is_passed(learner: "_Learner", epoch: int, clock: _Clock) -> bool:
    """Learns from all rows once, and returns whether there was time for it."""
    batches = learner.shuffled()
    for number, batch in enumerate(batches):
        passed = clock.share
        if passed >= 1:
            return False
        done = epoch + (number + 1) / len(batches)
        learner.step(batch, max(done / learner.plan.epochs, passed))
    return True


class _Learner:
    """A network with its slopes and what AdamW (Loshchilov and Hutter 2019) remembers."""

    def __init__(
        self, features: Matrix, goal: Goal, plan: Plan, generator: np.random.Generator
    ) -> None:
        self._features, self._goal, self._generator = features, goal, generator
        self.plan = plan
        sample = generator.permutation(features.shape[0])[:_MOST_FOR_QUANTILES]
        encoding = PiecewiseLinear.of(dense(features[np.sort(sample)]), plan.pieces)
        begin = drawn(features.shape[1], encoding, plan, goal.wanted.shape[1], generator)
        self.values = np.concatenate([each.ravel() for each in begin.values()])
        self._slopes = np.zeros_like(self.values)
        self._first, self._second = np.zeros_like(self.values), np.zeros_like(self.values)
        self.network = Network(encoding, plan.activation, views(self.values, begin))
        self._by_name = views(self._slopes, begin)
        self._decays = decays(begin)
        self.steps = 0
        kept = generator.random(_PIECE, np.float32) >= plan.dropout
        self._kept = kept.astype(np.float32) / np.float32(1 - plan.dropout)

    def shuffled(self) -> list[Positions]:
        """Returns batches of an epoch, (members, rows): each member has an order of its own."""
        count, members = self._features.shape[0], self.plan.members
        orders = np.tile(np.arange(count), (members, 1))
        orders = self._generator.permuted(orders, axis=1)
        parts = max(round(count / self.plan.batch), 1)
        return np.array_split(orders, parts, axis=1)

    def step(self, rows: Positions, share: float) -> None:
        """Learns from a batch, at a share of all learning."""
        self._backward(rows)
        self.steps += 1
        rate = self.plan.learning_rate * min(share / _WARM, 1.0)
        rate *= 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
        self._descend(rate)

    def _backward(self, rows: Positions) -> None:
        weights, slopes = self.network.weights, self._by_name
        members, count = rows.shape
        encoded = self.network.encoding.encoded(dense(self._features[rows.ravel()]))
        encoded = encoded.reshape(members, count, -1)
        inputs: list[Array] = [encoded * weights["mix"][:, None, :]]
        passed: list[Array] = []
        for layer in range(self.plan.layers):
            flat = inputs[-1].reshape(members * count, -1) @ weights[f"weight_{layer}"]
            values: Array = flat.reshape(members, count, -1)
            values += weights[f"bias_{layer}"][:, None, :]
            values, slope = _sloped(values, self.plan.activation)
            self._drop(values, slope)
            inputs.append(values)
            passed.append(slope)
        outputs: Array = inputs[-1] @ weights["head"] + weights["head_bias"][:, None, :]
        back: Array = self._goal.slopes(outputs, rows)
        np.matmul(inputs[-1].transpose(0, 2, 1), back, out=slopes["head"])
        back.sum(axis=1, out=slopes["head_bias"])
        back = back @ weights["head"].transpose(0, 2, 1)
        for layer in reversed(range(self.plan.layers)):
            back *= passed[layer]
            back.sum(axis=1, out=slopes[f"bias_{layer}"])
            flat = back.reshape(members * count, -1)
            below = inputs[layer].reshape(members * count, -1)
            np.matmul(below.T, flat, out=slopes[f"weight_{layer}"])
            back = (flat @ weights[f"weight_{layer}"].T).reshape(members, count, -1)
        back *= encoded
        back.sum(axis=1, out=slopes["mix"])

    def _drop(self, values: Array, slope: Array) -> None:
        """Leaves some values out; which ones is drawn beforehand, as drawing takes long."""
        if not self.plan.dropout or values.size > _PIECE // 2:
            return
        begin = int(self._generator.integers(_PIECE - values.size))
        kept = self._kept[begin : begin + values.size].reshape(values.shape)
        values *= kept
        slope *= kept

    def _descend(self, rate: float) -> None:
        self._first *= np.float32(_BETAS[0])
        self._first += np.float32(1 - _BETAS[0]) * self._slopes
        self._second *= np.float32(_BETAS[1])
        self._second += np.float32(1 - _BETAS[1]) * np.square(self._slopes)
        first, second = (1 - beta**self.steps for beta in _BETAS)
        change = np.sqrt(self._second)
        change *= np.float32(1 / math.sqrt(second))
        change += np.float32(1e-8)
        np.divide(self._first, change, out=change)
        change *= np.float32(rate / first)
        self.values *= 1 - self._decays * np.float32(rate * self.plan.weight_decay)
        self.values -= change


class _Best:
    """The epoch with the least watched loss; the last one if no rows are watched."""

    def __init__(self, learner: _Learner, watched: tuple[Matrix, Goal] | None) -> None:
        self._learner, self._watched = learner, watched
        self._loss, self.epoch = math.inf, 0
        self._values: Array | None = None
        if watched is not None and watched[0].shape[0] > _MOST_WATCHED:
            rows = np.linspace(0, watched[0].shape[0] - 1, _MOST_WATCHED).astype(np.int64)
            goal = watched[1]
            self._watched = watched[0][rows], replace(goal, wanted=goal.wanted[rows], weights=None)

    def look(self, epoch: int) -> None:
        """Compares the network after an epoch with what was best."""
        if self._watched is None:
            self.epoch = epoch
            return
        features, goal = self._watched
        loss = goal.loss(self._learner.network.outputs(features))
        if loss < self._loss:
            self._loss, self.epoch, self._values = loss, epoch, self._learner.values.copy()

    def network(self) -> Network:
        """Returns the network as it was at its best, apart from what learned it."""
        network = self._learner.network
        if self._values is not None:
            self._learner.values[:] = self._values
        weights = {name: each.copy() for name, each in network.weights.items()}
        return Network(network.encoding, network.activation, weights)


def _sloped(values: Array, activation: str) -> tuple[Array, Array]:
    """Returns an activation, see `activated`, and its slope."""
    if activation == "relu":
        return np.maximum(values, 0), (values > 0).astype(np.float32)
    gate = sigmoid(values)
    found = values * gate
    slope = found * gate
    np.subtract(found, slope, out=slope)
    slope += gate
    return found, slope
