"""What is not known yet, for samplers that do not look at what is pending."""

from collections.abc import Iterator, Sequence

import numpy as np

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.space import Space

_TRIES, _MOST_ENUMERATED = 100, 10_000


def fresh(
    space: Space,
    drawn: Iterator[Configuration],
    known: Sequence[Configuration],
    generator: np.random.Generator,
    count: int,
) -> list[Configuration]:
    """Returns configurations of those drawn that are allowed, not known and not alike.

    Where all that is drawn is known, chance finds others; where there are none it gives known ones.

    Args:
        space: Without flaws.
        drawn: Without end.
        known: What is not wanted.
        generator: Of all chance.
        count: How many are wanted.
    """
    keys = set(_keys(space, known))
    found: list[Configuration] = []
    for _ in range(count):
        chosen = _unknown(space, drawn, keys) or _unknown(space, _any(space, generator), keys)
        found.append(chosen or _left(space, keys) or space.sample(generator))
        keys.update(_keys(space, found[-1:]))
    return found


def _keys(space: Space, configurations: Sequence[Configuration]) -> list[bytes]:
    return space.encoding.keys(space.encoding.rows(configurations))


def _unknown(
    space: Space, drawn: Iterator[Configuration], keys: set[bytes]
) -> Configuration | None:
    for _, each in zip(range(_TRIES), drawn, strict=False):
        if space.is_allowed(each) and _keys(space, [each])[0] not in keys:
            return each
    return None


def _any(space: Space, generator: np.random.Generator) -> Iterator[Configuration]:
    while True:
        yield space.sample(generator)


def _left(space: Space, keys: set[bytes]) -> Configuration | None:
    """Returns one of a small space that is not known; None where all are, or it is large."""
    if space.size > _MOST_ENUMERATED:
        return None
    return next((each for each in space.enumerated() if _keys(space, [each])[0] not in keys), None)
