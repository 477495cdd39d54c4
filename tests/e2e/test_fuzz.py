"""Malformed and extreme messages to every method; `make fuzz` sends many more."""

import pytest

from common.testing.suite import RunningSuite
from tests.fuzz.campaign import SERVICES, attack

pytestmark = pytest.mark.slow

CALLS = 500
GROWTH_BYTES = 64 * 1024**2


@pytest.mark.parametrize("service", SERVICES)
def test_no_message_is_too_much(suite: RunningSuite, service: str) -> None:
    """Nothing ends as an error of the server, which lives on; errors name fields in plain words."""
    outcome = attack(suite, service, CALLS, seed=1)
    assert outcome.report.calls == CALLS
    assert not outcome.report.faults, "\n".join(map(str, outcome.report.faults[:10]))
    assert not outcome.report.errors.unclear()
    assert outcome.is_same_process
    assert outcome.grown_bytes < GROWTH_BYTES
