"""What is known of columns before any model is fitted without them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from services.pruner.domain.features.coding import Floats
from services.pruner.domain.features.importances import Importances
from services.pruner.domain.features.relevance import discoveries

_FALSE_SHARE = 0.001
_ERRORS = 2.0


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against columns.

    Attributes:
        names: Of the columns.
        related: See `dependence`.
        groups: See `groups_of`.
        worth: To the model.
        chances: p-values that they tell nothing of the target, (columns,).
        is_constant: Whether they have one value only, (columns,).
    """

    names: list[str]
    related: Floats
    groups: list[list[int]]
    worth: Importances
    chances: Floats
    is_constant: npt.NDArray[np.bool_]

    @cached_property
    def is_silent(self) -> npt.NDArray[np.bool_]:
        """Whether they tell nothing of the target, (columns,)."""
        return ~discoveries(self.chances, _FALSE_SHARE)

    def silent(self) -> list[str]:
        """Returns columns that tell nothing, the weakest first; one column is always left."""
        ranked = self._strongest_first(range(len(self.names)))
        return [self.names[each] for each in ranked[:0:-1] if self.is_silent[each]]

    def repeating(self, kept: Sequence[str]) -> dict[str, str]:
        """Returns columns that say nearly what another says, with that, the weakest first.

        Args:
            kept: Columns that are looked at.
        """
        worth = np.nan_to_num(self.worth.increases)
        found: dict[int, int] = {}
        for group in self.groups:
            # Of those that tell the same, a model knows best which it makes the most of.
            some = sorted(
                (each for each in group if self.names[each] in kept), key=lambda i: -worth[i]
            )
            found |= dict.fromkeys(some[1:], some[0] if some else 0)
        order = sorted(found, key=lambda each: worth[each])
        return {self.names[each]: self.names[found[each]] for each in order}

    def harmful(self, kept: Sequence[str]) -> list[str]:
        """Returns columns without which the model seems better, the worst first.

        Args:
            kept: Columns that are looked at.
        """
        increases, errors = self.worth.increases, self.worth.errors
        places = [place for place, name in enumerate(self.names) if name in kept]
        found = [each for each in places if increases[each] < -_ERRORS * errors[each]]
        return [self.names[each] for each in sorted(found, key=lambda each: increases[each])]

    def _strongest_first(self, columns: Sequence[int]) -> list[int]:
        """Returns positions by evidence, and where that is equal by importance."""
        worth = np.nan_to_num(self.worth.increases)
        return sorted(columns, key=lambda each: (self.chances[each], -worth[each]))
