"""What a scan says of each row, and which rows train with which weight for it."""

from dataclasses import dataclass
from heapq import heapify, heapreplace

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from common.data.marks import Bools, Floats, RowMarks, weight_factors
from common.data.schema import Part
from common.data.split import Parts
from common.scoring.outlier_uses import Use

NO_FOLD = -1

Rows = npt.NDArray[np.int64]
Folds = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Marks:
    """What is known of each row of a data set version; arrays of shape (rows,).

    Attributes:
        marked: Whether the scan marked it.
        probability: That it is an outlier, 0 to 1.
        fold: Fold that holds it out; `NO_FOLD` for rows that do not train, and for all rows where
            nothing is to be proved.
    """

    marked: Bools
    probability: Floats
    fold: Folds

    @classmethod
    def without_folds(cls, marks: RowMarks) -> "Marks":
        """Returns what a scan says of each row, where no row is held out."""
        return cls(marks.marked, marks.probability, np.full(len(marks.marked), NO_FOLD, np.int8))

    def to_bytes(self) -> bytes:
        """Returns the marks as a safetensors file."""
        tensors = {"marked": self.marked, "probability": self.probability, "fold": self.fold}
        return safetensors.numpy.save(tensors)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Marks":
        """Reads what `to_bytes` gave."""
        return cls(**safetensors.numpy.load(content))

    def trains(self, parts: Parts, use: Use, fold: int = NO_FOLD) -> Bools:
        """Returns for each row whether it is trained on.

        Args:
            parts: Part of the split of each row.
            use: What the marks change.
            fold: Fold to hold out; `NO_FOLD` for none.
        """
        chosen: Bools = parts == Part.TRAIN
        if fold != NO_FOLD:
            chosen = chosen & (self.fold != fold)
        return chosen & ~self.marked if use == "drop" else chosen

    def fold_sizes(self, folds: int) -> Rows:
        """Returns the number of rows that each fold holds out, shape (folds,)."""
        return np.bincount(self.fold[self.fold != NO_FOLD], minlength=folds)

    def part(self, rows: slice) -> "Marks":
        """Returns the marks of some rows."""
        return Marks(self.marked[rows], self.probability[rows], self.fold[rows])

    def choose(self, parts: Parts, use: Use, fold: int = NO_FOLD) -> "RowChoice":
        """Returns the rows of a training; see `trains` for the arguments."""
        trains = self.trains(parts, use, fold)
        held_out = np.flatnonzero(self.fold == fold) if fold != NO_FOLD else np.zeros(0, np.int64)
        factors = None
        if use == "down_weight":
            factors = np.where(trains, weight_factors(self.probability), 1).astype(np.float32)
        return RowChoice(np.flatnonzero(trains), held_out, factors)


@dataclass(frozen=True)
class RowChoice:
    """The rows of a training.

    Attributes:
        training: Numbers of the rows to train on, ascending.
        held_out: Numbers of the rows to score the model on, ascending.
        factors: What the weight of each row is multiplied by, shape (rows,): 1 for those that are
            not trained on. None for 1 throughout.
    """

    training: Rows
    held_out: Rows
    factors: Floats | None


def deal_folds(training: Bools, strata: Rows, folds: int, seed: int) -> Folds:
    """Deals the training rows into folds of the same size, with the same share of every stratum.

    Sizes, and each stratum's rows in a fold, differ by one at most.

    Args:
        training: Whether each row trains, shape (rows,).
        strata: Stratum of each row, shape (rows,).
        folds: Number of folds.
        seed: Of the shuffling within strata.

    Returns:
        The fold of each row, shape (rows,); `NO_FOLD` for rows that do not train.
    """
    rows = np.flatnonzero(training)
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(rows)
    dealt = shuffled[np.argsort(strata[shuffled], kind="stable")]
    fold = np.full(len(training), NO_FOLD, np.int8)
    fold[dealt] = np.arange(len(rows)) % folds
    return fold


def deal_groups(training: Bools, groups: Rows, folds: int, seed: int) -> Folds:
    """Deals whole groups of training rows into folds.

    The largest groups come first, each to the fold that has the fewest rows so far.

    Args:
        training: Whether each row trains, shape (rows,).
        groups: Group of each row, shape (rows,).
        folds: Number of folds.
        seed: Of the order of groups of the same size.

    Returns:
        The fold of each row, as `deal_folds` does. With fewer groups than folds, some hold no row.
    """
    found, place, sizes = np.unique(groups[training], return_inverse=True, return_counts=True)
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(len(found))
    fold_of = np.empty(len(found), np.int8)
    smallest = [(0, fold) for fold in range(folds)]
    heapify(smallest)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")].tolist():
        rows, fold = smallest[0]
        fold_of[group] = fold
        heapreplace(smallest, (rows + int(sizes[group]), fold))
    dealt = np.full(len(training), NO_FOLD, np.int8)
    dealt[training] = fold_of[place]
    return dealt
