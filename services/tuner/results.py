"""The candidates of searches, kept so that the service can list them without reading Parquet."""

from collections import OrderedDict
from collections.abc import Sequence

from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts import ObjectStore
from common.artifacts.blobs import read_artifact
from common.errors import FailedPreconditionError
from common.paging import MAX_PAGE_BYTES, check_page_size, decode_token, encode_token

_KEPT = 4


class CandidatePages:
    """Reads pages of candidates. Safe to use from several threads."""

    def __init__(self, store: ObjectStore) -> None:
        """Reads from the suite's store; those of the last few searches stay in memory."""
        self._store = store
        self._kept: OrderedDict[str, tuner_pb2.ListCandidatesResponse] = OrderedDict()

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
        size = check_page_size(request.page_size)
        _require_candidates(run)
        query = (run.name, run.candidates.sha256)
        start = int(decode_token(query, request.page_token)[0]) if request.page_token else 0
        found = self._all(run).candidates
        end = _end_of_page(found, start, size)
        token = encode_token(query, [end]) if end < len(found) else ""
        return tuner_pb2.ListCandidatesResponse(candidates=found[start:end], next_page_token=token)

    def _all(self, run: tuner_pb2.TuningRun) -> tuner_pb2.ListCandidatesResponse:
        digest = run.candidates.sha256
        found = self._kept.get(digest)
        if found is None:
            content = b"".join(read_artifact(self._store, run.candidates))
            found = tuner_pb2.ListCandidatesResponse.FromString(content)
            self._kept[digest] = found
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found


def _require_candidates(run: tuner_pb2.TuningRun) -> None:
    if not run.HasField("candidates"):
        state = run_pb2.RunState.Name(run.status.state).removeprefix("RUN_STATE_")
        raise FailedPreconditionError(
            f"{run.name} is {state}; it has candidates once it has ended with a model.",
            reason="TUNING_RUN_HAS_NO_MODEL",
        )


def _end_of_page(candidates: Sequence[tuner_pb2.Candidate], start: int, size: int) -> int:
    """Returns where a page ends: a message must not be too large."""
    room = MAX_PAGE_BYTES
    for place, candidate in enumerate(candidates[start : start + size], start):
        room -= candidate.ByteSize()
        if room < 0 and place > start:
            return place
    return start + size
