"""The section on disturbed inputs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.data.schema import Task
from common.reports.rendering import render
from common.reports.report import Picture, Plot, Report, Section
from services.analyzer.domain.metrics import Interval, Metric
from services.analyzer.domain.robustness import PART
from services.analyzer.domain.robustness.findings import (
    FACTOR,
    Attack,
    AttackKind,
    Curve,
    DisturbanceKind,
    Point,
    RobustnessFindings,
)
from services.analyzer.domain.robustness.words import attacks_told, headline, told_severity
from tests.support.analysis import trained_cnn
from tests.unit.analyzer.robustness_support import (
    found_for,
    small_mlp,
    subject_with,
)


def titles(section: Section) -> list[str]:
    return [each.title for each in section.subsections]


def sentence(section: Section) -> str:
    first = section.parts[0]
    assert isinstance(first, str)
    return first


def drawn(findings: RobustnessFindings) -> Section:
    """Returns the section, once it has been made a page."""
    section: Section = PART.show(findings)
    render(Report("tried", {}, [section]))
    return section


def test_tables_show_columns_and_steps(tmp_path: Path) -> None:
    section = drawn(found_for(small_mlp(tmp_path)))
    assert titles(section) == ["One column at a time", "Small steps that are chosen to hurt"]
    assert " most: at " in sentence(section)
    plots = [each for each in section.parts if isinstance(each, Plot)]
    assert len(plots) == 2
    bars = plots[0].figure.data[0]
    assert list(bars.x) == sorted(bars.x, reverse=True)  # the worst on top, which is drawn last


def test_images_show_what_disturbances_look_like(tmp_path: Path) -> None:
    """The pictures of a page are small, and one more shows small steps."""
    subject = trained_cnn(tmp_path, epochs=1)
    findings = found_for(replace(subject, sample=subject.sample.take(slice(0, 50))))
    assert sum(len(each.png) for each in findings.strips) < 300_000
    assert len(findings.strips) == 9
    assert {len(each.found) for each in findings.strips} == {6}
    section = drawn(findings)
    looks, steps = section.subsections
    assert len([each for each in looks.parts if isinstance(each, Picture)]) == 8
    assert findings.strips[-1].kind is AttackKind.FGSM
    assert isinstance(steps.parts[-1], Picture)


def test_large_images_of_noise_stay_small() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 100, 80)).astype(np.uint8)
    subject = subject_with(lambda raw: raw["i"].mean(axis=(1, 2, 3)), {"i": images}, np.arange(5.0))
    findings = found_for(subject)
    assert sum(len(each.png) for each in findings.strips) < 300_000
    drawn(findings)


def test_a_model_that_nothing_hurts() -> None:
    """One class only: no lead over a guess, and nothing is lost."""
    subject = subject_with(
        lambda raw: np.tile([0.9, 0.1], (len(raw["a"]), 1)),
        {"a": np.arange(50.0), "b": np.arange(50.0)},
        np.zeros(50, np.int64),
        Task.CLASSIFICATION,
        ("no", "yes"),
    )
    section = drawn(found_for(subject))
    assert sentence(section).startswith("Nothing that was tried hurts the model beyond chance")
    assert len([each for each in section.parts if isinstance(each, Plot)]) == 1


def test_names_of_columns_are_text() -> None:
    """Whatever a column is called, it is shown as it is."""
    name = "<b>bold</b>" + "x" * 100
    values = np.random.default_rng(0).standard_normal((2, 300))
    columns = {name: values[0], "other": values[1]}
    section = drawn(found_for(subject_with(lambda raw: raw[name], columns, values[0])))
    (plot,) = [each for each in section.subsections[0].parts if isinstance(each, Plot)]
    assert all("<b>" not in label for label in plot.figure.data[0].y)


@pytest.mark.parametrize(
    ("severity", "unit", "told"),
    [
        (0.2, "share of cells", "20 % of cells"),
        (1.5, "factor", "a factor of 1.5"),
        (1.0, "standard deviations", "1 standard deviation"),
        (30.0, "degrees", "30 degrees"),
        (4.0, "of 255", "4 of 255"),
    ],
)
def test_severities_in_words(severity: float, unit: str, told: str) -> None:
    assert told_severity(severity, unit) == told


def test_factors_begin_at_one() -> None:
    """Undisturbed is a factor of 1: half cannot be lost at less than that."""
    nothing = Interval(0.0, 0.0, 0.0)
    points = (Point(1.1, nothing, nothing, 0.25), Point(1.5, nothing, nothing, 0.0))
    by_factor = Curve(DisturbanceKind.SCALE, FACTOR, points)
    assert by_factor.half_severity == pytest.approx(1 + 0.1 * 0.5 / 0.75)
    by_share = Curve(DisturbanceKind.MISSING, "share of cells", points)
    assert by_share.half_severity == pytest.approx(1.1 * 0.5 / 0.75)


@pytest.mark.parametrize(
    ("kind", "verb"),
    [
        (DisturbanceKind.BRIGHTER, "hurts"),
        (DisturbanceKind.SERIES_NOISE, "hurts"),
        (DisturbanceKind.ROTATED, "hurts"),
        (DisturbanceKind.MISSING, "hurt"),
        (DisturbanceKind.TYPOS, "hurt"),
        (DisturbanceKind.MISSING_LAGS, "hurt"),
    ],
)
def test_verbs_fit_their_nouns(kind: DisturbanceKind, verb: str) -> None:
    score, fall = Interval(0.5, 0.4, 0.6), Interval(0.4, 0.3, 0.5)
    curve = Curve(kind, "share of cells", (Point(0.2, score, fall, 0.1),))
    findings = RobustnessFindings(Metric.ACCURACY, False, 9, Interval(0.9, 0.8, 1.0), 0.1, (curve,))
    label = kind.label[:1].upper() + kind.label[1:]
    assert headline(findings).startswith(f"{label} {verb} most")


def test_pictures_are_of_what_the_model_took() -> None:
    """What the model refuses, and what leaves images as they are, has no pictures."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 200, (60, 1, 8, 8)).astype(np.uint8)

    def mean(raw: Mapping[str, Any]) -> Any:
        light = raw["i"].mean(axis=(1, 2, 3))
        return np.where(light > 220, np.nan, light) + np.nan_to_num(raw["a"])

    numbers = generator.standard_normal(60)
    subject = subject_with(mean, {"i": images, "a": numbers}, numbers + images.mean(axis=(1, 2, 3)))
    findings = found_for(subject)
    kinds = {each.kind for each in findings.strips}
    assert any("more brightness" in note for note in findings.notes)
    assert DisturbanceKind.BLUR in kinds
    assert not kinds & {DisturbanceKind.BRIGHTER, DisturbanceKind.MISSING, DisturbanceKind.NOISE}


def test_small_steps_are_set_against_random_ones_of_their_size() -> None:
    """Where the time ended, the middles of two curves are of other sizes."""
    score = Interval(0.9, 0.9, 0.9)

    def attack(kind: AttackKind, falls: tuple[float, ...]) -> Attack:
        points = tuple(
            Point(float(place + 1), Interval(0.9 - fall, 0.8, 0.9), Interval(fall, 0.01, 1.0), 0.5)
            for place, fall in enumerate(falls)
        )
        return Attack(Curve(kind, "of 255", points), 9, score)

    attacks = (
        attack(AttackKind.FGSM, (0.1, 0.2, 0.3, 0.4, 0.5)),
        attack(AttackKind.RANDOM_SIGN, (0.01,)),
    )
    findings = RobustnessFindings(Metric.ACCURACY, False, 9, score, 0.1, (), attacks=attacks)
    told = attacks_told(findings)
    assert "3 of 255" in told
    assert "random ones" not in told
