"""Which columns a model needs: the rest goes, each with its reason."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from services.pruner.domain.features.coding import Coding, sampled
from services.pruner.domain.features.elimination import Elimination, Refit
from services.pruner.domain.features.evidence import Evidence
from services.pruner.domain.features.grouping import dependence, groups_of
from services.pruner.domain.features.importances import Judge, RowLosses
from services.pruner.domain.features.relevance import alone
from services.pruner.domain.features.verdicts import FewerColumns, verdicts_of

_MOST_ROWS = 20000
_SHARE_OF_TIME = 0.3
_ALLOWED = 1.0
_DEMANDED = -2.0


def needed_columns(
    model: Any,
    refit: Refit,
    learned: pd.DataFrame,
    truth: npt.NDArray[Any],
    held_out: pd.DataFrame,
    held_out_truth: npt.NDArray[Any],
    row_losses: RowLosses,
    seed: int,
    check: Callable[[], None],
    seconds: float,
) -> FewerColumns:
    """Returns which columns are needed, by grouped backward elimination.

    A column tells of the target if the target differs between its values, or if the model's loss
    grows when it and all that are nearly the same become knock-offs (Candes et al., Panning for
    gold, 2018), with a false discovery rate of 0.1 %. All columns that tell nothing are left out at
    once, then of each group of columns that are nearly the same all but one, if a model that is
    fitted without them is no worse by more than a standard error; where it is, halves of them
    are. What tells something else goes only if it seems to harm, and the loss falls by two standard
    errors without it.

    Args:
        model: Fitted on all columns of `learned`.
        refit: Returns a model that was fitted on some columns of `learned`, given their names.
        learned: Rows that it learned.
        truth: Their classes or numbers, (rows,), or several of them, (rows, targets).
        held_out: Rows that it did not learn, with the same columns.
        held_out_truth: Of these.
        row_losses: Returns losses of a model for rows with the columns that it was fitted on;
            proper ones, since which class is likeliest tells less.
        seed: Of what is drawn.
        check: Raises to stop.
        seconds: No model is fitted that would not be done by then; what is not tried is kept.

    Raises:
        ValueError: There are no held-out rows.
    """
    if not len(held_out):
        raise ValueError("Columns are judged by rows that the model did not learn; there are none.")
    started, generator = time.monotonic(), np.random.default_rng(seed)
    names, wanted = list(learned.columns), np.asarray(held_out_truth)
    frame = pd.concat([learned, held_out[names]], ignore_index=True)
    targets = np.concatenate([np.asarray(truth), wanted])
    rows = sampled(len(frame), _MOST_ROWS, generator)
    coding = Coding.of(frame.iloc[rows])
    related = dependence(coding)
    judge = Judge(model, row_losses, held_out[names], wanted, generator, check)
    chances = alone(coding, targets[rows], generator)
    # Of what tells nothing by itself most is to be learned from the model.
    groups = sorted(groups_of(related), key=lambda group: -chances[group].min())
    worth = judge.importances(coding, groups, _SHARE_OF_TIME * seconds)
    chances = np.minimum(chances, worth.chances)
    is_constant = frame.nunique(dropna=False).to_numpy() < 2
    both = np.minimum(2 * chances, 1.0)
    evidence = Evidence(names, related, groups, worth, both, is_constant)
    elimination = Elimination(
        names,
        worth.losses,
        refit,
        lambda fitted, some: row_losses(fitted, held_out[some], wanted),
        check,
        started + seconds,
    )
    return _after(evidence, elimination)


def _after(evidence: Evidence, elimination: Elimination) -> FewerColumns:
    """Leaves columns out and tells what became of all."""
    elimination.leave_out(evidence.silent(), _ALLOWED)
    repeating = evidence.repeating(elimination.kept)
    elimination.leave_out(list(repeating), _ALLOWED)
    rest = [each for each in elimination.kept if each not in elimination.steps]
    elimination.leave_out_weakest(evidence.harmful(rest), _DEMANDED)
    return FewerColumns(
        tuple(elimination.kept),
        verdicts_of(evidence, elimination, repeating),
        float(evidence.worth.losses.mean()),
        float(elimination.losses.mean()),
    )
