"""Where a network's weights come from and whom it learns from, against what it is to become."""

from dataclasses import dataclass

from common.models.preprocessing import Preprocessing
from common.networks.specification import NetworkSpecification
from services.trainer.domain.forecasts.specification import Forecast
from services.trainer.domain.goals import Goal
from services.trainer.domain.specification import TrainingSpecification, refused

PARENT = "parent_model_version"
TEACHER = "distillation.teacher_model_version"
_MOST_NAMES = 20


@dataclass(frozen=True)
class TrainedNetwork:
    """A model version that the trainer made.

    Attributes:
        name: Resource name with the version's number.
        network: Its network.
        preprocessing: Its preprocessing.
    """

    name: str
    network: NetworkSpecification
    preprocessing: Preprocessing


def check_origins(
    resolved: TrainingSpecification,
    goal: Goal,
    parent: TrainedNetwork | None,
    teacher: TrainedNetwork | None,
) -> None:
    """Checks that a run can start from its parent, and learn from its teacher.

    Args:
        resolved: The run's specification, all else resolved.
        goal: What it predicts.
        parent: Whose weights it starts from; None for nobody.
        teacher: Whom it learns from; None for nobody.

    Raises:
        InvalidFieldError: Names the field and the cure.
    """
    if parent is not None:
        _check_network(resolved, parent)
        _check_data(resolved, goal, parent, PARENT)
    if teacher is not None:
        _check_ends(resolved, teacher, TEACHER)
        _check_data(resolved, goal, teacher, TEACHER)
    if parent is not None and teacher is not None:
        _check_preprocessing(parent, teacher)


def _check_network(resolved: TrainingSpecification, parent: TrainedNetwork) -> None:
    if resolved.starting_weights is not None:
        _check_ends(resolved, parent, PARENT)
    elif resolved.network != parent.network:
        raise refused(
            PARENT,
            f"The network of {parent.name} is another one (kind, widths, inputs or outputs differ);"
            " give its `network` and `features`, or another parent.",
        )


def _check_ends(resolved: TrainingSpecification, trained: TrainedNetwork, field: str) -> None:
    network = resolved.network
    assert network is not None
    if (network.input, network.outputs) != (trained.network.input, trained.network.outputs):
        raise refused(
            field,
            f"The network of {trained.name} has other inputs or outputs; give its `features` and "
            "`target`, or another version.",
        )


def _check_data(
    resolved: TrainingSpecification, goal: Goal, trained: TrainedNetwork, field: str
) -> None:
    expected = trained.preprocessing
    if sorted(resolved.features) != sorted(expected.features):
        names = ", ".join(expected.features[:_MOST_NAMES])
        raise refused(field, f"{trained.name} was trained on the features {names}.")
    if resolved.task != expected.target.task:
        raise refused(field, f"{trained.name} does {expected.target.task}, not {resolved.task}.")
    series, forecast = expected.series, resolved.forecast
    if series is not None and forecast is not None and series.season != forecast.season:
        raise refused(
            field, f"{trained.name} goes on from a season of {series.season}; set it in `forecast`."
        )
    if series is not None and forecast is not None:
        _check_covariates(forecast, trained, field)
    unknown = sorted(set(goal.classes) - set(expected.target.classes))
    if unknown:
        raise refused(field, f"{trained.name} does not know the class `{unknown[0]}`.")
    if goal.task == "multi_label" and goal.classes != expected.target.classes:
        names = ", ".join(expected.target.classes[:_MOST_NAMES])
        raise refused(field, f"{trained.name} was trained on the targets {names}, in this order.")


def _check_covariates(forecast: Forecast, trained: TrainedNetwork, field: str) -> None:
    series = trained.preprocessing.series
    assert series is not None
    for name, columns in (("past_columns", series.past), ("known_columns", series.known)):
        expected = tuple(column.name for column in columns)
        if getattr(forecast, name) != expected:
            told = ", ".join(expected[:_MOST_NAMES]) or "none"
            raise refused(
                field, f"{trained.name} was trained with the `{name}` {told}; give these."
            )


def _check_preprocessing(parent: TrainedNetwork, teacher: TrainedNetwork) -> None:
    """The teacher must see what the network sees, scaled alike."""
    if teacher.preprocessing != parent.preprocessing:
        raise refused(
            TEACHER,
            f"{teacher.name} was trained with another preprocessing than {parent.name}, which the "
            "run keeps; name the parent itself or a version that was trained from it.",
        )
