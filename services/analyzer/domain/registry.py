"""The parts of an analysis, in the order in which they are worked on."""

from collections.abc import Mapping

from services.analyzer.domain import activations, behaviour, relations, robustness
from services.analyzer.domain.part import Part, PartName

PARTS: Mapping[PartName, Part] = {
    PartName.BEHAVIOUR: behaviour.PART,
    PartName.ACTIVATIONS: activations.PART,
    PartName.RELATIONS: relations.PART,
    PartName.ROBUSTNESS: robustness.PART,
}
"""By name; health, which looks at what the others found, is no part of its own."""
