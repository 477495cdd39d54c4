"""What ships with the suite: `make portfolio` makes it, `left_out.csv` says how good it is."""

from collections.abc import Sequence
from functools import cache
from importlib import resources

from services.tuner.domain.portfolio.known_set import KnownSet

_FILE = "shipped.jsonl"


@cache
def shipped_sets() -> tuple[KnownSet, ...]:
    """Returns what is known of the sets that the suite ships the scores of."""
    path = resources.files(__package__).joinpath(_FILE)
    return sets_from_lines(path.read_text().splitlines())


def sets_from_lines(lines: Sequence[str]) -> tuple[KnownSet, ...]:
    """Returns the sets of a file, each a line of JSON."""
    return tuple(KnownSet.model_validate_json(line) for line in lines if line.strip())
