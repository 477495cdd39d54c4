"""How the training went."""

from services.analyzer.domain.curves.analysis import analyse_curves
from services.analyzer.domain.curves.page import show_curves
from services.analyzer.domain.part import Part

PART = Part(analyse_curves, show_curves, share=0.5)
