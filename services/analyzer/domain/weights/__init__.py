"""Weights: distributions, norms, ranks, units, sensitivity; how trees split."""

from services.analyzer.domain.part import Part
from services.analyzer.domain.weights.analysis import analyse_weights
from services.analyzer.domain.weights.page import show_weights

PART = Part(analyse_weights, show_weights, share=1.5)
