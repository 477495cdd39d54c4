"""How a model behaves on the rows."""

from services.analyzer.domain.behaviour.analysis import analyse_behaviour
from services.analyzer.domain.behaviour.page import show_behaviour
from services.analyzer.domain.part import Part

PART = Part(analyse_behaviour, show_behaviour, share=1.0)
