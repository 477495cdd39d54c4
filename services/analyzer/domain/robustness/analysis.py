"""How the metric falls when inputs are disturbed."""

from collections.abc import Callable, Collection, Sequence
from itertools import groupby

from common.reports.text import shortened
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.robustness.attacks import Attacks, attacked
from services.analyzer.domain.robustness.columns import Columns, columns_of
from services.analyzer.domain.robustness.disturbance import Disturbance, curve_of
from services.analyzer.domain.robustness.findings import (
    AttackKind,
    ColumnCurves,
    Curve,
    RobustnessFindings,
    Strip,
)
from services.analyzer.domain.robustness.images import image_disturbances
from services.analyzer.domain.robustness.lags import series_disturbances
from services.analyzer.domain.robustness.plan import Cost, Plan, cost_of, planned
from services.analyzer.domain.robustness.room import sizes_of
from services.analyzer.domain.robustness.scoring import Baseline, baseline_of
from services.analyzer.domain.robustness.strips import strip_of, strips_of
from services.analyzer.domain.robustness.tables import table_disturbances
from services.analyzer.domain.robustness.texts import text_disturbances
from services.analyzer.domain.subject import Subject

_SPENT = "Some disturbances were left out: the time was spent."
_NATURAL_SHARE = 0.7  # of the time, where there are adversarial steps as well


def analyse_robustness(subject: Subject, budget: Budget) -> RobustnessFindings:
    """Returns how the metric falls under disturbances of the sample's rows.

    All numbers are of the same rows. Where the data has no target, agreement with the predictions
    for undisturbed rows is measured.

    Raises:
        NotApplicableError: The model takes nothing that can be disturbed.
        UnusableModelError: It gives no numbers, or takes none of the disturbed rows.
    """
    columns = columns_of(subject, budget)
    disturbances = _disturbances(columns)
    if not disturbances:
        raise NotApplicableError("The model takes no columns that can be disturbed.")
    cost = cost_of(subject, budget)
    natural = budget.share(_NATURAL_SHARE if sizes_of(columns) else 1.0)
    plan = planned(subject, columns, disturbances, natural, cost)
    baseline = baseline_of(subject, plan.rows)
    work = _Work(subject, baseline, plan, natural)
    curves = work.curves()
    if not curves:
        raise UnusableModelError(" ".join(work.notes) or "The model takes no disturbed rows.")
    single = work.single()
    attacks = _attacks(subject, columns, baseline, budget, cost)
    done = {each.kind for each in curves}
    return RobustnessFindings(
        metric=baseline.scorer.metric,
        is_agreement=baseline.is_agreement,
        rows=baseline.count,
        score=baseline.score,
        guess=baseline.guess,
        curves=tuple(sorted(curves, key=lambda each: each.rank)),
        columns=tuple(sorted(single, key=lambda each: -each.worst.points[0].fall.value)),
        attacks=attacks.found,
        strips=_strips(subject, columns, baseline, plan, done, attacks),
        notes=(*_told(baseline), *columns.notes, *plan.notes, *work.notes, *attacks.notes),
    )


class _Work:
    """Works on a plan; what the model cannot take, and what there is no time for, is noted."""

    def __init__(self, subject: Subject, baseline: Baseline, plan: Plan, budget: Budget) -> None:
        self.notes: list[str] = []
        self._subject, self._baseline = subject, baseline
        self._plan, self._budget = plan, budget
        self._done = 0

    def curves(self) -> list[Curve]:
        """Returns the curves of all columns at once."""
        return self._all(self._plan.disturbances, self._plan.chosen)

    def single(self) -> list[ColumnCurves]:
        """Returns what disturbances of single columns do, at their middle severity."""
        found = []
        for name, own in groupby(self._plan.single, lambda each: each.column):
            curves = self._all(list(own), lambda each: (each.middle,))
            if curves:
                found.append(ColumnCurves(name, tuple(curves)))
        return found

    def _all(
        self,
        disturbances: Sequence[Disturbance],
        severities: Callable[[Disturbance], tuple[float, ...]],
    ) -> list[Curve]:
        curves = []
        for each in disturbances:
            if self._budget.is_spent and self._done:
                self._note(_SPENT)
                break
            wanted = severities(each)
            curve = self._one(each, wanted)
            if curve is not None and self._is_comparable(curve, wanted):
                curves.append(curve)
        return curves

    def _is_comparable(self, curve: Curve, wanted: Sequence[float]) -> bool:
        """Whether a curve has all severities; one without the strong ones would look harmless."""
        if len(curve.points) == len(wanted):
            return True
        self._note(_SPENT)
        return self._done == 1

    def _one(self, disturbance: Disturbance, severities: Sequence[float]) -> Curve | None:
        self._done += 1
        try:
            return curve_of(self._subject, self._baseline, disturbance, severities, self._budget)
        except Exception as error:  # What models of others raise has no common root.
            self._budget.check()  # but where the work as a whole was stopped, this raises
            where = f" in {shortened(disturbance.column)}" if disturbance.column else ""
            why = shortened(str(error), 200).rstrip(".")
            self._note(f"No result for {disturbance.kind.label}{where}: {why}.")
            return None

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _disturbances(columns: Columns) -> list[Disturbance]:
    """Returns disturbances of all columns at once, in order of importance."""
    return [
        *image_disturbances(columns.images),
        *series_disturbances(columns),
        *table_disturbances(columns),
        *text_disturbances(columns.texts),
    ]


def _attacks(
    subject: Subject, columns: Columns, baseline: Baseline, budget: Budget, cost: Cost
) -> Attacks:
    try:
        return attacked(subject, columns, baseline, budget, cost)
    except Exception as error:  # See `_Work._one`.
        budget.check()
        why = shortened(str(error), 200).rstrip(".")
        return Attacks(notes=(f"No result for adversarial steps: {why}.",))


def _told(baseline: Baseline) -> list[str]:
    if not baseline.is_agreement:
        return []
    return [
        "The data has no target: what is measured is how far the model still predicts what it "
        "predicts for the undisturbed rows."
    ]


def _strips(
    subject: Subject,
    columns: Columns,
    baseline: Baseline,
    plan: Plan,
    done: Collection[str],
    attacks: Attacks,
) -> tuple[Strip, ...]:
    if not columns.images:
        return ()
    image = columns.images[0]
    strips = strips_of(subject, baseline, plan, done, image)
    if attacks.example is not None:
        unit = attacks.found[0].curve.unit
        sizes, rows = attacks.sizes, attacks.example
        strips.append(strip_of(subject, AttackKind.FGSM, unit, sizes, rows, image))
    return tuple(strips)
