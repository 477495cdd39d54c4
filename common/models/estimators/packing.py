"""Many texts in few bytes: skops would write an entry of its own for each."""

import json
from collections.abc import Sequence
from typing import Any


class Packed:
    """Keeps attributes that are lists of texts, or lists of such, as bytes in files.

    Attributes:
        packed: Their names.
        derived: Names of attributes that are made anew and not kept.
    """

    packed: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is kept."""
        state = {key: value for key, value in vars(self).items() if key not in self.derived}
        for name in self.packed:
            if name in state:
                state[name] = json.dumps(state[name]).encode()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes what was kept."""
        for name, value in state.items():
            is_packed = name in self.packed and isinstance(value, bytes)
            setattr(self, name, json.loads(value) if is_packed else value)


def in_natural_order(texts: Sequence[str]) -> list[str]:
    """Returns texts sorted: by value where all are numbers."""
    try:
        return sorted(texts, key=lambda text: (float(text), text))
    except ValueError:
        return sorted(texts)
