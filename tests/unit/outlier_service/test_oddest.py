"""Which rows of a message are explained."""

import numpy as np

from services.outlier.scorer.oddest import oddest_marked


def test_only_the_oddest_rows_are_explained() -> None:
    """An answer has a size that can be sent, however many rows of a message are odd."""
    scores = np.random.default_rng(0).permutation(300).astype(np.float64)
    marked = scores > 50
    chosen = oddest_marked(scores, marked)
    assert chosen.tolist() == sorted(np.flatnonzero(scores >= 200).tolist())
    assert oddest_marked(scores, scores > 290).tolist() == np.flatnonzero(scores > 290).tolist()
    assert not len(oddest_marked(scores, scores > 300))
