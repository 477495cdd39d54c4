"""How long a training lasts whose length nobody gave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.domain.length import with_usual_length
from services.trainer.domain.optimisation import EarlyStopping, Schedule
from services.trainer.domain.specification import TrainingSpecification

PLAIN = TrainingSpecification()


@given(rows=st.integers(1, 10_000_000), batch_size=st.integers(1, 4096))
def test_few_rows_are_seen_more_often(rows: int, batch_size: int) -> None:
    """About a thousand steps, but never fewer than ten passes nor more than a hundred."""
    given_size = PLAIN.model_copy(update={"batch_size": batch_size})
    found = with_usual_length(given_size, rows, is_validated=True)
    assert 10 <= found.epochs <= 100
    steps = -(-rows // batch_size) * found.epochs
    assert steps >= 1_000 or found.epochs == 100
    assert steps < 1_000 + -(-rows // batch_size) or found.epochs == 10


@pytest.mark.parametrize(
    ("changes", "is_validated", "stops"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"monitor": "none"}, True, False),
        ({"schedule": Schedule(cosine_decay=True)}, True, False),
    ],
)
def test_it_ends_early_where_that_can_be_seen(
    changes: dict[str, object], is_validated: bool, stops: bool
) -> None:
    """Not where nothing is validated, nor where the rate falls to the end."""
    asked = PLAIN.model_copy(update=changes)
    found = with_usual_length(asked, 1_000, is_validated=is_validated)
    assert (found.early_stopping is not None) == stops


def test_what_was_asked_for_stays() -> None:
    """A patience of the caller's own."""
    asked = PLAIN.model_copy(update={"early_stopping": EarlyStopping(patience=2)})
    assert with_usual_length(asked, 1_000, is_validated=True).early_stopping == asked.early_stopping
