"""Structure: layers, shapes, cost, latency, the graph."""

from services.analyzer.domain.part import Part
from services.analyzer.domain.structure.analysis import analyse_structure
from services.analyzer.domain.structure.page import show_structure

PART = Part(analyse_structure, show_structure, share=1.0)
