"""What a model goes by."""

from services.analyzer.domain.importance.analysis import analyse_importance
from services.analyzer.domain.importance.page import show_importance
from services.analyzer.domain.part import Part

PART = Part(analyse_importance, show_importance, share=4)
