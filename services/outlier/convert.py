"""Between messages and the domain."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import ConfigDict, create_model

from aimass.outlier.v1 import detector_pb2, outlier_pb2
from common.protobuf import from_plain, resolve
from services.outlier.domain.detectors.registry import DETECTORS
from services.outlier.domain.ensemble import ScoredRows
from services.outlier.domain.explaining.reasons import ExplainedRow, Reason
from services.outlier.domain.findings import Anomaly, AnomalyGroup, Findings
from services.outlier.domain.scan import ScanResult
from services.outlier.domain.specification import FIELD, ScanSpecification
from services.outlier.domain.streaming.half_space_trees import HalfSpaceTrees
from services.outlier.domain.streaming.online import Online

# As the message has it: the trees' parameters lie beside the others.
_flat_fields: dict[str, Any] = {
    name: (field.annotation, field)
    for model in (HalfSpaceTrees, Online)
    for name, field in model.model_fields.items()
    if field.annotation is not HalfSpaceTrees
}
_FlatOnline = create_model(
    "_FlatOnline", __config__=ConfigDict(extra="forbid"), stream=(str, ...), **_flat_fields
)
_EXAMPLE_ROWS = 20
_GROUP_COLUMNS = 10
_MOST_GROUPS = 50


def specification_from_proto(message: outlier_pb2.OutlierScanSpec) -> ScanSpecification:
    """Returns what a message asks for, with defaults filled in.

    Raises:
        InvalidInputError: Names the path of every field that is wrong.
    """
    return resolve(message, ScanSpecification, FIELD)


def specification_to_proto(specification: ScanSpecification) -> outlier_pb2.OutlierScanSpec:
    """Returns the message of a specification."""
    return from_plain(specification.model_dump(mode="json"), outlier_pb2.OutlierScanSpec)


def cards_to_proto() -> outlier_pb2.ListDetectorsResponse:
    """Returns what there is to know of the detectors, by name."""
    cards = [
        outlier_pb2.DetectorCard(
            name=name,
            fits=kind.card.fits,
            cost=kind.card.cost,
            source=kind.card.source,
            most_rows=kind.card.most_rows,
            defaults=from_plain({name: kind().model_dump(mode="json")}, detector_pb2.DetectorSpec),
        )
        for name, kind in sorted(DETECTORS.items())
    ]
    return outlier_pb2.ListDetectorsResponse(detectors=cards)


def online_from_proto(message: outlier_pb2.OnlineDetector, field: str) -> Online:
    """Returns what an online detector is told, with defaults filled in.

    Raises:
        InvalidInputError: Names the path of every field that is wrong.
    """
    flat = resolve(message, _FlatOnline, field).model_dump(exclude={"stream"})
    trees = {name: flat.pop(name) for name in HalfSpaceTrees.model_fields}
    return Online.model_validate({**flat, "trees": trees})


def online_to_proto(stream: str, online: Online) -> outlier_pb2.OnlineDetector:
    """Returns the message of what an online detector is told."""
    flat = {**online.model_dump(exclude={"trees"}), **online.trees.model_dump(), "stream": stream}
    return from_plain(flat, outlier_pb2.OnlineDetector)


def scored_to_proto(scored: ScoredRows, threshold: float) -> outlier_pb2.ScoredRows:
    """Returns the message of scores."""
    return outlier_pb2.ScoredRows(
        scores=scored.scores,
        probabilities=scored.probabilities,
        p_values=scored.p_values,
        marked=scored.marked,
        threshold=threshold,
    )


def summary_to_proto(
    result: ScanResult, findings: Findings, expected_share: float
) -> outlier_pb2.ScanSummary:
    """Returns the message of what a scan found."""
    ensemble = result.ensemble
    summary = outlier_pb2.ScanSummary(
        row_count=len(result.scores),
        marked_count=int(np.count_nonzero(result.marked)),
        threshold=ensemble.threshold,
        expected_share=expected_share,
        detectors=[member.name for member in ensemble.members],
        dropped_columns=ensemble.preparation.dropped,
        groups=[_group(each) for each in findings.groups[:_MOST_GROUPS]],
        label_count=result.labels.anomalies + result.labels.normal,
        anomaly_label_count=result.labels.anomalies,
        learned_share=result.labels.share,
    )
    for each in result.left_out:
        summary.left_out.add(name=each.name, reason=each.reason)
    return summary


def anomalies_to_proto(findings: Findings) -> outlier_pb2.ListAnomaliesResponse:
    """Returns the message of all listed anomalies."""
    return outlier_pb2.ListAnomaliesResponse(
        anomalies=[_anomaly(each) for each in findings.anomalies]
    )


def explanation_to_proto(explained: ExplainedRow) -> outlier_pb2.Explanation:
    """Returns the message of why a row is odd."""
    return _explanation(explained.reasons, explained.nearest, explained.broken)


def _anomaly(anomaly: Anomaly) -> outlier_pb2.Anomaly:
    message = outlier_pb2.Anomaly(
        row=anomaly.row,
        rank=anomaly.rank,
        score=anomaly.score,
        probability=anomaly.probability,
        p_value=anomaly.p_value,
        group=anomaly.group if anomaly.group is not None and anomaly.group < _MOST_GROUPS else None,
    )
    if anomaly.reasons or anomaly.nearest or anomaly.broken:
        explanation = _explanation(anomaly.reasons, anomaly.nearest, anomaly.broken)
        message.explanation.CopyFrom(explanation)
    return message


def _explanation(
    reasons: Sequence[Reason], nearest: Sequence[int], broken: Sequence[str]
) -> outlier_pb2.Explanation:
    return outlier_pb2.Explanation(
        reasons=[
            outlier_pb2.Reason(
                column=each.column,
                contribution=each.contribution,
                value=each.value,
                usual=each.usual,
            )
            for each in reasons
        ],
        nearest_rows=nearest,
        broken=broken,
    )


def _group(group: AnomalyGroup) -> outlier_pb2.AnomalyGroup:
    shares = list(group.shares.items())[:_GROUP_COLUMNS]
    return outlier_pb2.AnomalyGroup(
        row_count=len(group.rows),
        columns=[outlier_pb2.ColumnShare(column=name, share=share) for name, share in shares],
        rows=group.rows[:_EXAMPLE_ROWS],
    )
