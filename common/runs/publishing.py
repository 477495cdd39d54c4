"""What a run publishes once, over all its attempts: under an identity that they share."""

import hashlib
import uuid

from google.protobuf import json_format
from google.protobuf.message import Message

from aimass.catalog.v1 import model_pb2
from common.artifacts.protocol import ObjectChangedError, ObjectStore
from common.records import RequestId
from common.runs.kind import M, RunKind, name_of, run_prefix, status_of


def run_uuid(run: Message) -> str:
    """Returns a UUID that belongs to this run: one made later under its name has another."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, _identity(run)))


def publish_request(kind: RunKind[M], run: M) -> RequestId:
    """Returns the identity under which any attempt of a run makes its one record."""
    return RequestId(
        caller=kind.collection,
        method="publish",
        request_id=run_uuid(run),
        payload_digest=hashlib.sha256(_identity(run).encode()).hexdigest(),
    )


def settle_request(
    store: ObjectStore, run: Message, model: str, version: model_pb2.ModelVersion
) -> model_pb2.CreateModelVersionRequest:
    """Returns the request that registers the run's model: the same one for every attempt.

    An attempt that dies between registering and publishing is followed by one with a package of
    its own. Only the first request ever stored is sent, so that a run makes one version.

    Args:
        store: The object store.
        run: The run.
        model: Name of the model: `models/{model}`.
        version: What this attempt made.
    """
    mine = model_pb2.CreateModelVersionRequest(
        parent=model, model_version=version, request_id=run_uuid(run)
    )
    key = f"{run_prefix(name_of(run))}model-version-request.json"
    try:
        store.create(key, json_format.MessageToJson(mine).encode())
    except ObjectChangedError:
        data, _ = store.read(key)
        return json_format.Parse(data, model_pb2.CreateModelVersionRequest())
    return mine


def _identity(run: Message) -> str:
    return f"{name_of(run)} {status_of(run).create_time.ToJsonString()}"
