"""Small networks that learn what a model says of a table's rows.

Sources: Bucila et al., Model compression (2006): rows are made that the model alone labels; Hinton
et al., Distilling the knowledge in a neural network (2015): what it says is learned, not its class.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from common.data.rows import RawRows, concatenated
from common.models.preprocessing import Target
from common.models.transform import ColumnTransform
from common.networks.modules import build_network
from common.networks.specification import (
    ActivationName,
    MlpNetwork,
    NetworkSpecification,
    complete,
)
from common.scoring.arrays import Outputs, Truth
from services.pruner.domain.networks import Pace
from services.pruner.domain.students.lessons import Lessons
from services.pruner.domain.students.made_rows import made_rows
from services.pruner.domain.students.training import Course, Taught, train

_ACTIVATION: ActivationName = "silu"
"""Of functions without corners, values above all, more is learned than by `relu`."""
_PIECE, _CELLS = 2_000, 20_000_000
_ASKING_SHARE = 0.3
_LEAST_STEPS = 200
_STEP_UNITS = 200
"""A step takes as long without any unit as so many units take."""
_LEARNED_SHARE, _TRUTH_SHARE = 0.1, 0.5
"""Of the weight, that of rows learned from; there what is true counts beside what is said."""

Ask = Callable[[RawRows], Outputs]
"""Returns what the original says of rows; may raise `ValueError` where that is no number."""


@dataclass(frozen=True)
class Syllabus:
    """How much is learned, where there is time for it.

    Attributes:
        sizes: Hidden widths of the networks, the smallest first.
        steps: Of the optimiser, for each.
        made_rows: That the model alone labels, at most.
    """

    sizes: tuple[tuple[int, ...], ...] = ((64, 32), (128, 64, 32), (256, 128, 64))
    steps: int = 12_000
    made_rows: int = 50_000


@dataclass(frozen=True)
class Student:
    """A network that has learned what a model says.

    Attributes:
        name: Its name.
        specification: Of the network, complete.
        network: In evaluation.
        note: How it learned, a sentence.
    """

    name: str
    specification: NetworkSpecification
    network: nn.Module
    note: str


_USUAL = Syllabus()


def students(
    lessons: Lessons, truth: Truth, ask: Ask, pace: Pace, syllabus: Syllabus = _USUAL
) -> Iterator[Student]:
    """Yields networks of several sizes that have learned what a model says.

    Those for which the time is too short are left out, which is told.

    Args:
        lessons: What they learn from.
        truth: Of its rows: positions of classes, or values.
        ask: Asks the model.
        pace: In what time.
        syllabus: How much, where there is time for it.

    Raises:
        ValueError: What the model says of the rows that it has learned from is no number.
    """
    end = time.monotonic() + pace.seconds
    taught, learned = _taught(lessons, truth, ask, pace, syllabus.made_rows)
    for place, hidden in enumerate(syllabus.sizes):
        left = max(end - time.monotonic(), 0.0) * _share(syllabus.sizes[place:])
        specification = _specification(lessons, hidden)
        network = _fresh(specification, pace.seed)
        begin = time.monotonic()
        done = train(network, taught, Course(syllabus.steps, left, pace.seed, pace.check))
        name = f"network_{'_'.join(map(str, hidden))}"
        if done < min(_LEAST_STEPS, syllabus.steps):
            pace.tell(f"Time is too short for {name}, which had {done:,} steps of training.")
            continue
        size = sum(each.numel() for each in network.parameters())
        note = (
            f"A network of {size:,} parameters that learned what the original says of {learned:,} "
            f"rows that this has learned from, and of {len(taught.wanted) - learned:,} made of "
            f"these, in {done:,} of {syllabus.steps:,} steps and {time.monotonic() - begin:.0f} s."
        )
        yield Student(name, specification, network, note)


def _share(sizes: Sequence[tuple[int, ...]]) -> float:
    """Returns the first one's share of the time: widths tell what a step takes, about."""
    lengths = [_STEP_UNITS + sum(each) for each in sizes]
    return lengths[0] / sum(lengths)


def _specification(lessons: Lessons, hidden: tuple[int, ...]) -> NetworkSpecification:
    asked = NetworkSpecification(mlp=MlpNetwork(hidden_widths=hidden, activation=_ACTIVATION))
    preprocessing = lessons.preprocessing
    return complete(asked, preprocessing.network_input, preprocessing.target.outputs, "network")


def _fresh(specification: NetworkSpecification, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(specification)


def _taught(lessons: Lessons, truth: Truth, ask: Ask, pace: Pace, most: int) -> tuple[Taught, int]:
    """Returns what is to be learned, and how many rows of it the model has learned from itself."""
    target = lessons.preprocessing.target
    seconds = _ASKING_SHARE / 2 * pace.seconds
    pieces = lessons.rows.parts(_PIECE)
    learned = list(_asked(pieces, ask, seconds, pace.check))
    pieces = made_rows(lessons.rows, min(most, _CELLS // len(lessons.columns)), pace.seed, _PIECE)
    made = list(_asked(pieces, _guessing(ask, target.outputs), seconds, pace.check))
    rows = concatenated([each for each, _ in learned + made])
    wanted = np.concatenate([_scaled(said, target) for _, said in learned + made])
    own = sum(each.count for each, _ in learned)
    wanted[:own] += _TRUTH_SHARE * (_wanted(truth[:own], target) - wanted[:own])
    inputs = _inputs(lessons, rows)
    known = np.isfinite(wanted).all(axis=1)
    for each in inputs:
        known &= torch.isfinite(each).all(dim=1).numpy()
    own = int(known[:own].sum())
    taught = Taught(
        inputs=tuple(each[torch.from_numpy(known)] for each in inputs),
        wanted=torch.from_numpy(wanted[known].astype(np.float32)),
        weights=_weights(own, int(known.sum()) - own),
        has_classes=target.task == "classification",
    )
    return taught, own


def _asked(
    pieces: Iterable[RawRows], ask: Ask, seconds: float, check: Callable[[], None]
) -> Iterator[tuple[RawRows, Outputs]]:
    """Yields pieces with what the model says of them: one, and others while there is time."""
    end = time.monotonic() + seconds
    for piece in pieces:
        check()
        yield piece, ask(piece)
        if time.monotonic() > end:
            return


def _guessing(ask: Ask, outputs: int) -> Ask:
    """Returns what asks of rows that the model may have no number for: NaN then."""

    def asked(rows: RawRows) -> Outputs:
        try:
            return ask(rows)
        except ValueError:
            return np.full((rows.count, outputs), np.nan)

    return asked


def _inputs(lessons: Lessons, rows: RawRows) -> tuple[Tensor, ...]:
    """Returns rows as a network takes them, standardised."""
    preprocessing = lessons.preprocessing
    transform = ColumnTransform(preprocessing, rows.columns, rows.labels)
    names = preprocessing.network_input.names
    return tuple(torch.from_numpy(getattr(transform, name)(slice(None))) for name in names)


def _wanted(truth: Truth, target: Target) -> npt.NDArray[np.float64]:
    """Returns what is true of rows as a network is to give it."""
    if target.task == "classification":
        return np.eye(target.outputs)[truth.astype(np.int64)]
    return _scaled(truth.astype(np.float64).reshape(-1, 1), target)


def _scaled(outputs: Outputs, target: Target) -> npt.NDArray[np.float64]:
    if target.task == "classification":
        return outputs
    return (outputs - target.mean) / target.scale


def _weights(learned: int, made: int) -> Tensor:
    """Returns the weights of rows, those learned first, 1 in the mean."""
    if not (learned and made):
        return torch.ones(learned + made)
    shares = torch.tensor([_LEARNED_SHARE / learned, (1 - _LEARNED_SHARE) / made])
    return (learned + made) * shares.repeat_interleave(torch.tensor([learned, made]))
