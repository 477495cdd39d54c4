"""What the service says of families without their libraries is what these say."""

from common.scoring.kinds import ProblemKind
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.names import FAMILY_KINDS


def test_families_are_those_of_the_registry() -> None:
    of_tables = {name: each - {ProblemKind.FORECASTING} for name, each in FAMILY_KINDS.items()}
    found = {name: each for name, each in of_tables.items() if each}
    assert found == {name: each.kinds for name, each in FAMILIES.items()}
