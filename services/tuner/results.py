"""The candidates of searches, kept so that the service can list them without reading Parquet."""

from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts import ObjectStore
from common.errors import FailedPreconditionError
from common.runs.listing import ListedPages


class CandidatePages:
    """Reads pages of candidates. Safe to use from several threads."""

    def __init__(self, store: ObjectStore) -> None:
        """Reads from the suite's store."""
        self._pages = ListedPages(store, tuner_pb2.ListCandidatesResponse, "candidates")

    def page(
        self, run: tuner_pb2.TuningRun, request: tuner_pb2.ListCandidatesRequest
    ) -> tuner_pb2.ListCandidatesResponse:
        """Returns a page.

        Args:
            run: The search.
            request: Page size and token.

        Raises:
            FailedPreconditionError: The search has not ended with a model.
            InvalidFieldError: Names `page_size` or `page_token`.
            DataLossError: The list is gone or damaged.
        """
        if not run.HasField("candidates"):
            state = run_pb2.RunState.Name(run.status.state).removeprefix("RUN_STATE_")
            raise FailedPreconditionError(
                f"{run.name} is {state}; it has candidates once it has ended with a model.",
                reason="TUNING_RUN_HAS_NO_MODEL",
            )
        return self._pages.page(run.name, run.candidates, request.page_size, request.page_token)
