"""What a scorer answers to each question."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import empty_pb2
from google.protobuf.message import Message

from aimass.catalog.v1 import model_pb2
from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from common.artifacts import ObjectStore
from common.data.messages import schema_from_proto
from common.records import RecordStore
from services.outlier.convert import (
    cards_to_proto,
    explanation_to_proto,
    scored_to_proto,
    specification_from_proto,
    specification_to_proto,
)
from services.outlier.detector_files import LoadedDetector, read_detector
from services.outlier.domain.estimate import estimate
from services.outlier.domain.specification import ScannedData, resolve_against_data
from services.outlier.rows import check_table, raw_rows
from services.outlier.scorer.oddest import oddest_marked
from services.outlier.scorer.streams import OnlineStreams, online_rows

_KEPT_BYTES = 256 * 1024 * 1024  # of their files


class Answering:
    """Answers questions one after another; the detectors that were asked for last stay loaded."""

    def __init__(self, store: ObjectStore, records: RecordStore) -> None:
        """Begins with nothing loaded."""
        self._store = store
        self._streams = OnlineStreams(store, records)
        self._detectors: OrderedDict[str, LoadedDetector] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._answers: Mapping[str, Callable[[Any], Message]] = {
            "resolve": _resolve,
            "list_detectors": lambda question: cards_to_proto(),
            "score": self._score,
            "check": self._check,
            "open": self._streams.open,
            "rows": self._streams.process,
            "save": self._streams.save,
            "close": self._streams.close,
        }

    def answer(self, content: bytes) -> bytes:
        """Returns the answer to a question, see `ScorerQuestion`.

        Raises:
            AimassError: What is wrong with it.
        """
        question = scorer_pb2.ScorerQuestion.FromString(content)
        kind = question.WhichOneof("question")
        return self._answers[str(kind)](getattr(question, str(kind))).SerializeToString()

    def _score(self, question: scorer_pb2.ScoreRows) -> outlier_pb2.ScoredRows:
        loaded = self._load(question.detector)
        raw = raw_rows(question.rows, loaded.schema, loaded.columns, question.field)
        scored = loaded.detector.score(raw)
        answer = scored_to_proto(scored, loaded.detector.ensemble.threshold)
        if question.explain:
            odd = oddest_marked(scored.scores, scored.marked)
            explained = loaded.detector.explain(raw.take(odd))
            for row, each in zip(odd.tolist(), explained, strict=True):
                answer.explanations[row].CopyFrom(explanation_to_proto(each))
        return answer

    def _check(self, question: scorer_pb2.CheckRows) -> empty_pb2.Empty:
        check_table(question.rows, "rows")
        if question.stream_columns:
            online_rows(question.rows, list(question.stream_columns))
        else:
            loaded = self._load(question.detector)
            raw_rows(question.rows, loaded.schema, loaded.columns, "rows")
        return empty_pb2.Empty()

    def _load(self, version: model_pb2.ModelVersion) -> LoadedDetector:
        # By content: a name may come to mean another version after this one was deleted.
        key = "".join(sorted(ref.sha256 for ref in version.artifacts.values()))
        loaded = self._detectors.pop(key, None) or read_detector(version, self._store)
        self._detectors[key] = loaded
        self._sizes[key] = sum(ref.size_bytes for ref in version.artifacts.values())
        while sum(self._sizes.values()) > _KEPT_BYTES and len(self._sizes) > 1:
            oldest, _ = self._detectors.popitem(last=False)
            del self._sizes[oldest]
        return loaded


def _resolve(question: scorer_pb2.ResolveScan) -> outlier_pb2.OutlierScan:
    version = question.dataset_version
    data = ScannedData(version.name, schema_from_proto(version.schema), version.row_count)
    resolved = resolve_against_data(specification_from_proto(question.spec), data)
    needs = estimate(resolved, data)
    scan = outlier_pb2.OutlierScan(spec=specification_to_proto(resolved))
    scan.estimate.memory_bytes = needs.memory_bytes
    scan.estimate.duration.FromNanoseconds(round(needs.seconds * 1e9))
    return scan
