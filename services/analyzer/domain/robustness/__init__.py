"""How the metric falls when inputs are disturbed."""

from services.analyzer.domain.part import Part
from services.analyzer.domain.robustness.analysis import analyse_robustness
from services.analyzer.domain.robustness.page import show_robustness

PART = Part(analyse_robustness, show_robustness, share=3)
