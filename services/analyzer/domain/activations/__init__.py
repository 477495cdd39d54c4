"""What hidden layers do on the rows."""

from services.analyzer.domain.activations.analysis import analyse_activations
from services.analyzer.domain.activations.page import show_activations
from services.analyzer.domain.part import Part

PART = Part(analyse_activations, show_activations, share=2.0)
