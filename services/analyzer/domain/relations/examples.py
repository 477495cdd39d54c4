"""Which rows are shown as examples."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.schema import Task
from services.analyzer.domain.relations.targets import sureness
from services.analyzer.domain.subject import Subject

MOST_EXAMPLES = 5

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """A row.

    Attributes:
        place: Where it is in the sample.
        why: Why it was chosen, in a few words.
    """

    place: int
    why: str


def what_if_example(subject: Subject) -> Example | None:
    """Returns the row that was asked for, None if it is not in the sample; else the least sure."""
    asked = subject.settings.what_if_row
    if asked is not None:
        place = int(np.searchsorted(subject.sample.numbers, asked))
        known = place < subject.sample.count and subject.sample.numbers[place] == asked
        return Example(place, "the row that was asked for") if known else None
    sure = sureness(subject)
    if sure is not None:
        return Example(int(sure.argmin()), "the row that the model is least sure of")
    if subject.sample.truth is not None:
        worst = int(subject.row_scores.argmin())
        return Example(worst, "the row that the model is most wrong about")
    return Example(_typical(subject.outputs[:, 0]), "a typical row")


def nearest_row(subject: Subject, number: int) -> int:
    """Returns the number of the sample's row that is nearest to a number."""
    numbers = subject.sample.numbers
    return int(numbers[np.abs(numbers - number).argmin()])


def examples(subject: Subject, but: int) -> tuple[Example, ...]:
    """Returns other rows: the worst, the surest, and typical ones.

    Args:
        subject: What is analysed.
        but: Place of the row that is shown anyway.
    """
    chosen: dict[int, Example] = {}
    for example in _candidates(subject):
        if example.place != but:
            chosen.setdefault(example.place, example)
    return tuple(chosen.values())[:MOST_EXAMPLES]


def _candidates(subject: Subject) -> Iterator[Example]:
    if subject.sample.truth is not None:
        yield Example(int(subject.row_scores.argmin()), "worst")
    sure = sureness(subject)
    if sure is None:
        values = subject.outputs[:, 0]
        yield Example(int(values.argmax()), "highest")
        yield Example(int(values.argmin()), "lowest")
        yield Example(_typical(values), "typical")
        return
    yield Example(int(sure.argmax()), "surest")
    if subject.model.task is Task.CLASSIFICATION:
        yield from _of_classes(subject, sure)
    else:
        yield Example(_typical(sure), "typical")


def _of_classes(subject: Subject, sure: Scores) -> Iterator[Example]:
    """Yields a typical row of each class as predicted, classes with more rows first."""
    predicted = subject.outputs.argmax(axis=1)
    classes, counts = np.unique(predicted, return_counts=True)
    for place in classes[np.argsort(-counts, kind="stable")].tolist():
        rows = np.flatnonzero(predicted == place)
        yield Example(int(rows[_typical(sure[rows])]), f"typical {subject.model.outputs[place]}")


def _typical(values: Scores) -> int:
    """Returns the place of the value in the middle."""
    return int(np.argsort(values, kind="stable")[len(values) // 2])
