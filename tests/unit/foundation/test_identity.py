"""Who asks, as services tell each other."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import identity, telemetry
from common.calls import client
from common.identity import ON_BEHALF_OF, Caller, Role
from common.telemetry import tracecontext

SUBJECTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=50)


@pytest.fixture(autouse=True)
def whole() -> Iterator[None]:
    """Leaves the process as it was: it works for nobody."""
    yield
    identity.work_for("")


@given(SUBJECTS, st.sampled_from(Role))
def test_any_subject_travels_as_printable_ascii(subject: str, role: Role) -> None:
    """Subjects of an issuer may be anything, and metadata of gRPC may not."""
    header = Caller(subject, role).header
    assert header.isascii() and header.isprintable()
    assert Caller.from_header(header, "tuner") == Caller(subject, role, "tuner")


@pytest.mark.parametrize("header", ["alice", "editor:", ":alice", "king:alice", "editor:%ff"])
def test_what_names_nobody_is_refused(header: str) -> None:
    """Half a name in an audit log is worse than a refusal."""
    with pytest.raises(ValueError):
        Caller.from_header(header, "tuner")


def test_all_threads_of_a_run_ask_for_its_creator() -> None:
    """Searches talk to the trainer from a thread of their own, which has no context."""
    identity.work_for("alice")
    with ThreadPoolExecutor(1) as threads:
        metadata = dict(threads.submit(client.call_metadata, "token").result())
    assert metadata[ON_BEHALF_OF] == "editor:alice"


def test_all_threads_of_a_run_are_in_its_trace() -> None:
    """The trainings that a search asks for from a thread belong to the search's trace."""
    parent = tracecontext.new_traceparent()
    with telemetry.process_span("tuningRuns", parent), ThreadPoolExecutor(1) as threads:
        metadata = dict(threads.submit(client.call_metadata, "token").result())
    assert tracecontext.trace_id(str(metadata[tracecontext.HEADER])) == parent[3:35]
    assert tracecontext.current_traceparent() == ""


def test_a_process_that_works_for_nobody_asks_for_itself() -> None:
    """People's clients and agents send nothing; neither do runs whose creator is not known."""
    for creator in ("", "nobody"):
        identity.work_for(creator)
        assert ON_BEHALF_OF not in dict(client.call_metadata("token"))


def test_who_called_is_never_taken_from_the_process() -> None:
    """A run's own server takes agents in: those do not become the run's creator."""
    identity.work_for("alice")
    assert identity.caller() == identity.NOBODY
    with identity.acting_as("tuningPolicies/p"):
        assert identity.asking() == Caller("tuningPolicies/p", Role.EDITOR)
