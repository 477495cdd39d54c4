"""What prunings have measured, kept so that the service can list it without reading Parquet."""

from aimass.catalog.v1 import model_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts import ObjectStore
from common.errors import FailedPreconditionError, NotFoundError
from common.runs.kind import run_prefix
from common.runs.listing import ListedPages


class PointPages:
    """Reads pages of points. Safe to use from several threads."""

    def __init__(self, store: ObjectStore) -> None:
        """Reads from the suite's store."""
        self._pages = ListedPages(store, pruner_pb2.ListPointsResponse, "points")

    def page(
        self, run: pruner_pb2.PruningRun, request: pruner_pb2.ListPointsRequest
    ) -> pruner_pb2.ListPointsResponse:
        """Returns a page.

        Args:
            run: The pruning.
            request: Page size and token.

        Raises:
            FailedPreconditionError: The pruning has no points yet.
            InvalidFieldError: Names `page_size` or `page_token`.
            DataLossError: The list is gone or damaged.
        """
        _require_points(run)
        return self._pages.page(run.name, run.points, request.page_size, request.page_token)

    def point(self, run: pruner_pb2.PruningRun, name: str) -> pruner_pb2.Point:
        """Returns a point.

        Raises:
            FailedPreconditionError: The pruning has no points yet.
            NotFoundError: It has no such point.
        """
        _require_points(run)
        for each in self._pages.all(run.points).points:
            if each.name == name:
                return each
        raise NotFoundError(f"{run.name} has no point `{name}`; ListPoints names those it has.")


def version_key(run: str, point: str) -> str:
    """Returns where the model version that a point would be is kept, as a message."""
    return f"{points_prefix(run)}{point}/version.binpb"


def points_prefix(run: str) -> str:
    """Returns the prefix of the points of a run, which no attempt of it owns."""
    return f"{run_prefix(run)}points/"


def read_version(store: ObjectStore, run: str, point: str) -> model_pb2.ModelVersion:
    """Returns the model version that a point would be."""
    return model_pb2.ModelVersion.FromString(store.read(version_key(run, point))[0])


def _require_points(run: pruner_pb2.PruningRun) -> None:
    if not run.HasField("points"):
        state = run_pb2.RunState.Name(run.status.state).removeprefix("RUN_STATE_")
        raise FailedPreconditionError(
            f"{run.name} is {state} and has no points; it has those that were measured once it has "
            "SUCCEEDED, or was CANCELLED after some.",
            reason="PRUNING_RUN_HAS_NO_POINTS",
        )
