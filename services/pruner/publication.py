"""Where the results of a pruning go: files in the store, a version in the catalog."""

import io
import logging
from collections.abc import Sequence
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq

from aimass.catalog.v1 import model_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.type.v1 import artifact_pb2, event_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.purge import purge_prefix
from common.calls.catalog import ask_catalog
from common.errors import UnavailableError
from common.runs.errors import RunCancelledError
from common.runs.owner import RunOwner
from services.pruner.comparing import compare
from services.pruner.convert import SEARCHES
from services.pruner.domain.variants import ORIGINAL
from services.pruner.outcome import Outcome, points_to_proto, summary_to_proto
from services.pruner.page import pruning_page
from services.pruner.points import read_version, version_key

Owner = RunOwner[pruner_pb2.PruningRun]

_PARQUET = "application/vnd.apache.parquet"
_PROTOBUF = "application/x-protobuf"
_HTML = "text/html; charset=utf-8"

_log = logging.getLogger(__name__)


def publish(owner: Owner, outcome: Outcome) -> None:
    """Publishes what a pruning found, and ends the run.

    Raises:
        RunCancelledError: A cancel came first: the points are kept, and no version is made of one.
    """
    owner.progress(0.97, "publishing")
    prefix = f"{owner.attempt_prefix}pruning/"
    try:
        points = points_to_proto(outcome)
        found = pruner_pb2.PruningRun(
            summary=summary_to_proto(outcome),
            front=_put(owner, f"{prefix}front.parquet", _table(points.points), _PARQUET),
        )
        _add_page(owner, outcome, found, prefix)
        _complete_versions(owner, outcome)
        with suppress(RunCancelledError):  # What was measured is kept all the same.
            _register(owner, outcome, found)
        for each in points.points:
            if each.name == outcome.choice.point.name and each.parent:
                each.model_version = found.model_version
        found.points.CopyFrom(
            _put(owner, f"{prefix}points.binpb", points.SerializeToString(), _PROTOBUF)
        )
    except Exception:  # Files of an attempt that failed are nobody's; it is raised again.
        with suppress(UnavailableError):
            purge_prefix(owner.store, prefix)
        raise
    try:
        owner.succeed(lambda run: run.MergeFrom(found))
    except RunCancelledError:
        owner.update(lambda run: run.MergeFrom(found))
        raise


def _add_page(owner: Owner, outcome: Outcome, found: pruner_pb2.PruningRun, prefix: str) -> None:
    """Publishes the page, where it can be made: without one nobody loses the model."""
    try:
        page = pruning_page(outcome, owner.name)
    except Exception:  # Whatever is wrong with a page, the model is whole.
        _log.exception("the page cannot be made")
        owner.log("The page cannot be made.", event_pb2.SEVERITY_WARNING, "search")
        return
    found.report.CopyFrom(_put(owner, f"{prefix}report.html", page.encode(), _HTML))


def _complete_versions(owner: Owner, outcome: Outcome) -> None:
    """Tells the versions that points would be of their quality and where they come from."""
    names = outcome.specification
    # A search has learned from validation rows: what comes of its model must not be chosen by them.
    searches = [each for each in outcome.loaded.version.lineage.inputs if each.startswith(SEARCHES)]
    inputs = [names.dataset_version, owner.name, names.model_version, *searches]
    for each in outcome.found:
        if each.variant.name == ORIGINAL:
            continue
        version = read_version(owner.store, owner.name, each.variant.name)
        version.metrics[f"test/{outcome.metric.name}"] = each.judgement.score
        version.labels["pruned"] = each.variant.name[:63]
        del version.lineage.inputs[:]
        version.lineage.inputs.extend(inputs)
        key = version_key(owner.name, each.variant.name)
        owner.store.write(key, version.SerializeToString())


def _register(owner: Owner, outcome: Outcome, found: pruner_pb2.PruningRun) -> None:
    """Registers what is recommended, where that is not the original."""
    name = outcome.choice.point.name
    if name == ORIGINAL:
        return
    version = read_version(owner.store, owner.name, name)
    model = outcome.specification.model
    made: model_pb2.ModelVersion = ask_catalog(
        lambda catalog: catalog.register(owner, model, version)
    )
    found.model_version = made.name
    found.status.lineage.outputs.append(made.name)
    if outcome.specification.compare:
        found.comparison = compare(owner, made.name)


def _table(points: Sequence[pruner_pb2.Point]) -> bytes:
    columns = {
        "name": pa.array([each.name for each in points]),
        "parent": pa.array([each.parent for each in points]),
        "method": pa.array([each.method for each in points]),
        "score": pa.array([each.score for each in points]),
        "loss": pa.array([each.loss for each in points]),
        "loss_low": pa.array([each.loss_low for each in points]),
        "loss_high": pa.array([each.loss_high for each in points]),
        "latency_seconds": pa.array([each.latency.ToNanoseconds() / 1e9 for each in points]),
        "latency_p99_seconds": pa.array(
            [each.latency_p99.ToNanoseconds() / 1e9 for each in points]
        ),
        "size_bytes": pa.array([each.size_bytes for each in points]),
        "memory_bytes": pa.array([each.memory_bytes for each in points]),
        "multiplications": pa.array(
            [each.multiplications if each.HasField("multiplications") else None for each in points],
            pa.int64(),
        ),
        "is_on_front": pa.array([each.is_on_front for each in points]),
        "is_within": pa.array([each.is_within for each in points]),
    }
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def _put(owner: Owner, key: str, content: bytes, media_type: str) -> artifact_pb2.ArtifactRef:
    return put_artifact(owner.store, key, content, media_type)
