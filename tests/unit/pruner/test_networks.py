"""Networks of the trainer become smaller and are trained again, with the original as teacher."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from common.networks.modules import build_network
from common.networks.specification import MlpNetwork, NetworkInput, NetworkSpecification, complete
from services.pruner.domain.capture import capture
from services.pruner.domain.dependencies.proving import proved_dependencies
from services.pruner.domain.networks import Pace, Place, Workplace, smaller_networks
from services.pruner.domain.regularising import first_to_go, numbers_of
from services.pruner.domain.schedule import Rows, Target
from services.pruner.domain.tuning import Examples, OwnTutor, Plan, Tutor, tune

pytestmark = pytest.mark.slow

ROWS = 600


def learned() -> tuple[NetworkSpecification, nn.Module, Examples]:
    """Returns a network that is far too wide for what it has learned, and its rows."""
    torch.manual_seed(0)
    mlp = MlpNetwork(hidden_widths=(128, 64))
    wanted = NetworkSpecification(mlp=mlp)
    specification = complete(wanted, NetworkInput(numeric_columns=6), 2, "network")
    inputs = torch.randn(ROWS, 6)
    truth = (inputs[:, 0] + inputs[:, 1] ** 2 > 0.7).long()
    examples = Examples((inputs,), truth, "classification", rate=5e-3)
    network = build_network(specification)
    teacher = build_network(specification).eval()
    tune(network, teacher, plain(examples), Plan(15, 60, 0), lambda: None)
    return specification, network, examples


def plain(examples: Examples) -> Examples:
    """Returns examples of which no teacher says anything."""

    class Untaught(Examples):
        """Has the truth alone."""

        def taught_loss(
            self, outputs: torch.Tensor, truth: torch.Tensor, said: torch.Tensor
        ) -> torch.Tensor:
            """Returns the plain loss."""
            return self.loss(outputs, truth)

    return Untaught(examples.inputs, examples.truth, examples.task, examples.rate)


def accuracy(network: nn.Module, examples: Examples) -> float:
    """Returns the share of rows that are right."""
    with torch.no_grad():
        found = network(*examples.inputs).argmax(1)
    return float((found == examples.truth).float().mean())


def size(network: nn.Module) -> float:
    """Stands for seconds: so that the test does not depend on the machine."""
    return float(sum(each.numel() for each in network.parameters()))


PLACE = Place(32, size, lambda shape: float(shape.weights), 1)


@dataclass(frozen=True)
class Observer(OwnTutor):
    """Remembers what it trained."""

    seen: list[tuple[str, Plan]] = field(default_factory=list)

    def train(
        self, network: nn.Module, specification: NetworkSpecification, what: str, plan: Plan
    ) -> str:
        """Trains as usual."""
        self.seen.append((what, plan))
        return super().train(network, specification, what, plan)


def workplace(
    examples: Examples,
    tutor: Tutor,
    *,
    check: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda _: None,
    regularises: bool = False,
) -> Workplace:
    """Returns where networks become smaller in plenty of time."""
    return Workplace(examples, PLACE, tutor, 4, regularises, Pace(120.0, 0, check, tell))


@pytest.mark.parametrize("regularises", [False, True])
def test_networks_become_smaller_and_stay_as_good(*, regularises: bool) -> None:
    """Each is built from its own specification, smaller than the one before, nearly as right."""
    specification, network, examples = learned()
    before = accuracy(network, examples)
    assert before > 0.9
    told: list[str] = []
    tutor = Observer(network, examples, lambda: None)
    work = workplace(examples, tutor, tell=told.append, regularises=regularises)
    made = list(smaller_networks(network, specification, work))
    assert len(made) >= 2
    first, plan = tutor.seen[0]
    assert (first == "regularise") == bool(plan.vanishing) == regularises
    assert [what for what, _ in tutor.seen[regularises:]] == [each.name for each in made]
    assert all(each.notes[0] in " ".join(told) for each in made)
    assert any("it takes" in each for each in told)
    sizes = [size(network)]
    for each in made:
        rebuilt = build_network(each.specification)
        rebuilt.load_state_dict(each.state)
        sizes.append(size(rebuilt))
        assert accuracy(rebuilt.eval(), examples) > before - 0.04
        assert any(part.after < part.before for part in each.parts)
        assert all(part.sensitivity is not None for part in each.parts)
    assert all(later < sooner for sooner, later in itertools.pairwise(sizes))
    assert sizes[-1] < sizes[0] / 1.4


def test_what_stops_the_work_is_heard() -> None:
    """Cancelling does not wait for the end of the training."""
    specification, network, examples = learned()

    class StopError(Exception):
        """What a check raises."""

    def stop() -> None:
        raise StopError

    tutor = OwnTutor(network, examples, stop)
    made = smaller_networks(network, specification, workplace(examples, tutor, check=stop))
    with pytest.raises(StopError):
        list(made)


def test_a_teacher_is_followed() -> None:
    """A network that is told nothing but by its teacher becomes like it."""
    specification, network, examples = learned()
    wrong = Examples(
        examples.inputs, torch.zeros(ROWS, dtype=torch.long), "classification", rate=5e-3
    )
    student = build_network(specification)
    tune(student, network, wrong, Plan(10, 60, 0), lambda: None)
    assert accuracy(student, examples) > 0.75


def test_what_would_go_first_is_driven_towards_zero() -> None:
    """The units that would go at once end at nearly 0, the others do not; it still works."""
    specification, network, examples = learned()
    program = capture(network, (examples.inputs[0][:4],))
    known = proved_dependencies(program, (examples.inputs[0][:4],))
    rows = Rows((examples.inputs[0][:4],), examples.batches(8, 0), examples.loss)
    units = first_to_go(known, rows, Target(32, PLACE.layer_cost, lambda _: 1.0), 2.0, 1)
    vanishing = numbers_of(known, units)
    total = sum(each.numel() for each in network.parameters())
    assert 0.3 * total < sum(float(each.sum()) for each in vanishing.values()) < 0.8 * total
    built = build_network(specification)
    built.load_state_dict(network.state_dict())
    tune(built, network, examples, Plan(8, 60, 0, vanishing), lambda: None)
    for name, each in vanishing.items():
        after, before = (dict(own.named_parameters())[name] for own in (built, network))
        assert after[each > 0].norm() < 0.1 * before[each > 0].norm()
        assert after[each == 0].norm() > 0.5 * before[each == 0].norm()
    assert accuracy(built, examples) > accuracy(network, examples) - 0.05
