"""The candidates of a search, the best first: as messages and as a Parquet file."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from common.protobuf import enum_short_name
from common.scoring.metric import Metric
from common.scoring.outlier_uses import BASELINE
from services.tuner.convert import settings_to_proto, use_to_proto
from services.tuner.domain.search.library import (
    CONTINUED,
    FLOOR,
    OUTLIERS,
    PORTFOLIO,
    REPEATED,
    STACKING,
    SURROGATE,
    Entry,
)
from services.tuner.domain.trials.trial import TrialResult

_ORIGINS = {
    FLOOR: tuner_pb2.CANDIDATE_ORIGIN_PORTFOLIO,
    PORTFOLIO: tuner_pb2.CANDIDATE_ORIGIN_PORTFOLIO,
    SURROGATE: tuner_pb2.CANDIDATE_ORIGIN_SURROGATE,
    CONTINUED: tuner_pb2.CANDIDATE_ORIGIN_CONTINUED,
    STACKING: tuner_pb2.CANDIDATE_ORIGIN_STACKING,
    REPEATED: tuner_pb2.CANDIDATE_ORIGIN_REPEATED,
    OUTLIERS: tuner_pb2.CANDIDATE_ORIGIN_OUTLIERS,
}
_COLUMNS = pa.schema(
    {
        "number": pa.int32(),
        "family": pa.string(),
        "settings": pa.string(),
        "origin": pa.string(),
        "fold_count": pa.int32(),
        "score": pa.float64(),
        "seconds": pa.float64(),
        "memory_bytes": pa.int64(),
        "model_bytes": pa.int64(),
        "weight": pa.float64(),
        "failure": pa.string(),
        "bases": pa.list_(pa.int32()),
        "lesson": pa.string(),
        "outlier_use": pa.string(),
    }
)


def ranked_candidates(
    entries: Iterable[Entry], metric: Metric, weights: Mapping[int, float]
) -> list[tuner_pb2.Candidate]:
    """Returns the candidates that were tried: those with most folds first, of these the best.

    Args:
        entries: All candidates.
        metric: What was made small.
        weights: Shares of the final model by number.
    """
    tried = [each for each in entries if each.folds or each.failure is not None]
    order = sorted(tried, key=lambda each: (-each.folds, _loss(each), each.candidate.number))
    total = sum(weights.values()) or 1.0
    return [
        _candidate(each, metric, weights.get(each.candidate.number, 0.0) / total) for each in order
    ]


def write_leaderboard(candidates: Sequence[tuner_pb2.Candidate], path: Path) -> None:
    """Writes candidates to a Parquet file, a row each; settings are JSON.

    Args:
        candidates: In the order of the rows.
        path: The file.
    """
    rows = [_row(each) for each in candidates]
    pq.write_table(pa.Table.from_pylist(rows, schema=_COLUMNS), path, compression="zstd")


def _loss(entry: Entry) -> float:
    return entry.loss(entry.folds) if entry.folds else np.inf


def _candidate(entry: Entry, metric: Metric, weight: float) -> tuner_pb2.Candidate:
    trials = [*entry.results, *([] if entry.failure is None else [entry.failure])]
    made = tuner_pb2.Candidate(
        number=entry.candidate.number,
        family=entry.candidate.family,
        settings=settings_to_proto(entry.candidate.configuration),
        origin=_origin(entry),
        fold_count=entry.folds,
        memory_bytes=max(each.peak_bytes for each in trials),
        model_bytes=sum(each.model_bytes for each in entry.results),
        weight=weight,
        failure="" if entry.failure is None else _reason(entry.failure),
        bases=[each.number for each in entry.candidate.bases],
    )
    if entry.candidate.bases:
        made.lesson = tuner_pb2.Lesson.Value(f"LESSON_{entry.candidate.lesson.upper()}")
    if entry.candidate.use != BASELINE:
        made.outlier_use = use_to_proto(entry.candidate.use)
    if entry.folds:
        made.score = metric.shown(_loss(entry))
    seconds = sum(each.fit_seconds + each.predict_seconds for each in trials)
    made.duration.FromNanoseconds(round(seconds * 1e9))
    return made


def _origin(entry: Entry) -> tuner_pb2.CandidateOrigin.ValueType:
    if entry.is_continued:
        return tuner_pb2.CANDIDATE_ORIGIN_CONTINUED
    return _ORIGINS.get(entry.origin, tuner_pb2.CANDIDATE_ORIGIN_PORTFOLIO)


def _reason(failure: TrialResult) -> str:
    return f"{failure.failure}: {failure.message}".removesuffix(": ")


def _row(candidate: tuner_pb2.Candidate) -> dict[str, object]:
    settings = {
        name: getattr(each, str(each.WhichOneof("value")))
        for name, each in sorted(candidate.settings.items())
    }
    origin = tuner_pb2.CandidateOrigin.Name(candidate.origin)
    return {
        "number": candidate.number,
        "family": candidate.family,
        "settings": json.dumps(settings),
        "origin": origin.removeprefix("CANDIDATE_ORIGIN_").lower(),
        "fold_count": candidate.fold_count,
        "score": candidate.score if candidate.HasField("score") else None,
        "seconds": candidate.duration.ToNanoseconds() / 1e9,
        "memory_bytes": candidate.memory_bytes,
        "model_bytes": candidate.model_bytes,
        "weight": candidate.weight,
        "failure": candidate.failure,
        "bases": list(candidate.bases),
        "lesson": tuner_pb2.Lesson.Name(candidate.lesson).removeprefix("LESSON_").lower()
        if candidate.lesson
        else None,
        "outlier_use": enum_short_name(trainer_pb2.OutlierUse.DESCRIPTOR, candidate.outlier_use)
        if candidate.outlier_use
        else None,
    }
