"""The parts of an analysis, in the order in which they are worked on."""

from collections.abc import Mapping

from services.analyzer.domain import (
    activations,
    behaviour,
    curves,
    importance,
    relations,
    robustness,
    structure,
    weights,
)
from services.analyzer.domain.part import Part, PartName

PARTS: Mapping[PartName, Part] = {
    PartName.STRUCTURE: structure.PART,
    PartName.WEIGHTS: weights.PART,
    PartName.CURVES: curves.PART,
    PartName.BEHAVIOUR: behaviour.PART,
    PartName.IMPORTANCE: importance.PART,
    PartName.RELATIONS: relations.PART,
    PartName.ROBUSTNESS: robustness.PART,
    PartName.ACTIVATIONS: activations.PART,
}
"""By name; health, which looks at what the others found, is no part of its own."""
