"""What families of forecasting models share: they learn from panels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from common.models.estimators.forecasting.grid import Floats, Steps
from common.models.estimators.forecasting.history import History
from common.models.estimators.forecasting.member import Member
from services.tuner.domain.families.family import Fitted, Fold, OutOfTimeError, TimeLeft
from services.tuner.domain.forecasting.panel import SERIES, STEP, ForecastProblem, Panel
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.space import Space

_FEW, _PATIENCE = 2, 1.5


@dataclass(frozen=True)
class Lesson:
    """What a member may learn from.

    Attributes:
        panel: What the columns, the grid and the seasons are.
        histories: Of the series that have any rows, each until its end.
        judged: Positions among these of the series that are judged.
        seed: Of all chance.
        check: Raises `OutOfTimeError` where time is over.
        time_left: See `TimeLeft`.
    """

    panel: Panel
    histories: list[History]
    judged: list[int]
    seed: int
    check: Callable[[], None]
    time_left: TimeLeft


@dataclass(frozen=True)
class Trained:
    """A member with what it tells of some series.

    Attributes:
        member: The member.
        series: Positions of the series, ascending.
        ends: Of these the first step that is told.
        forecasts: (series, horizon).
    """

    member: Member
    series: Steps
    ends: Steps
    forecasts: Floats

    def predict(self, features: pd.DataFrame) -> Floats:
        """Returns what is told of rows, (rows,); of those beyond the horizon the last step."""
        places = np.searchsorted(self.series, features[SERIES].to_numpy().astype(np.int64))
        steps = features[STEP].to_numpy().astype(np.int64) - self.ends[places]
        return np.asarray(self.forecasts[places, np.clip(steps, 0, self.forecasts.shape[1] - 1)])


@dataclass(frozen=True)
class ForecastFamily:
    """A family whose members go on with series; see `Family`.

    Attributes:
        name: See `Family.name`.
    """

    name: str

    @property
    def kinds(self) -> frozenset[ProblemKind]:
        """See `Family.kinds`."""
        return frozenset({ProblemKind.REGRESSION})

    @property
    def is_global(self) -> bool:
        """Whether learning takes most of the time, however many series are judged."""
        return False

    def fits(self, problem: Problem) -> str:
        """See `Family.fits`."""
        return "" if isinstance(problem, ForecastProblem) else "It goes on with series only."

    def cost(self, problem: Problem, configuration: Configuration) -> float:
        """See `Family.cost`."""
        del problem, configuration
        return 1.0

    def space(self, problem: Problem) -> Space:
        """See `Family.space`."""
        raise NotImplementedError

    def learned(self, lesson: Lesson, configuration: Configuration) -> Member:
        """Returns a member that has learned.

        Raises:
            OutOfTimeError: Nothing of use was learned in time.
        """
        raise NotImplementedError

    def fit(
        self,
        problem: Problem,
        fold: Fold,
        configuration: Configuration,
        seed: int,
        time_left: TimeLeft,
    ) -> Fitted:
        """See `Family.fit`; what it tells of the watched rows is in the estimator."""
        panel = panel_of(problem)
        ends = _ends(fold.features, panel.series_count)
        known = np.flatnonzero(ends > np.iinfo(np.int64).min)
        judged = _judged(fold, known)

        def check() -> None:
            if time_left() <= 0:
                raise OutOfTimeError("There was no time for all series.")

        histories = [panel.history(int(place), int(ends[place])) for place in known]
        lesson = Lesson(
            panel, histories, np.searchsorted(known, judged).tolist(), seed, check, time_left
        )
        member = self.learned(lesson, configuration)
        told = member.forecast(
            [histories[place] for place in lesson.judged],
            panel.horizon,
            _paced(len(lesson.judged), time_left),
        )
        estimator: Any = Trained(member, judged, ends[judged], told)
        return Fitted(estimator, {})


def panel_of(problem: Problem) -> Panel:
    """Returns the panel of a problem.

    Raises:
        TypeError: It is a table's.
    """
    if not isinstance(problem, ForecastProblem) or problem.panel is None:
        raise TypeError("Forecasts need a panel.")
    return problem.panel


def _paced(series: int, time_left: TimeLeft) -> Callable[[], None]:
    """Returns a check that ends what cannot be done in time soon, not when time is over."""
    start, done = time_left(), 0

    def check() -> None:
        nonlocal done
        left = time_left()
        needed = (start - left) / max(done, 1) * (series - done)
        if left <= 0 or (done >= _FEW and needed > _PATIENCE * left):
            raise OutOfTimeError("There was no time for all series.")
        done += 1

    return check


def _ends(features: pd.DataFrame, count: int) -> Steps:
    ends = np.full(count, np.iinfo(np.int64).min)
    places = features[SERIES].to_numpy().astype(np.int64)
    np.maximum.at(ends, places, features[STEP].to_numpy().astype(np.int64) + 1)
    return ends


def _judged(fold: Fold, known: Steps) -> Steps:
    if fold.watched_features is None:
        return known
    watched = np.unique(fold.watched_features[SERIES].to_numpy().astype(np.int64))
    return np.intersect1d(watched, known)
