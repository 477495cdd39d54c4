"""Models whose estimators, wherever they are, were made smaller."""

import copy
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from services.pruner.domain.classical.first_trees import first_trees, has_trees
from services.pruner.domain.classical.reduction import can_reduce, reductions
from services.pruner.domain.classical.rows import Reduced, Rows
from services.pruner.domain.estimators.material import Made, Material, ModelRows
from services.pruner.domain.estimators.places import Place, places_of
from services.pruner.domain.variants import PartSize

_log = logging.getLogger(__name__)


def smaller_parts(material: Material) -> Iterator[Made]:
    """Yields models whose estimators were made smaller, from careful to bold.

    Each estimator is reduced by itself with the rows that reach it; the first model has the most
    careful reduction of each, and so on.
    """
    holder = _Holder(material.model.estimator)
    places = [each for each in holder.places() if _is_known(each.estimator)]
    found = [_reduced(each, material) for each in places]
    for level in range(max(map(len, found), default=0)):
        material.check()
        chosen = [each[min(level, len(each) - 1)] if each else None for each in found]
        yield _made(material.model.estimator, chosen, level + 1)


class _Holder:
    """A copy of a model in which estimators can be put in the place of others.

    Attributes:
        model: The copy.
    """

    def __init__(self, model: Any) -> None:
        self.model = copy.deepcopy(model)

    def places(self) -> list[Place]:
        """Returns the estimators within."""
        return places_of(self.model, self._replace)

    def _replace(self, made: Any) -> None:
        self.model = made


def _is_known(estimator: Any) -> bool:
    return can_reduce(estimator) or has_trees(estimator)


def _reduced(place: Place, material: Material) -> list[Reduced]:
    learned = _rows_at(place, material.learned)
    choosing = _rows_at(place, material.choosing)
    found = []
    try:
        for each in reductions(place.estimator, learned, choosing, material.seed, material.check):
            material.check()
            found.append(each)
    except (ValueError, TypeError):
        # Texts among its columns, say: the others still become smaller.
        _log.warning("%s cannot be reduced", place.name or "the model", exc_info=True)
    # Where nothing can be fitted anew without loss, it is still told what fewer trees would lose.
    return found or list(first_trees(place.estimator))


def _rows_at(place: Place, rows: ModelRows) -> Rows:
    return Rows(place.features(rows.features), np.asarray(place.truth(rows.labels)))


def _made(model: Any, chosen: Sequence[Reduced | None], level: int) -> Made:
    holder = _Holder(model)
    places = [each for each in holder.places() if _is_known(each.estimator)]
    notes: list[str] = []
    parts: list[PartSize] = []
    for place, reduced in zip(places, chosen, strict=True):
        if reduced is None:
            continue
        name = type(place.estimator).__name__
        where = f"{place.name}: {name}" if place.name else name
        parts.append(PartSize(where, reduced.name, reduced.before, reduced.size))
        notes += [f"{where}: {each}" for each in reduced.notes]
        place.replace(reduced.estimator)
    return Made(f"smaller_{level}", holder.model, tuple(notes), tuple(parts))
