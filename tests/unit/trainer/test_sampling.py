import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.domain.sampling import global_batch, rank_slice

ROWS = st.integers(1, 300)
BATCH = st.integers(1, 64)
SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=400)


@given(rows=ROWS, batch=BATCH, sizes=SIZES, seed=st.integers(0, 2**32 - 1))
def test_every_row_is_seen_once_per_epoch_also_when_the_number_of_workers_changes(
    rows: int, batch: int, sizes: list[int], seed: int
) -> None:
    """Protects training from rows that are lost or seen twice, whatever the world is at a step."""
    seen: list[int] = []
    for step in range(-(-rows // batch)):
        positions = global_batch(rows, batch, seed, 3, step)
        size = sizes[step % len(sizes)]
        for rank in range(size):
            seen += positions[rank_slice(len(positions), rank, size)].tolist()
    assert sorted(seen) == list(range(rows))


@given(length=st.integers(0, 500), size=st.integers(1, 40))
def test_slices_are_even(length: int, size: int) -> None:
    """Protects the balance: no worker has two rows more than another."""
    lengths = [len(range(length)[rank_slice(length, rank, size)]) for rank in range(size)]
    assert sum(lengths) == length
    assert max(lengths) - min(lengths) <= 1


def test_order_depends_on_seed_and_epoch_and_nothing_else() -> None:
    """Protects the resumed curve: a later process draws the same batches."""
    first = global_batch(100, 10, 7, 2, 4).copy()
    assert np.array_equal(first, global_batch(100, 10, 7, 2, 4))
    assert not np.array_equal(first, global_batch(100, 10, 8, 2, 4))
    assert not np.array_equal(first, global_batch(100, 10, 7, 3, 4))
