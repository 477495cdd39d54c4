"""Versions that are compared, on the same rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from common.data.rows import Values
from common.data.schema import Task
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.paths import MOST_CHALLENGERS
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.subject import Subject

MOST_VERSIONS = MOST_CHALLENGERS + 1


@dataclass(frozen=True, eq=False)
class Version:
    """A version that is compared.

    Attributes:
        subject: The version with the rows.
        label: Its name for people, short.
    """

    subject: Subject
    label: str

    @property
    def name(self) -> str:
        """Name of the model version."""
        return self.subject.name

    @cached_property
    def predicted(self) -> Values:
        """What it says of each row: a class, labels, or a value."""
        if self.subject.model.task is Task.REGRESSION:
            return self.subject.outputs[:, 0]
        if self.subject.model.task is Task.MULTI_LABEL:
            return np.asarray(self.subject.outputs >= 0.5)
        return np.asarray(self.subject.outputs.argmax(axis=1))


@dataclass(frozen=True)
class Versions:
    """The versions of a comparison.

    Attributes:
        all: The baseline first.
        note: Why they are compared on fewer rows than there are; empty if they are not.
    """

    all: tuple[Version, ...]
    note: str = ""

    @property
    def baseline(self) -> Version:
        """What the others are compared with."""
        return self.all[0]

    @property
    def challengers(self) -> tuple[Version, ...]:
        """The others."""
        return self.all[1:]

    @property
    def sample(self) -> Sample:
        """The rows, the same for all."""
        return self.baseline.subject.sample

    @property
    def task(self) -> Task:
        """What all predict."""
        return self.baseline.subject.model.task

    @property
    def classes_are_predicted(self) -> bool:
        """Whether rows are right or wrong: not for regression."""
        return self.task is not Task.REGRESSION

    @property
    def classes(self) -> tuple[str, ...]:
        """What the outputs of all stand for."""
        return self.baseline.subject.model.outputs

    @cached_property
    def usable(self) -> tuple["Versions", tuple[str, ...]]:
        """Those with outputs for the sample, and why the others have none.

        Raises:
            UnusableModelError: The baseline has none, or no challenger.
        """
        return self._kept(lambda version: version.subject.outputs)

    def running(self) -> tuple["Versions", tuple[str, ...]]:
        """Returns those that give numbers for a row, and why the others do not.

        Raises:
            UnusableModelError: The baseline does not, or no challenger.
        """
        one = self.sample.raw.take(slice(0, 1))
        return self._kept(lambda version: version.subject.predict(one))

    def _kept(self, predict: Callable[[Version], object]) -> tuple["Versions", tuple[str, ...]]:
        """Returns the versions that can predict, and why the others cannot."""
        reasons = [_reason(predict, each) for each in self.all]
        if reasons[0]:
            raise UnusableModelError(f"{self.baseline.label}: {reasons[0]}")
        pairs = list(zip(self.all, reasons, strict=True))
        kept = tuple(each for each, why in pairs if not why)
        notes = tuple(f"{beginning(each.label)} is left out: {why}" for each, why in pairs if why)
        if len(kept) < 2:
            raise UnusableModelError(" ".join(notes))
        return Versions(kept), notes


def _reason(predict: Callable[[Version], object], version: Version) -> str:
    try:
        predict(version)
    except UnusableModelError as error:
        return str(error)
    return ""


def versions_of(subjects: Sequence[Subject], note: str = "") -> Versions:
    """Returns subjects as versions that can be compared.

    Args:
        subjects: Two to eight, the baseline first; they share rows and settings.
        note: See `Versions`.

    Raises:
        UnusableModelError: They do not predict the same.
    """
    if not 2 <= len(subjects) <= MOST_VERSIONS:
        raise ValueError(f"2 to {MOST_VERSIONS} versions can be compared, not {len(subjects)}")
    for each in subjects[1:]:
        _require_same(subjects[0], each)
    labels = _labels([each.name for each in subjects])
    pairs = zip(subjects, labels, strict=True)
    return Versions(tuple(Version(each, label) for each, label in pairs), note)


def _require_same(baseline: Subject, challenger: Subject) -> None:
    first, second = baseline.model, challenger.model
    if (first.task, len(first.outputs)) != (second.task, len(second.outputs)):
        raise UnusableModelError(
            f"{challenger.name} predicts other things than {baseline.name} (`{second.task}` with "
            f"{len(second.outputs)} outputs, `{first.task}` with {len(first.outputs)})."
        )


def _labels(names: Sequence[str]) -> list[str]:
    """Returns `version 3`, with the model's name where there are several models."""
    pairs = [_model_and_version(name) for name in names]
    if len({model for model, _ in pairs}) == 1:
        return [f"version {version}" for _, version in pairs]
    return [f"{model} version {version}" for model, version in pairs]


def _model_and_version(name: str) -> tuple[str, str]:
    model, _, version = name.removeprefix("models/").partition("/versions/")
    return model, version or name


def beginning(text: str) -> str:
    """Returns text as it begins a sentence; names of models stay as they are."""
    return f"V{text[1:]}" if text.startswith("version ") else text
