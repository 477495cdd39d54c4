"""Small steps that are chosen to hurt."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from common.data.rows import RawRows, concatenated
from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.metrics import Metric, RowScores, Scorer
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.robustness.columns import Columns
from services.analyzer.domain.robustness.findings import Attack, AttackKind, Curve, Point
from services.analyzer.domain.robustness.gradients import Gradients
from services.analyzer.domain.robustness.plan import Cost
from services.analyzer.domain.robustness.room import Room, Steps, room_of, sizes_of
from services.analyzer.domain.robustness.scoring import Baseline
from services.analyzer.domain.subject import Subject

_MOST_ROWS = 1000
_ENOUGH_ROWS = 50
_LEAST_ROWS = 20
_GRADIENT = 3  # forwards that a gradient takes as long as
_PROJECTIONS = (0, 3, 5)
_SEARCHES = (2, 5, 10)
_FEWER_SIZES = slice(0, None, 2)
_NOT_PROJECTED = "Projected gradient descent was left out, to keep to the time given."

StepsOf = Callable[[float], dict[str, Steps]]
"""A size of step in, steps by input out."""


@dataclass(frozen=True)
class Attacks:
    """What small steps did.

    Attributes:
        found: By kind.
        example: One image before the steps and after steps along its gradient, mildest first.
        sizes: Of these steps; 0 for none.
        notes: What stood in, and what was cut short.
    """

    found: tuple[Attack, ...] = ()
    example: RawRows | None = None
    sizes: tuple[float, ...] = ()
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Effort:
    """How much is done: sizes of steps, and repeats (of steps, or of random directions)."""

    sizes: tuple[float, ...]
    repeats: int


def attacked(
    subject: Subject, columns: Columns, baseline: Baseline, budget: Budget, cost: Cost
) -> Attacks:
    """Returns what small steps of the model's images or numbers do.

    Args:
        subject: What is analysed.
        columns: Of the model.
        baseline: The rows; so many as there is time for are attacked, spread evenly.
        budget: For all of it.
        cost: What predictions take.
    """
    sizes = sizes_of(columns)
    if not sizes:
        return Attacks()
    has_gradients = isinstance(subject.model, TorchPackage)
    seconds = cost.of(min(_ENOUGH_ROWS, baseline.count))
    effort = _effort(sizes, has_gradients, budget, seconds)
    if effort is None:
        return Attacks(notes=("Adversarial steps were left out, to keep to the time given.",))
    evaluations = _evaluations(effort, has_gradients)
    own = baseline.first(cost.rows(budget, evaluations, _MOST_ROWS, _LEAST_ROWS))
    room = room_of(subject, columns, own.raw)
    work = _by_gradients if has_gradients else _by_search
    found = work(subject, own, room, effort, budget)
    if len(effort.sizes) == len(sizes):
        return found
    note = "Three sizes of adversarial steps stand for five, to keep to the time given."
    return replace(found, notes=(*found.notes, note))


def _effort(
    sizes: tuple[float, ...], has_gradients: bool, budget: Budget, seconds: float
) -> _Effort | None:
    """Returns the largest effort that there is time for; None if even the least takes too long."""
    repeats = _PROJECTIONS if has_gradients else _SEARCHES
    for some in (sizes, sizes[_FEWER_SIZES]):
        for repeat in reversed(repeats):
            effort = _Effort(some, repeat)
            if seconds * _evaluations(effort, has_gradients) <= budget.left:
                return effort
    return None


def _evaluations(effort: _Effort, has_gradients: bool) -> int:
    """Returns how many predictions a row takes."""
    count = len(effort.sizes)
    if not has_gradients:
        return count * effort.repeats
    projected = count * (effort.repeats * _GRADIENT + 1) if effort.repeats else 0
    return _GRADIENT + 2 * count + projected


def _by_gradients(
    subject: Subject, baseline: Baseline, room: Room, effort: _Effort, budget: Budget
) -> Attacks:
    assert isinstance(subject.model, TorchPackage)
    seed = subject.settings.seed
    gradients = Gradients(subject.model, baseline, room, budget.check)
    signs = gradients.signs()

    def fast(size: float) -> dict[str, Steps]:
        return gradients.fast(signs, size)

    def projected(size: float) -> dict[str, Steps]:
        return gradients.projected(size, effort.repeats, seed)

    def at_random(size: float) -> dict[str, Steps]:
        return random_steps(room, size, seed, 0)

    kinds = [(AttackKind.FGSM, fast), (AttackKind.RANDOM_SIGN, at_random)]
    kinds += [(AttackKind.PGD, projected)] if effort.repeats else []
    found = list[Attack]()
    for kind, steps_of in kinds:
        if budget.is_spent and found:
            break
        scores = _scores_of(subject, baseline, room, steps_of)
        found.append(_attack(kind, baseline, room, effort, scores, budget))
    example = _example(subject, baseline, room, effort, fast) if room.is_image else None
    notes = () if found[-1].curve.kind is AttackKind.PGD else (_NOT_PROJECTED,)
    found.sort(key=lambda each: list(AttackKind).index(AttackKind(each.curve.kind)))
    return Attacks(tuple(found), example, (0.0, *effort.sizes), notes)


def _by_search(
    subject: Subject, baseline: Baseline, room: Room, effort: _Effort, budget: Budget
) -> Attacks:
    def scores(size: float) -> RowScores:
        return _worst_scores(subject, baseline, room, size, effort.repeats, budget)

    found = _attack(AttackKind.RANDOM_SEARCH, baseline, room, effort, scores, budget)
    note = (
        f"The model has no gradients: the worst of {effort.repeats} random directions, row by row, "
        "stands for adversarial steps; a real attack would find worse."
    )
    return Attacks((found,), notes=(note,))


def _scores_of(
    subject: Subject, baseline: Baseline, room: Room, steps_of: StepsOf
) -> Callable[[float], RowScores]:
    return lambda size: baseline.rows(subject.predict(room.moved(steps_of(size))))


def _attack(
    kind: AttackKind,
    baseline: Baseline,
    room: Room,
    effort: _Effort,
    scores: Callable[[float], RowScores],
    budget: Budget,
) -> Attack:
    points = list[Point]()
    for size in effort.sizes:
        if points and budget.is_spent:
            break
        points.append(baseline.point(size, scores(size)))
    return Attack(Curve(kind, room.unit, tuple(points)), baseline.count, baseline.score)


def random_steps(room: Room, size: float, seed: int, repeat: int) -> dict[str, Steps]:
    """Returns a step of a size in a random direction, the same at all sizes."""
    generator = np.random.default_rng([seed, repeat])
    steps = {}
    for name in room.units:
        low, high = room.limits(name, size)
        signs = generator.integers(0, 2, low.shape, dtype=np.int8)
        steps[name] = np.where(signs, low, high)
    return steps


def _worst_scores(
    subject: Subject, baseline: Baseline, room: Room, size: float, repeats: int, budget: Budget
) -> RowScores:
    """Returns each row's score after that of several random steps that hurts it most."""
    harm = _harm(subject, baseline)
    worst, scores = harm.rows(baseline.outputs, baseline.positions), baseline.scores
    for repeat in range(repeats):
        budget.check()
        moved = room.moved(random_steps(room, size, subject.settings.seed, repeat))
        outputs = subject.predict(moved)
        own = harm.rows(outputs, baseline.positions)
        is_worse = own < worst
        worst = np.where(is_worse, own, worst)
        scores = np.where(is_worse, baseline.rows(outputs), scores)
    return scores


def _harm(subject: Subject, baseline: Baseline) -> Scorer:
    """Returns what tells which of two outputs is the worse; accuracy does not, in most rows."""
    scorer = baseline.scorer
    if scorer.task is Task.REGRESSION or not subject.model.gives_probabilities:
        return scorer
    return Scorer(Metric.LOG_LOSS, scorer.task, scorer.truth)


def _example(
    subject: Subject, baseline: Baseline, room: Room, effort: _Effort, fast: StepsOf
) -> RawRows:
    """Returns the row that a middle step hurts most, undisturbed and after each step."""
    moved = [room.moved(fast(size)) for size in effort.sizes]
    after = baseline.rows(subject.predict(moved[len(moved) // 2]))
    row = int((baseline.scores - after).argmax())
    chosen = slice(row, row + 1)
    return concatenated([each.take(chosen) for each in (room.raw, *moved)])
