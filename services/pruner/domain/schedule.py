"""Step by step to a network that is as much quicker as was asked for."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from common.networks.program_network import ProgramNetwork
from services.pruner.domain.amounts import Seconds, Wanted, units_to_remove
from services.pruner.domain.blocks import blocks_of, without_block
from services.pruner.domain.dependencies.graph import Dependencies
from services.pruner.domain.dependencies.proving import proved_dependencies
from services.pruner.domain.dependencies.removal import without
from services.pruner.domain.importance import Loss, Scoring, changes
from services.pruner.domain.latency.layer_shape import layers_of
from services.pruner.domain.statistics import estimate_statistics

Gain = Callable[[ProgramNetwork], float]
"""How many times quicker a network is than the original, measured."""
Recovery = Callable[[ProgramNetwork], None]
"""Trains a network a little."""


@dataclass(frozen=True)
class Target:
    """Where the network is to run.

    Attributes:
        rows: Rows at once.
        seconds: What a layer of a shape takes there.
        gain: What is measured there of a whole network.
    """

    rows: int
    seconds: Seconds
    gain: Gain


@dataclass(frozen=True)
class Schedule:
    """How far to go, and in what steps.

    Attributes:
        gain: How many times quicker the network is to be.
        part: Of the time that is left, what a step takes away.
        step: Widths are multiples of it.
        near: Share of the gain that is enough, and of what is got that may be asked for.
        far: The same share of what loses less than all that is near.
        kept_layers: Names of layers that stay as they are.
    """

    gain: float
    part: float = 0.12
    step: int = 16
    near: float = 0.96
    far: float = 0.85
    kept_layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """What a network learns from.

    Attributes:
        example: What it takes in, at least two rows.
        batches: For scores, losses and statistics of normalisation.
        loss: Of outputs and truth, the mean of rows.
    """

    example: Sequence[Tensor]
    batches: Sequence[tuple[Sequence[Tensor], Tensor]]
    loss: Loss

    @torch.no_grad()
    def mean_loss(self, network: ProgramNetwork) -> float:
        """Returns the loss of a network that is put into evaluation."""
        network.eval()
        losses = [float(self.loss(network(*inputs), truth)) for inputs, truth in self.batches]
        return sum(losses) / len(losses)


@dataclass(frozen=True)
class Step:
    """A step that was taken.

    Attributes:
        what: `channels`, or the name of the sum that lost a branch.
        gain: Of the network after it, measured.
        loss: Of rows after it, before recovery.
        network: After recovery.
    """

    what: str
    gain: float
    loss: float
    network: ProgramNetwork


def steps_to(
    network: ProgramNetwork,
    rows: Rows,
    target: Target,
    schedule: Schedule,
    recover: Recovery = lambda _: None,
    score: Scoring = changes,
) -> Iterator[Step]:
    """Yields the network after each step; ends where the gain is got or nothing more may go.

    In each step units go, scored anew, or one block: what costs less loss for the time it gains.
    How much time layers must lose follows from the gain that was measured of the step before, so
    that what else takes time, or is quicker together than alone, is accounted for.

    Args:
        network: The original.
        rows: What it learns from.
        target: Where it is to run.
        schedule: How far to go, and in what steps.
        recover: What to do after each step.
        score: Of units, the larger the more important.
    """
    gain = 1.0

    def proved(some: ProgramNetwork) -> Dependencies:
        return proved_dependencies(some, rows.example, kept_layers=schedule.kept_layers)

    known = proved(network)
    while gain < schedule.near * schedule.gain:
        stepping = Stepping(known, rows, target, schedule, score)
        step = stepping.step(gain)
        if step is None:
            return
        recover(step.network)
        yield step
        gain = step.gain
        known = proved(step.network)


@dataclass(frozen=True)
class _Option:
    what: str
    network: ProgramNetwork
    seconds: float
    loss: float = math.inf


@dataclass(frozen=True)
class Stepping:
    """Finds the next step.

    Attributes:
        known: What goes together in the network as it is.
        rows: What it learns from.
        target: Where it is to run.
        schedule: How far to go.
        score: Of units, the larger the more important.
    """

    known: Dependencies
    rows: Rows
    target: Target
    schedule: Schedule
    score: Scoring

    def step(self, gain: float) -> Step | None:
        """Returns the cheapest step that does not go too far; None where there is none.

        One that goes a little too far and loses less is better still. Where all go too far it is
        the one that goes least far.

        Args:
            gain: That was got already.
        """
        found: list[Step] = []
        for option in self._options(gain / self.schedule.gain):
            got = self.target.gain(option.network)
            found.append(Step(option.what, got, option.loss, option.network))
            if got <= self.schedule.gain / self.schedule.near:
                return self.chosen(found)
        return min(found, key=lambda each: each.gain, default=None)

    def chosen(self, found: Sequence[Step]) -> Step:
        """Returns the last step, or one before that went a little too far and loses less."""
        most = self.schedule.gain / self.schedule.far
        near = [each for each in found if each.gain <= most]
        return min(near, key=lambda each: each.loss)

    def _options(self, last: float) -> list[_Option]:
        """Returns what could be done, what costs least loss for its time first.

        Args:
            last: Share of the layers' time that is left when all is done.
        """
        network = self.known.network
        now, loss = self._seconds(network), self.rows.mean_loss(network)
        floor = self.schedule.near * last * now
        blocks = [each for each in self._blocks() if each.seconds >= floor]
        channels = self._channels(max(1 - self.schedule.part, last) * now)
        found = [self._settled(each) for each in (channels, *blocks) if each.seconds < now]

        def cost(option: _Option) -> float:
            return max(option.loss - loss, 1e-6) / math.log(now / option.seconds)

        return sorted(found, key=cost)

    def _channels(self, seconds: float) -> _Option:
        layers = layers_of(self.known, self.target.rows)
        scores = self.score(self.known, self.rows.batches, self.rows.loss)
        wanted = Wanted(seconds, self.schedule.step)
        gone = units_to_remove(self.known, layers, self.target.seconds, scores, wanted)
        left = sum(self.target.seconds(each.without(gone)) for each in layers.values())
        return _Option("channels", without(self.known, gone), left)

    def _blocks(self) -> Iterator[_Option]:
        network = self.known.network
        for block in blocks_of(network, self.rows.example):
            small = without_block(network, block)
            if self._disturbs(small):
                continue
            yield _Option(block.sum, small, self._seconds(small))

    def _disturbs(self, small: ProgramNetwork) -> bool:
        """Returns whether a block went that holds a layer that stays, or stood beside one.

        Blocks behind one that goes get other numbers, and so other names.
        """
        gone = self.known.network.state_dict().keys() - small.state_dict().keys()
        places = {_place(name) for name in gone}
        return any(_place(layer) in places for layer in self.schedule.kept_layers)

    def _seconds(self, network: ProgramNetwork) -> float:
        """Returns what the layers take that are left in a network without blocks."""
        left = {each.name for each in network.program.operations}
        layers = layers_of(self.known, self.target.rows).items()
        return sum(self.target.seconds(each.shape) for name, each in layers if name in left)

    def _settled(self, option: _Option) -> _Option:
        """Returns an option with its statistics and its loss."""
        estimate_statistics(option.network, [inputs for inputs, _ in self.rows.batches])
        return replace(option, loss=self.rows.mean_loss(option.network))


def _place(name: str) -> tuple[str, ...]:
    """Returns in which list of blocks a parameter or layer is, `stages.1` for instance."""
    return tuple(name.split(".")[:2])
