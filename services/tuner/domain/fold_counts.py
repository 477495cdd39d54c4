"""Into how many folds data are split. Light: the service tells before a search begins."""

import math

TEXT_COLUMNS = 300
"""What a column of texts takes is like that of so many columns."""

_COUNTS = ((5_000, 8), (20_000, 5), (300_000, 3))
_USUAL_SECONDS = 60.0
_LEAST_HASTE, _MOST_HASTE = 0.5, 3.0
_USUAL_COLUMNS = 100


def usual_fold_count(rows: int, columns: int, seconds: float) -> int:
    """Returns into how many folds a table is usually split.

    Args:
        rows: Rows that are learned from.
        columns: Its columns; each number of a vector counts.
        seconds: What the whole search may take.

    Returns:
        8 for small tables, fewer for large ones or where time is short, 1 for a holdout.
    """
    haste = math.sqrt(_USUAL_SECONDS / max(seconds, 1.0))
    width = math.sqrt(max(columns / _USUAL_COLUMNS, 1.0))
    work = rows * min(max(haste, _LEAST_HASTE), _MOST_HASTE) * width
    usual = next((count for most, count in _COUNTS if work <= most), 1)
    return max(min(usual, rows // 2), 1)
