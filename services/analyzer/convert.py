"""Between messages and the domain."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from aimass.analyzer.v1 import analyzer_pb2
from common.protobuf import enum_number, from_plain, resolve
from services.analyzer.domain.part import PartOutcome
from services.analyzer.domain.specification import AnalysisSpecification

_PART = analyzer_pb2.AnalysisPart.DESCRIPTOR
_STATE = analyzer_pb2.PartState.DESCRIPTOR


def specification_from_proto(
    message: analyzer_pb2.AnalysisSpec, field: str = "analysis.spec"
) -> AnalysisSpecification:
    """Returns what a message asks for, with defaults filled in.

    Raises:
        InvalidInputError: Names the path of every field that is wrong.
    """
    return resolve(message, AnalysisSpecification, field)


def specification_to_proto(specification: AnalysisSpecification) -> analyzer_pb2.AnalysisSpec:
    """Returns the message of a specification."""
    return from_plain(specification.model_dump(mode="json"), analyzer_pb2.AnalysisSpec)


def results_to_proto(summaries: Mapping[str, Any]) -> analyzer_pb2.AnalysisResults:
    """Returns the message of what was found.

    Args:
        summaries: By field of the message: dataclasses with its fields.
    """
    results = analyzer_pb2.AnalysisResults()
    for name, summary in summaries.items():
        message = getattr(results, name)
        message.SetInParent()
        message.CopyFrom(from_plain(asdict(summary), type(message)))
    return results


def outcomes_to_proto(outcomes: Iterable[PartOutcome]) -> list[analyzer_pb2.PartOutcome]:
    """Returns the messages of how the parts went."""
    messages = []
    for outcome in outcomes:
        message = analyzer_pb2.PartOutcome(
            part=analyzer_pb2.AnalysisPart.ValueType(enum_number(_PART, outcome.part)),
            state=analyzer_pb2.PartState.ValueType(enum_number(_STATE, outcome.state)),
            notes=outcome.notes,
        )
        message.duration.FromNanoseconds(round(outcome.seconds * 1e9))
        messages.append(message)
    return messages
