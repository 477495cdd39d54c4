"""A small model of some rows, for budgets in which no trial ends."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from common.scoring.metric import Metric
from common.scoring.registry import level_of, on_rows
from services.tuner.domain.ensemble.final import final_estimator, pool_of
from services.tuner.domain.ensemble.selection import choose_ensemble
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.folds import fold_splits, thinned
from services.tuner.domain.pictures import told
from services.tuner.domain.problem import Problem
from services.tuner.domain.search.library import FLOOR, Library
from services.tuner.domain.search.tuning import NothingLearnedError, Settings, Tuned
from services.tuner.domain.trials.attempt import Desk, attempt
from services.tuner.domain.trials.messages import Order, TrialFiles, TrialSetup
from services.tuner.domain.trials.trial import Candidate, TrialTask

_ROWS = 1_000
_SECONDS = 1.0
_USUAL = "decision_tree"


def small_model(
    problem: Problem, metric: Metric, settings: Settings, folder: Path
) -> tuple[Tuned, Problem]:
    """Returns a model that is fitted in this process, within about a second, with its rows.

    Args:
        problem: What is to be learned.
        metric: For all its rows.
        settings: Of the search that found nothing.
        folder: Exists; a file of the model stays there.

    Raises:
        NothingLearnedError: That fails too.
    """
    share = _ROWS / problem.row_count
    rows = thinned(problem, np.arange(problem.row_count), share, settings.seed)
    raw, metric = replace(problem.take(rows), level=level_of(metric)), on_rows(metric, rows)
    pictures = told(raw, settings.seed)
    small = pictures.problem
    splits = fold_splits(small, 1, settings.seed)
    setup = TrialSetup(tuple(splits), metric, settings.seed, settings.memory_bytes)
    files = TrialFiles(folder)
    family = FAMILIES[settings.families[0] if settings.families else _USUAL]
    candidate = Candidate(0, family.name, family.space(small).default)
    order = Order(0, TrialTask(candidate, 0, 1.0, _SECONDS))
    result = attempt(Desk(small, setup, FAMILIES, files), order, lambda: _SECONDS)
    if result.failure is not None:
        raise NothingLearnedError(result.message)
    library = Library(splits)
    library.register(candidate, FLOOR)
    library.add(replace(result, outputs=np.load(files.outputs(0))))
    results = {0: library.entries[0].results}
    ensemble = choose_ensemble(pool_of(small, metric, results, splits), seconds=_SECONDS)
    estimator = pictures.before(final_estimator(small, ensemble, results))
    return Tuned(small, estimator, metric, ensemble, library), raw
