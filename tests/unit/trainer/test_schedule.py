import pytest
import torch

from services.trainer.domain.optimisation import (
    EarlyStopping,
    OneCycle,
    Optimizer,
    ReduceOnPlateau,
    Warmup,
)
from services.trainer.domain.optimisation import Schedule as ScheduleSpecification
from services.trainer.domain.schedule import Progress, Schedule
from services.trainer.domain.specification import TrainingSpecification, WorkerRange


def make(
    warmup: Warmup | None = None,
    plateau: ReduceOnPlateau | None = None,
    stopping: EarlyStopping | None = None,
    **more: object,
) -> Schedule:
    specification = TrainingSpecification(
        optimizer=Optimizer(learning_rate=0.1),
        schedule=ScheduleSpecification(
            warmup=warmup,
            reduce_on_plateau=plateau,
            cosine_decay=bool(more.get("cosine")),
            one_cycle=more.get("cycle"),
        ),
        monitor="none" if more.get("last") else "loss",
        early_stopping=stopping,
        max_duration=more.get("seconds"),
        workers=WorkerRange(min=1, wanted=4, max=4),
    )
    return Schedule(specification, steps_per_epoch=10)


def test_warm_up_rises_step_by_step_to_the_rate_times_the_wanted_workers() -> None:
    """Protects the linear scaling rule: from the rate of one worker to that of all wanted."""
    schedule, progress = make(Warmup(epochs=2)), Progress()
    rates = [schedule.learning_rate(step, progress) for step in (0, 9, 19, 500)]
    assert rates == pytest.approx([0.1 + 0.3 / 20, 0.25, 0.4, 0.4])


def test_warm_up_without_scaling_ends_at_the_rate() -> None:
    """Protects the other choice: from rate / steps to the rate."""
    schedule, progress = make(Warmup(epochs=0.5, scale_with_workers=False)), Progress()
    rates = [schedule.learning_rate(step, progress) for step in (0, 4, 5)]
    assert rates == pytest.approx([0.02, 0.1, 0.1])


def test_the_rate_falls_as_a_cosine_from_where_the_warm_up_ends() -> None:
    """Protects the shape: whole at first, half in the middle, hardly anything at the last step."""
    schedule, progress = make(cosine=True), Progress()
    rates = [schedule.learning_rate(step, progress) for step in (0, 50, 99)]
    assert rates == pytest.approx([0.1, 0.05, 0.1 * 0.000247], rel=1e-2)
    warm = make(Warmup(epochs=2, scale_with_workers=False), cosine=True)
    rates = [warm.learning_rate(step, progress) for step in (0, 19, 20, 60)]
    assert rates == pytest.approx([0.005, 0.1, 0.1, 0.05])


@pytest.mark.parametrize("cycle", [{}, {"rise_share": 0.45, "final_divisor": 7.0}])
def test_one_cycle_is_that_of_torch(cycle: dict[str, float]) -> None:
    """Protects the shape, the peak at the learning rate, and the defaults people know."""
    schedule, progress = make(cycle=OneCycle(**cycle)), Progress()
    found = [schedule.learning_rate(step, progress) for step in range(100)]
    optimizer = torch.optim.SGD([torch.zeros(1)], 0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        0.1,
        total_steps=100,
        pct_start=cycle.get("rise_share", 0.3),
        final_div_factor=cycle.get("final_divisor", 1e4),
    )
    expected = []
    for _ in range(100):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert found == pytest.approx(expected, rel=1e-6)
    assert max(found) == pytest.approx(0.1)


def test_one_cycle_goes_by_the_time_where_that_is_over_sooner() -> None:
    """Protects the last epochs of a bounded training, which need a small rate."""
    schedule, progress = make(cycle=OneCycle(), seconds=10), Progress()
    schedule.note_time(1, 9.9, progress)
    assert schedule.learning_rate(10, progress) < 0.001


def test_one_cycle_of_a_single_step_has_a_rate() -> None:
    """Protects the shortest run from a division by zero."""
    specification = TrainingSpecification(
        optimizer=Optimizer(learning_rate=0.1),
        schedule=ScheduleSpecification(one_cycle=OneCycle()),
        epochs=1,
    )
    assert Schedule(specification, 1).learning_rate(0, Progress()) == pytest.approx(0.1)


def test_no_epoch_is_begun_that_would_be_late() -> None:
    """Protects `max_duration`: of epochs of 3 s ten seconds have room for three."""
    schedule, progress = make(seconds=10), Progress()
    stopped = []
    for epoch in (1, 2, 3):
        schedule.note_time(epoch, 3.0, progress)
        stopped.append(progress.stopped_early)
    assert stopped == [False, False, True]


def test_the_cosine_goes_by_the_time_where_that_is_over_sooner() -> None:
    """Protects the last epochs of a bounded training, which need a small rate."""
    schedule, progress = make(cosine=True, seconds=10), Progress()
    assert schedule.learning_rate(0, progress) == pytest.approx(0.1)
    schedule.note_time(1, 5.0, progress)
    assert schedule.learning_rate(1, progress) == pytest.approx(0.05)
    assert schedule.learning_rate(90, progress) < 0.01


def test_without_a_monitored_metric_the_last_epoch_is_taken() -> None:
    """Protects MONITORED_METRIC_NONE: worse or not."""
    schedule, progress = make(last=True), Progress()
    for epoch, score in enumerate([1.0, 0.5, 2.0], start=1):
        assert schedule.finish_epoch(epoch, score, progress)
    assert progress.best_epoch == 3


def test_the_rate_falls_after_the_tolerated_epochs_and_not_below_its_minimum() -> None:
    """Protects reduce-on-plateau: patience, factor, floor."""
    schedule = make(plateau=ReduceOnPlateau(factor=0.1, patience=1, min_learning_rate=0.005))
    progress = Progress()
    rates = []
    for epoch, score in enumerate([1.0, 1.0, 1.0, 1.0, 1.0, 0.5], start=1):
        schedule.finish_epoch(epoch, score, progress)
        rates.append(schedule.learning_rate(epoch * 10, progress))
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.005, 0.005])


def test_a_hair_of_improvement_is_still_a_plateau() -> None:
    """Protects the fall of the rate from noise in the last digits."""
    schedule, progress = make(plateau=ReduceOnPlateau(patience=0)), Progress()
    schedule.finish_epoch(1, 1.0, progress)
    schedule.finish_epoch(2, 1.0 - 1e-6, progress)
    assert progress.rate_scale == pytest.approx(0.1)


def test_early_stopping_tolerates_so_many_epochs_and_then_stops() -> None:
    """Protects patience: with 2, the third epoch without improvement ends the run."""
    schedule, progress = make(stopping=EarlyStopping(patience=2, min_delta=0.1)), Progress()
    stopped = []
    for epoch, score in enumerate([1.0, 0.95, 0.8, 0.79, 0.75, 0.71], start=1):
        schedule.finish_epoch(epoch, score, progress)
        stopped.append(progress.stopped_early)
    assert stopped == [False] * 5 + [True]


def test_the_best_epoch_is_the_first_with_the_lowest_score() -> None:
    """Protects the choice of weights, which needs no minimal improvement."""
    schedule, progress = make(stopping=EarlyStopping(min_delta=10)), Progress()
    best = [schedule.finish_epoch(i, score, progress) for i, score in enumerate([2.0, 1.9, 1.9], 1)]
    assert best == [True, True, False]
    assert progress.best_epoch == 2
