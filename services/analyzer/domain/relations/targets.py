"""Which outputs are shown, and when a prediction counts as another one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.schema import Task
from common.reports.text import number
from services.analyzer.domain.metrics import variance_of
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.subject import Subject

MOST_OUTPUTS = 5
_HALF = 0.5


def shown_outputs(subject: Subject) -> tuple[int, ...]:
    """Returns places of the outputs that are shown, the main one first.

    The value; the second of two classes; the classes with most rows; the first labels.
    """
    count = len(subject.model.outputs)
    if subject.model.task is Task.REGRESSION:
        return (0,)
    if subject.model.task is Task.MULTI_LABEL:
        return tuple(range(min(count, MOST_OUTPUTS)))
    if count == 2:
        return (1,)
    truth = subject.sample.truth
    classes = subject.outputs.argmax(axis=1) if truth is None else truth.astype(np.int64)
    rows = np.bincount(classes[classes >= 0], minlength=count)
    return tuple(np.argsort(-rows, kind="stable")[:MOST_OUTPUTS].tolist())


def outputs_of_row(subject: Subject, now: Outputs) -> tuple[int, ...]:
    """Returns places of the outputs that are shown for one row: of many classes its likeliest."""
    if subject.model.task is Task.CLASSIFICATION and len(now) > 2:
        return tuple(np.argsort(-now, kind="stable")[:MOST_OUTPUTS].tolist())
    return shown_outputs(subject)


def output_title(subject: Subject, place: int) -> str:
    """Returns what an output is, for people: `probability of setosa`."""
    names = subject.model.outputs
    name = names[place] if place < len(names) else f"output {place + 1}"
    if subject.model.task is Task.REGRESSION:
        return name
    if subject.model.gives_probabilities:
        return f"probability of {name}"
    return f"prediction of {name}"


@dataclass(frozen=True)
class Decision:
    """Which prediction outputs come to.

    Attributes:
        task: The task.
        names: Of the outputs.
        step: Of a value: a change by so much counts, one standard deviation of the target.
    """

    task: Task
    names: tuple[str, ...]
    step: float = 0.0

    @classmethod
    def of(cls, subject: Subject) -> "Decision":
        """Returns it for a subject; without a target the step is that of the outputs."""
        task = subject.model.task
        if task is not Task.REGRESSION:
            return cls(task, subject.model.outputs)
        truth = subject.sample.truth
        values = subject.outputs[:, 0] if truth is None else truth
        return cls(task, subject.model.outputs, variance_of(values.astype(np.float64)) ** 0.5)

    def differs(self, found: Outputs, now: Outputs) -> npt.NDArray[np.bool_]:
        """Returns whether outputs, (rows, outputs), are another prediction than a row's."""
        if self.task is Task.REGRESSION:
            return np.asarray((np.abs(found[:, 0] - now[0]) >= self.step) & (self.step > 0))
        if self.task is Task.MULTI_LABEL:
            return np.asarray(((found >= _HALF) != (now >= _HALF)).any(axis=1))
        return np.asarray(found.argmax(axis=1) != now.argmax())

    def told(self, now: Outputs) -> str:
        """Returns a row's prediction: a class, labels, or a value."""
        if self.task is Task.REGRESSION:
            return number(float(now[0]))
        if self.task is Task.CLASSIFICATION:
            return self.names[int(now.argmax())]
        labels = [name for name, each in zip(self.names, now, strict=True) if each >= _HALF]
        return ", ".join(labels) or "no label"


def sureness(subject: Subject) -> npt.NDArray[np.float64] | None:
    """Returns how sure the model is of each row: the distance to another prediction.

    None for values, of which a model does not say how sure it is.
    """
    outputs = subject.outputs
    if subject.model.task is Task.REGRESSION:
        return None
    if subject.model.task is Task.MULTI_LABEL:
        return np.asarray(np.abs(outputs - _HALF).min(axis=1))
    if outputs.shape[1] < 2:
        return np.asarray(outputs[:, 0])
    highest = np.partition(outputs, -2, axis=1)[:, -2:]
    return np.asarray(highest[:, 1] - highest[:, 0])
