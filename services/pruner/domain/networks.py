"""Networks of the trainer with fewer channels, neurons, embedding widths and blocks."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from common.networks.modules import build_network
from common.networks.program_network import ProgramNetwork
from common.networks.resizing import NotResizableError, resized
from common.networks.specification import NetworkSpecification
from services.pruner.domain.capture import capture
from services.pruner.domain.dependencies.proving import proved_dependencies
from services.pruner.domain.importance import Scoring, changes
from services.pruner.domain.latency.layer_shape import LayerShape
from services.pruner.domain.regularising import first_to_go, numbers_of
from services.pruner.domain.schedule import Rows, Schedule, Target, steps_to
from services.pruner.domain.sensitivity import sensitivities
from services.pruner.domain.tuning import Examples, Plan, Tutor, tune
from services.pruner.domain.variants import PartSize

_FARTHEST = 3.0
_STOPS = (1.25, 1.5, 2.0, 3.0)
"""Gains at which a network is trained whole and offered."""
_REGULARISED_GAIN = 1.5
"""Units that would go at once for this gain are driven towards zero."""
_RECOVERY_EPOCHS = 0.25
_SCORED_BATCHES = 8
_STEPS_SHARE, _REGULARISED_SHARE, _PLENTY = 0.5, 0.25, 0.7
_REGULARISE = "regularise"
_WORDS = {"channels": "some units"}


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


@dataclass(frozen=True)
class Pace:
    """In what time networks are made smaller, and who hears of it.

    Attributes:
        seconds: That may be taken, about.
        seed: Of all chance.
        check: Called now and then; raises to stop.
        tell: Hears what is done, whole sentences.
    """

    seconds: float
    seed: int
    check: Callable[[], None]
    tell: Callable[[str], None]


@dataclass(frozen=True)
class Workplace:
    """How networks are made smaller.

    Attributes:
        examples: Rows that they learn from.
        place: Where they are to run.
        tutor: Trains them.
        epochs: Of training again.
        regularises: Whether what goes first is driven towards zero before anything goes.
        pace: In what time.
        score: Of units, the larger the more important.
        kept_layers: Names of layers that stay as they are.
    """

    examples: Examples
    place: Place
    tutor: Tutor
    epochs: int
    regularises: bool
    pace: Pace
    score: Scoring = changes
    kept_layers: tuple[str, ...] = ()


def smaller_networks(
    network: nn.Module, specification: NetworkSpecification, work: Workplace
) -> Iterator[SmallNetwork]:
    """Yields networks that are quicker and quicker, trained again with the original as teacher.

    Args:
        network: The network, in evaluation.
        specification: It was built from; complete.
        work: How.

    Raises:
        NotTraceableError: Its operations cannot be followed.
    """
    yield from _Shrinking(network, specification, work).networks()


class _Shrinking:
    """The way from a network to smaller ones."""

    def __init__(
        self, network: nn.Module, specification: NetworkSpecification, work: Workplace
    ) -> None:
        self._original = network
        self._specification = specification
        self._work = work
        self._end = time.monotonic() + work.pace.seconds
        examples, place = work.examples, work.place
        self._example = tuple(each[:4] for each in examples.inputs)
        dense = place.cost(network)
        self._target = Target(place.rows, place.layer_cost, lambda each: dense / place.cost(each))
        batches = examples.batches(_SCORED_BATCHES, work.pace.seed)
        self._rows = Rows(self._example, batches, examples.loss)
        self._sensitivities: Mapping[str, float] = {}

    @property
    def _left(self) -> float:
        return self._end - time.monotonic()

    def networks(self) -> Iterator[SmallNetwork]:
        """Yields the network at each stop, trained again."""
        first = capture(self._original, self._example)
        self._sensitivities = self._measured(first)
        if self._work.regularises:
            first = self._regularised(first)
        work = self._work
        schedule = Schedule(_FARTHEST, step=work.place.step, kept_layers=work.kept_layers)
        stops = list(_STOPS)
        steps = steps_to(first, self._rows, self._target, schedule, self._recover, work.score)
        for step in steps:
            self._work.pace.check()
            self._work.pace.tell(
                f"Without {_WORDS.get(step.what, step.what)} it takes {1 / step.gain:.0%}; the "
                f"loss is {step.loss:.4g} before it recovers."
            )
            reached = step.gain / schedule.near
            if stops and reached >= stops[0]:
                stops = [each for each in stops if each > reached]
                try:
                    yield self._trained(step.network)
                except NotResizableError:
                    continue  # a block went of which the kind of network has no place without
            if self._left < 0:
                return

    def _measured(self, network: ProgramNetwork) -> Mapping[str, float]:
        """Returns how much the network needs of each of its layers."""
        known = proved_dependencies(network, self._example)
        scores = changes(known, self._rows.batches, self._rows.loss)
        return sensitivities(known, self._rows, scores, self._original)

    def _recover(self, smaller: ProgramNetwork) -> None:
        """Trains a network a little between two steps, in this process whoever else trains."""
        self._work.pace.check()
        plan = Plan(_RECOVERY_EPOCHS, self._work.pace.seconds / 20, self._work.pace.seed)
        tune(smaller, self._original, self._work.examples, plan, self._work.pace.check)

    def _regularised(self, network: ProgramNetwork) -> ProgramNetwork:
        """Returns the network after training in which what would go first goes towards zero.

        Source: Wang et al., Neural pruning via growing regularization (ICLR 2021).
        """
        kept = self._work.kept_layers
        known = proved_dependencies(network, self._example, kept_layers=kept)
        if self._left < _PLENTY * self._work.pace.seconds:
            self._work.pace.tell("Time is too short to drive units towards zero beforehand.")
            return network
        step = self._work.place.step
        units = first_to_go(
            known, self._rows, self._target, _REGULARISED_GAIN, step, self._work.score
        )
        if not units:
            return network
        built = build_network(self._specification)
        built.load_state_dict(self._original.state_dict())
        vanishing = numbers_of(known, units)
        told = self._train(built, self._specification, _REGULARISE, vanishing)
        self._work.pace.tell(
            f"The {len(units):,} least important units are driven towards zero, {told}."
        )
        return capture(built, self._example)

    def _trained(self, smaller: ProgramNetwork) -> SmallNetwork:
        """Returns a network that was built anew from its specification and trained."""
        found, state = resized(self._specification, smaller.state_dict())
        built = build_network(found)
        built.load_state_dict(copy.deepcopy(state))
        after, before = (_size(each) for each in (built, self._original))
        share = round(100 * after / before)
        name = f"units_{share}_percent"
        told = self._train(built, found, name)
        note = (
            f"{after:,} of {before:,} parameters are left; trained again {told}, with the original "
            "as teacher."
        )
        self._work.pace.tell(f"{name}: {note}")
        widths = _widths(build_network(self._specification), built, self._sensitivities)
        tensors = {key: each.detach().clone() for key, each in built.state_dict().items()}
        return SmallNetwork(name, found, tensors, (note,), widths)

    def _train(
        self,
        network: nn.Module,
        specification: NetworkSpecification,
        what: str,
        vanishing: Mapping[str, Tensor] | None = None,
    ) -> str:
        share = _REGULARISED_SHARE if vanishing else _STEPS_SHARE
        seconds = max(share * self._left, 1.0)
        plan = Plan(self._work.epochs, seconds, self._work.pace.seed, vanishing or {})
        return self._work.tutor.train(network, specification, what, plan)


def _size(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


def _widths(
    before: nn.Module, after: nn.Module, needed: Mapping[str, float]
) -> tuple[PartSize, ...]:
    """Returns the widths of layers that became narrower or could have, by the layer's name."""
    own = dict(after.named_modules())
    return tuple(
        PartSize(name, "fewer_units", _width(each), _width(own[name]), needed.get(name))
        for name, each in before.named_modules()
        if name in own and (_width(each) > _width(own[name]) or name in needed)
    )


def _width(layer: nn.Module) -> int:
    if isinstance(layer, nn.Embedding):
        return layer.embedding_dim
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if isinstance(layer, nn.Conv2d) else 0
