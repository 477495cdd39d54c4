"""A problem on the disk, from where a process reads it with little memory of its own."""

import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from services.tuner.domain.problem import Problem

_NUMBERS = "numbers.npy"
_REST = "problem.pickle"


def write_problem(problem: Problem, folder: Path) -> None:
    """Writes a problem into a folder."""
    features = problem.features
    numeric = [name for name in features if features[name].dtype == np.float64]
    others = [name for name in features if features[name].dtype != np.float64]
    np.save(folder / _NUMBERS, features[numeric].to_numpy(np.float64).T)
    rest = replace(problem, features=features[[]])
    coded = {name: _coded(features[name]) for name in others}
    with (folder / _REST).open("wb") as file:
        pickle.dump((rest, list(features), numeric, coded), file, pickle.HIGHEST_PROTOCOL)


def read_problem(folder: Path) -> Problem:
    """Reads a problem; its numbers stay in the file until they are needed."""
    with (folder / _REST).open("rb") as file:
        rest, names, numeric, coded = pickle.load(file)
    # Writable for those who insist, without a change to the file.
    numbers = np.asarray(np.load(folder / _NUMBERS, mmap_mode="c"))
    features = pd.DataFrame(numbers.T, rest.features.index, numeric, copy=False)
    with warnings.catch_warnings():
        # One block of numbers and others between them are what saves memory here.
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        for name, (codes, levels, kind) in coded.items():
            column = pd.Series(levels.take(codes), features.index, kind)
            features.insert(names.index(name), name, column)
    problem: Problem = replace(rest, features=features)
    return problem


def _coded(column: "pd.Series[object]") -> tuple[np.ndarray, np.ndarray, object]:
    """Returns codes, levels and type, so that equal texts become one object; missing is a level."""
    codes, levels = pd.factorize(column, use_na_sentinel=False)
    return codes.astype(np.int32), np.asarray(levels), column.dtype
