"""Networks of the trainer with fewer channels, neurons, embedding widths and blocks."""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from common.networks.modules import build_network
from common.networks.program_network import ProgramNetwork
from common.networks.resizing import NotResizableError, resized
from common.networks.specification import NetworkSpecification
from services.pruner.domain.capture import capture
from services.pruner.domain.latency.layer_shape import LayerShape
from services.pruner.domain.schedule import Rows, Schedule, Target, steps_to
from services.pruner.domain.tuning import Examples, tune
from services.pruner.domain.variants import PartSize

_FARTHEST = 3.0
_STOPS = (1.25, 1.5, 2.0, 3.0)
"""Gains at which a network is trained whole and offered."""
_RECOVERY_EPOCHS, _EPOCHS = 0.25, 4.0
_SCORED_BATCHES = 8
_STEPS_SHARE = 0.5


@dataclass(frozen=True)
class SmallNetwork:
    """A network that became smaller, trained again.

    Attributes:
        name: Its name.
        specification: With smaller widths.
        state: Its tensors, by the names that its network has.
        notes: What was done.
        parts: Widths before and after.
    """

    name: str
    specification: NetworkSpecification
    state: dict[str, Tensor]
    notes: tuple[str, ...]
    parts: tuple[PartSize, ...]


@dataclass(frozen=True)
class Place:
    """Where a network runs, and what is to become less there.

    Attributes:
        rows: Rows at once.
        cost: What a network takes: seconds of a batch, or bytes.
        layer_cost: What a layer of a shape takes, in the same unit or another.
        step: Widths are multiples of it, where they are at least twice as large.
    """

    rows: int
    cost: Callable[[nn.Module], float]
    layer_cost: Callable[[LayerShape], float]
    step: int


def smaller_networks(
    network: nn.Module,
    specification: NetworkSpecification,
    examples: Examples,
    place: Place,
    seconds: float,
    seed: int,
    check: Callable[[], None],
) -> Iterator[SmallNetwork]:
    """Yields networks that are quicker and quicker, trained again with the original as teacher.

    Args:
        network: The network, in evaluation.
        specification: It was built from; complete.
        examples: Rows that it has learned from.
        place: Where it is to run.
        seconds: That may be taken, about.
        seed: Of all chance.
        check: Called now and then; raises to stop.

    Raises:
        NotTraceableError: Its operations cannot be followed.
    """
    begun = time.monotonic()
    example = tuple(each[:4] for each in examples.inputs)
    dense = place.cost(network)
    rows = Rows(example, examples.batches(_SCORED_BATCHES, seed), examples.loss)

    def recover(smaller: ProgramNetwork) -> None:
        check()
        tune(smaller, network, examples, _RECOVERY_EPOCHS, seconds / 20, seed, check)

    target = Target(place.rows, place.layer_cost, lambda each: dense / place.cost(each))
    schedule = Schedule(_FARTHEST, step=place.step)
    stops = list(_STOPS)
    for step in steps_to(capture(network, example), rows, target, schedule, recover):
        check()
        if stops and step.gain >= stops[0]:
            stops = [each for each in stops if each > step.gain]
            left = seconds - (time.monotonic() - begun)
            try:
                yield _trained(step.network, network, specification, examples, left, seed, check)
            except NotResizableError:
                continue  # a block went of which the kind of network has no place without
        if time.monotonic() - begun > seconds:
            return


def _trained(
    smaller: ProgramNetwork,
    teacher: nn.Module,
    specification: NetworkSpecification,
    examples: Examples,
    left: float,
    seed: int,
    check: Callable[[], None],
) -> SmallNetwork:
    """Returns a network that was built anew from its specification and trained."""
    found, state = resized(specification, smaller.state_dict())
    built = build_network(found)
    built.load_state_dict(copy.deepcopy(state))
    tune(built, teacher, examples, _EPOCHS, max(_STEPS_SHARE * left, 1.0), seed, check)
    widths = _widths(build_network(specification), built)
    before, after = (sum(each.numel() for each in one.parameters()) for one in (teacher, built))
    share = round(100 * after / before)
    note = (
        f"{after:,} of {before:,} parameters are left; trained again for up to {_EPOCHS:g} epochs "
        "with the original as teacher."
    )
    tensors = {name: each.detach().clone() for name, each in built.state_dict().items()}
    return SmallNetwork(f"units_{share}_percent", found, tensors, (note,), widths)


def _widths(before: nn.Module, after: nn.Module) -> tuple[PartSize, ...]:
    """Returns the widths of layers that became narrower, by the layer's name."""
    own = dict(after.named_modules())
    return tuple(
        PartSize(name, "fewer_units", _width(each), _width(own[name]))
        for name, each in before.named_modules()
        if name in own and _width(each) > _width(own[name])
    )


def _width(layer: nn.Module) -> int:
    if isinstance(layer, nn.Embedding):
        return layer.embedding_dim
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if isinstance(layer, nn.Conv2d) else 0
