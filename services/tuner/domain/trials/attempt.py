"""What a trial does: fits, predicts, keeps, and says what went wrong."""

import math
import pickle
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.scoring.outlier_uses import FEWEST_FOLDS
from services.tuner.domain.ensemble.scaling import sharpened_loss
from services.tuner.domain.families.family import Family, OutOfTimeError, TimeLeft, outputs_of
from services.tuner.domain.folds import thinned
from services.tuner.domain.problem import Outputs, Positions, Problem
from services.tuner.domain.trials.lessons import Lessons
from services.tuner.domain.trials.messages import Order, TrialFiles, TrialSetup
from services.tuner.domain.trials.trial import Split, TrialFailure, TrialResult, TrialTask

_LONGEST_MESSAGE = 200
_REST = 0.1
"""Share of a trial's time that is left for predicting and keeping."""
_BLOCKS = 10
"""Of the judged rows, where folds are too few."""
_PATH = re.compile(r"(?:~|\.{1,2})?(?:/[\w.+-]+){2,}/?")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_OF_CODE = (AttributeError, ImportError, NameError)
"""Errors that quote names of the program, not data."""
_OUT_OF_MEMORY = re.compile(r"bad.?alloc|cannot allocate|unable to allocate", re.IGNORECASE)


@dataclass(frozen=True)
class Desk:
    """All that trials work with.

    Attributes:
        problem: The problem with all its rows.
        setup: What trials have in common.
        families: By name.
        files: Where results go.
    """

    problem: Problem
    setup: TrialSetup
    families: Mapping[str, Family]
    files: TrialFiles


def attempt(desk: Desk, order: Order, time_left: TimeLeft) -> TrialResult:
    """Fits a candidate on a fold and keeps estimator and outputs in files.

    Args:
        desk: What trials work with.
        order: What is to be done.
        time_left: Seconds until it is to end by itself.

    Returns:
        The result without the outputs.
    """
    begun = time.monotonic()
    try:
        return _attempt(desk, order, time_left)
    except Exception as error:
        failure, message = failure_of(error)
        return failed(order.task, failure, message, time.monotonic() - begun)


def failed(
    task: TrialTask, failure: TrialFailure, message: str, seconds: float = 0.0
) -> TrialResult:
    """Returns the result of a trial that has no score."""
    return TrialResult(
        task=task,
        loss=math.inf,
        outputs=None,
        settings={},
        fit_seconds=seconds,
        predict_seconds=0.0,
        peak_bytes=0,
        model_bytes=0,
        model_path="",
        failure=failure,
        message=message,
    )


def failure_of(error: BaseException) -> tuple[TrialFailure, str]:
    """Returns what an error means for a trial, and one line about it without paths or data."""
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
        return TrialFailure.OUT_OF_MEMORY, "No more memory could be had."
    if isinstance(error, OutOfTimeError):
        return TrialFailure.OUT_OF_TIME, str(error)
    lines = str(error).strip().splitlines() or [""]
    text = _PATH.sub("…", lines[0])
    if not isinstance(error, _OF_CODE):
        text = _QUOTED.sub("…", text)
    return TrialFailure.RAISED, f"{type(error).__name__}: {text[:_LONGEST_MESSAGE]}".removesuffix(
        ": "
    )


def _attempt(desk: Desk, order: Order, time_left: TimeLeft) -> TrialResult:
    task, begun = order.task, time.monotonic()
    candidate = task.candidate
    seed = _seed(desk.setup.seed, task)
    problem, split = desk.problem, desk.setup.splits[task.fold]
    rows = thinned(problem, split.train, task.share, seed)
    for_the_rest = _REST * task.seconds
    lessons = Lessons(desk.families, seed, lambda: time_left() - for_the_rest)
    judged = problem.take(split.judged)
    fitted = lessons.fitted(candidate, problem.take(rows), judged)
    at_fit = time.monotonic()
    outputs = outputs_of(fitted.estimator, judged.features, problem)
    result = replace(
        failed(task, TrialFailure.NOT_FINITE, "Some outputs are not finite.", at_fit - begun),
        predict_seconds=time.monotonic() - at_fit,
        settings=fitted.settings,
        is_cut_short=fitted.is_cut_short,
    )
    if not np.isfinite(outputs).all():
        return result
    loss = _loss(desk, split, outputs)
    if not math.isfinite(loss):
        return replace(result, message="The loss is not finite.")
    np.save(desk.files.outputs(order.number), outputs)
    path = desk.files.model(order.number)
    size = _kept(fitted.estimator, path)
    return replace(
        result,
        loss=loss,
        model_path=str(path),
        model_bytes=size,
        failure=None,
        message="",
        block_losses=_block_losses(desk, split, outputs),
    )


def _seed(seed: int, task: TrialTask) -> int:
    candidate = task.candidate
    number = candidate.number if candidate.counterpart is None else candidate.counterpart
    sequence = np.random.SeedSequence([seed, number, task.fold])
    return int(sequence.generate_state(1)[0] >> 1)


def _loss(desk: Desk, split: Split, outputs: Outputs) -> float:
    expected = (len(split.judged), len(desk.problem.outputs))
    if outputs.shape != expected:
        raise ValueError(f"outputs have the shape {outputs.shape}, not {expected}")
    return _loss_of(desk, split.judged, outputs)


def _loss_of(desk: Desk, rows: Positions, outputs: Outputs) -> float:
    problem = desk.problem
    weights = None if problem.weights is None else problem.weights[rows]
    return sharpened_loss(desk.setup.metric, problem.truth[rows], outputs, weights)


def _block_losses(desk: Desk, split: Split, outputs: Outputs) -> tuple[float, ...]:
    """Returns the losses of blocks of the judged rows; see `TrialResult.block_losses`."""
    problem, rows = desk.problem, split.judged
    if problem.marks is None or len(desk.setup.splits) >= FEWEST_FOLDS:
        return ()
    units = np.arange(len(rows)) if problem.groups is None else problem.groups[rows]
    blocks = np.unique(units, return_inverse=True)[1].reshape(-1) % _BLOCKS
    parts = [np.flatnonzero(blocks == each) for each in range(_BLOCKS)]
    try:
        return tuple(_loss_of(desk, rows[part], outputs[part]) for part in parts)
    except ValueError:  # The metric is not defined on one of them.
        return ()


def _kept(estimator: Any, path: Path) -> int:
    with path.open("wb") as file:
        pickle.dump(estimator, file, protocol=5)
        return file.tell()
