"""What tests of policies share."""

import pytest

from tests.unit.tuner_policy.policies import Bench


@pytest.fixture
def bench() -> Bench:
    """See `Bench`."""
    return Bench()
