"""Disturbed images, side by side, as small pictures."""

from collections.abc import Collection, Sequence

import numpy as np

from common.data.rows import RawRows, Values, concatenated
from common.data.schema import Task
from common.reports.pictures import png_of
from common.reports.text import number
from services.analyzer.domain.models.model import Outputs
from services.analyzer.domain.page.thumbnails import Pixels, fitted, pixels_of
from services.analyzer.domain.robustness.disturbance import disturbed
from services.analyzer.domain.robustness.findings import AttackKind, DisturbanceKind, Strip
from services.analyzer.domain.robustness.images import IMAGE_KINDS
from services.analyzer.domain.robustness.plan import Plan
from services.analyzer.domain.robustness.scoring import Baseline
from services.analyzer.domain.subject import Subject

_SIDE = 36  # pixels: with noise on all of them, the pictures of a page take 200 kB
_GAP = 255


def strips_of(
    subject: Subject, baseline: Baseline, plan: Plan, done: Collection[str], image: str
) -> list[Strip]:
    """Returns the image whose row the model does best on, under each disturbance of images.

    Args:
        subject: What is analysed.
        baseline: The rows.
        plan: What was to be done to them.
        done: Kinds of disturbances that the model took.
        image: Name of the image column.
    """
    row = int(baseline.scores.argmax())
    raw = baseline.raw.take(slice(row, row + 1))
    seed = subject.settings.seed
    strips = []
    shown = [each for each in plan.disturbances if each.kind in IMAGE_KINDS & set(done)]
    for each in shown:
        severities = plan.chosen(each)
        pieces = [piece for one in severities for piece in disturbed(each, raw, one, seed)]
        rows = concatenated([raw, *pieces])
        strips.append(strip_of(subject, each.kind, each.unit, (0.0, *severities), rows, image))
    return strips


def strip_of(
    subject: Subject,
    kind: DisturbanceKind | AttackKind,
    unit: str,
    severities: Sequence[float],
    rows: RawRows,
    image: str,
) -> Strip:
    """Returns rows as a strip of pictures, with what the model makes of each."""
    pixels = _side_by_side([_small(each) for each in rows.columns[image]])
    found = _words(subject, subject.predict(rows))
    return Strip(kind, png_of(pixels), tuple(severities), unit, found)


def _words(subject: Subject, outputs: Outputs) -> tuple[str, ...]:
    """Returns what outputs say, for people."""
    names = subject.model.outputs
    if subject.model.task is Task.CLASSIFICATION:
        return tuple(names[place] for place in outputs.argmax(axis=1))
    if subject.model.task is Task.REGRESSION:
        return tuple(number(float(value)) for value in outputs[:, 0])
    return tuple(
        ", ".join(name for name, value in zip(names, row, strict=False) if value >= 0.5) or "none"
        for row in outputs
    )


def _small(image: Values) -> Pixels:
    """Returns an image of (channels, height, width) as a picture of about the same size as all."""
    pixels = fitted(pixels_of(image), _SIDE)
    times = max(1, _SIDE // max(pixels.shape[:2]))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def _side_by_side(pictures: Sequence[Pixels]) -> Pixels:
    gap = np.full((pictures[0].shape[0], 1, *pictures[0].shape[2:]), _GAP, np.uint8)
    return np.concatenate([part for each in pictures for part in (gap, each)][1:], axis=1)
