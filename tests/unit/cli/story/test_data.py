"""The table of the story is the one that its function makes, and says nothing of what is spoilt."""

import csv
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

from common.cli.story import data

PUBLISHED = load_breast_cancer()


def test_the_file_is_what_the_function_writes(tmp_path: Path) -> None:
    """Protects the numbers of the demonstration: the rows that count as spoilt are spoilt."""
    data.write(tmp_path / "cells.csv")
    assert (tmp_path / "cells.csv").read_bytes() == data.TABLE.read_bytes()


def test_just_the_planted_rows_are_spoilt() -> None:
    """Each in one way, all kinds alike often; everything else stays as it was published."""
    rows = [row for each in data.planted().values() for row in each]
    assert len(rows) == len(set(rows)) == 36
    changed = (data.spoilt(PUBLISHED.data, PUBLISHED.target) != PUBLISHED.data).any(axis=1)
    assert set(np.flatnonzero(changed)) == set(rows)


def test_nothing_in_the_table_names_the_spoilt_rows() -> None:
    """Protects from a story that gives its solution away."""
    with data.TABLE.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[-1] == "diagnosis"
    assert [row[-1] for row in rows] == [PUBLISHED.target_names[each] for each in PUBLISHED.target]
    assert all(np.isfinite([float(value) for value in row[:-1]]).all() for row in rows)
