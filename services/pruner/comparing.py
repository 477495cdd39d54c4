"""What is recommended beside the original, as the analyzer sees the two."""

import asyncio
import uuid

import grpc

from aimass.analyzer.v1 import analyzer_pb2, analyzer_pb2_grpc
from aimass.pruner.v1 import pruner_pb2
from common.calls import client
from common.calls.patience import AwayError, patiently
from common.config import ClientSettings
from common.runs.owner import RunOwner
from services.pruner.trainings.tutor import LABEL

_PATIENCE_SECONDS = 20.0
_CALL_SECONDS = 10.0
_BUDGET_SECONDS = 30
_PARTS = (analyzer_pb2.ANALYSIS_PART_STRUCTURE, analyzer_pb2.ANALYSIS_PART_BEHAVIOUR)
"""What one looks for in a smaller model; the verdict on metrics and costs comes with any."""
_NAMESPACE = uuid.UUID("5b7c0d53-6a4f-4a52-9a53-0f2f3c9c2a11")


def compare(owner: RunOwner[pruner_pb2.PruningRun], smaller: str) -> str:
    """Starts a comparison of a smaller model with the original.

    Args:
        owner: The pruning; it hears why there is none.
        smaller: Name of the version.

    Returns:
        The name of the analysis; empty where the analyzer is away or refuses.
    """
    spec = owner.run.spec
    request = analyzer_pb2.CompareModelsRequest(
        model_versions=[spec.model_version, smaller],
        options=analyzer_pb2.AnalysisSpec(
            dataset_version=spec.dataset_version,
            parts=[analyzer_pb2.PartRequest(part=each) for each in _PARTS],
        ),
        # A later attempt at the run asks for the same one.
        request_id=str(uuid.uuid5(_NAMESPACE, f"{owner.name} {smaller}")),
        labels={LABEL: owner.name.rpartition("/")[2]},
    )
    request.options.budget.FromSeconds(_BUDGET_SECONDS)
    try:
        name = asyncio.run(_asked(request)).name
    except AwayError:
        owner.log("The analyzer is away: nothing is compared.", source="publishing")
        return ""
    except grpc.aio.AioRpcError as error:
        owner.log(f"The analyzer compares nothing: {error.details()}", source="publishing")
        return ""
    owner.log(f"{name} compares {smaller} with {spec.model_version}.", source="publishing")
    return name


async def _asked(request: analyzer_pb2.CompareModelsRequest) -> analyzer_pb2.Analysis:
    reach = ClientSettings()
    async with client.connect(reach.analyzer_address, reach.token) as channel:
        stub = analyzer_pb2_grpc.AnalyzerServiceStub(channel)
        return await patiently(
            lambda: stub.CompareModels(request, timeout=_CALL_SECONDS), _PATIENCE_SECONDS
        )
