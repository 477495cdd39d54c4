"""What analyses found, read from the store."""

from collections.abc import Sequence

from aimass.analyzer.v1 import analyzer_pb2
from aimass.type.v1 import run_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import read_artifact
from common.errors import FailedPreconditionError, InvalidFieldError
from common.protobuf import enum_short_name

_PART = analyzer_pb2.AnalysisPart.DESCRIPTOR
_ALWAYS = "comparison"
_NONE = _PART.values_by_number[analyzer_pb2.ANALYSIS_PART_UNSPECIFIED].name


def read_results(
    store: ObjectStore, analysis: analyzer_pb2.Analysis, parts: Sequence[int]
) -> analyzer_pb2.AnalysisResults:
    """Returns what an analysis found.

    Args:
        store: The object store.
        analysis: The analysis.
        parts: Only these; all where it is empty.

    Raises:
        FailedPreconditionError: It has not succeeded.
        InvalidFieldError: A part is none.
        DataLossError: The results are damaged.
    """
    wanted = {_name(part, place) for place, part in enumerate(parts)}
    if analysis.status.state != run_pb2.RUN_STATE_SUCCEEDED:
        state = run_pb2.RunState.Name(analysis.status.state).removeprefix("RUN_STATE_")
        raise FailedPreconditionError(
            f"{analysis.name} is {state}; it has results once it has SUCCEEDED.",
            reason="ANALYSIS_NOT_SUCCEEDED",
        )
    content = b"".join(read_artifact(store, analysis.results))
    results = analyzer_pb2.AnalysisResults.FromString(content)
    if wanted:
        for field, _ in results.ListFields():
            if field.name not in wanted and field.name != _ALWAYS:
                results.ClearField(field.name)  # type: ignore[arg-type]
    return results


def _name(part: int, place: int) -> str:
    if part == analyzer_pb2.ANALYSIS_PART_UNSPECIFIED or part not in _PART.values_by_number:
        known = ", ".join(name for name in _PART.values_by_name if name != _NONE)
        raise InvalidFieldError(f"parts[{place}]", f"must be one of {known}, not {part}.")
    return enum_short_name(_PART, part)
