"""Candidates are listed page by page once a search has ended with a model."""

from itertools import chain

import pytest

from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.errors import FailedPreconditionError, InvalidFieldError
from services.tuner.results import CandidatePages

COUNT = 120


def ended(store: MemoryStore, settings: int = 1) -> tuner_pb2.TuningRun:
    """Returns a search whose candidates have texts of this many kilobytes as a setting."""
    found = tuner_pb2.ListCandidatesResponse(
        candidates=[tuner_pb2.Candidate(number=number) for number in range(COUNT)]
    )
    for candidate in found.candidates:
        candidate.settings["long"].text = "x" * 1000 * settings
    content = found.SerializeToString()
    run = tuner_pb2.TuningRun(
        name="tuningRuns/t", candidates=put_artifact(store, f"c{settings}", content, "x")
    )
    run.status.state = run_pb2.RUN_STATE_CANCELLED  # It keeps the best so far.
    return run


def numbers(run: tuner_pb2.TuningRun, pages: CandidatePages, size: int) -> list[list[int]]:
    """Returns the numbers of the candidates of each page."""
    found, token = [], ""
    while True:
        request = tuner_pb2.ListCandidatesRequest(page_size=size, page_token=token)
        page = pages.page(run, request)
        found.append([each.number for each in page.candidates])
        token = page.next_page_token
        if not token:
            return found


@pytest.mark.parametrize(("size", "lengths"), [(0, [50, 50, 20]), (60, [60, 60]), (1000, [120])])
def test_pages_follow_each_other(size: int, lengths: list[int]) -> None:
    store = MemoryStore()
    found = numbers(ended(store), CandidatePages(store), size)
    assert [len(page) for page in found] == lengths
    assert list(chain(*found)) == list(range(COUNT))


def test_a_page_fits_into_a_message() -> None:
    store = MemoryStore()
    found = numbers(ended(store, settings=100), CandidatePages(store), 1000)
    assert len(found) > 1 and list(chain(*found)) == list(range(COUNT))


def test_tokens_of_another_search_are_refused() -> None:
    store = MemoryStore()
    pages, run, other = CandidatePages(store), ended(store), ended(store, settings=2)
    token = pages.page(run, tuner_pb2.ListCandidatesRequest(page_size=10)).next_page_token
    with pytest.raises(InvalidFieldError, match="page_token"):
        pages.page(other, tuner_pb2.ListCandidatesRequest(page_token=token))
    with pytest.raises(InvalidFieldError, match="page_size"):
        pages.page(run, tuner_pb2.ListCandidatesRequest(page_size=1001))


def test_a_search_at_work_has_none() -> None:
    run = tuner_pb2.TuningRun(name="tuningRuns/t")
    run.status.state = run_pb2.RUN_STATE_RUNNING
    with pytest.raises(FailedPreconditionError, match="is RUNNING"):
        CandidatePages(MemoryStore()).page(run, tuner_pb2.ListCandidatesRequest())
