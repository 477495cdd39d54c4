"""How the output depends on columns: partial dependence, interactions, what-if."""

from services.analyzer.domain.part import Part
from services.analyzer.domain.relations.analysis import analyse_relations
from services.analyzer.domain.relations.page import show_relations

PART = Part(analyse_relations, show_relations, share=3)
