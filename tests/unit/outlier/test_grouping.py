"""Groups of anomalies."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from services.outlier.domain.explaining.grouping import group_by_reasons


def test_like_reasons_are_together() -> None:
    """Rows that are odd in the same columns make a group, however odd each is."""
    first, second = np.array([5.0, 4.0, 0.1, -1.0]), np.array([0.0, 0.2, 0.0, 3.0])
    rows = [first, 10 * first, second, first + 0.3, 0.5 * second]
    [large, small] = group_by_reasons(np.stack(rows))
    assert large.members.tolist() == [0, 1, 3]
    assert small.members.tolist() == [2, 4]
    assert small.shares.argmax() == 3 and small.shares[3] > 0.9
    assert abs(large.shares.sum() - 1) < 1e-12 and large.shares[3] < 0.05


def test_nothing_to_group() -> None:
    """No anomalies, and anomalies that no column explains, make no groups."""
    assert group_by_reasons(np.zeros((0, 3))) == []
    assert group_by_reasons(np.array([[0.0, -1.0]])) == []
    [alone] = group_by_reasons(np.array([[0.0, 2.0]]))
    assert alone.members.tolist() == [0] and alone.shares.tolist() == [0.0, 1.0]


@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(0, 20), st.integers(1, 6)),
        elements=st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: round(value, 3)),
    )
)
def test_every_explained_row_is_in_one_group(contributions: npt.NDArray[np.float64]) -> None:
    """Whatever the reasons, groups part the rows that have any."""
    groups = group_by_reasons(contributions)
    found = sorted(row for group in groups for row in group.members.tolist())
    assert found == np.flatnonzero((contributions > 0).any(axis=1)).tolist()
    sizes = [len(group.members) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
