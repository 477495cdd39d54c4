"""The parts of an analysis, in the order in which they are worked on."""

from collections.abc import Mapping

from services.analyzer.domain.part import Part, PartName

PARTS: Mapping[PartName, Part] = {}
"""By name, in the order in which they are worked on; health, which looks at the others, is last."""
