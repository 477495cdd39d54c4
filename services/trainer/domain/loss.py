"""What a network is trained to make small: ranges, defaults and what goes with what."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from common.errors import InvalidFieldError
from common.models.preprocessing import Task
from common.networks.specification import Specification

DEFAULT_HUBER_DELTA = 1.0
_MOST_NAMES = 20

RegressionLoss = Literal["squared", "absolute", "huber"]
Weight = Annotated[float, Field(gt=0, le=1_000_000)]
Cost = Annotated[float, Field(ge=-1e12, le=1e12)]
Problem = tuple[str, str]
"""Name of a field within its message, and what is wrong with it."""


class CostRow(Specification):
    """What it costs to decide for each class where one is true; nothing where it is left out."""

    truth: str = ""
    costs: dict[str, Cost] = Field(default_factory=dict)


class CostMatrix(Specification):
    """What decisions cost."""

    rows: tuple[CostRow, ...] = ()


class Loss(Specification):
    """A `LossSpec`."""

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: dict[str, Weight] = Field(default_factory=dict)
    class_weighting: Literal["balanced"] | None = None
    focal_gamma: float = Field(0.0, ge=0, le=10)
    cost_matrix: CostMatrix | None = None
    balanced_sampling: bool = False
    regression: RegressionLoss | None = None
    huber_delta: float | None = Field(None, gt=0, le=1_000)

    @property
    def chosen(self) -> frozenset[str]:
        """Names of the fields that say something."""
        return frozenset(
            name
            for name, field in type(self).model_fields.items()
            if getattr(self, name) != field.get_default(call_default_factory=True)
        )


_OF_VALUES = frozenset({"regression", "huber_delta"})
_OF_ONE_CLASS = frozenset({"cost_matrix", "balanced_sampling"})
_NOT_TOGETHER = (
    ("focal_gamma", "label_smoothing", "the focal factor goes by the probability of a sure class"),
    ("cost_matrix", "label_smoothing", "the costs say what the other classes are worth"),
    ("cost_matrix", "focal_gamma", "the costs say what a row is worth"),
    ("cost_matrix", "class_weights", "the costs say what a class is worth"),
    ("cost_matrix", "class_weighting", "the costs say what a class is worth"),
    ("cost_matrix", "balanced_sampling", "the costs say what a class is worth"),
    ("balanced_sampling", "class_weighting", "both balance classes"),
)


def loss_problems(loss: Loss | None) -> Iterator[Problem]:
    """Yields what is wrong whatever the data."""
    if loss is None:
        return
    for name, other, why in _NOT_TOGETHER:
        if {name, other} <= loss.chosen:
            yield f"loss.{name}", f"Not with `{other}`: {why}; leave one of the two out."
    if loss.huber_delta is not None and loss.regression != "huber":
        yield "loss.huber_delta", "Only HUBER has a delta; leave it out or set `regression`."


def resolved_loss(loss: Loss | None, task: Task, field: str) -> Loss | None:
    """Fills in the defaults of a loss.

    Args:
        loss: What the caller asked for.
        task: The run's.
        field: Path of the loss in the request.

    Returns:
        None for the plain loss of the task, however it was asked for.

    Raises:
        InvalidFieldError: It is one of another task.
    """
    if loss is None:
        return None
    wrong = _foreign(loss, task)
    if wrong:
        named = task.replace("_", "-")
        raise InvalidFieldError(
            f"{field}.{min(wrong)}", f"Is nothing that {named} has; leave it out."
        )
    if loss.regression == "huber":
        delta = loss.huber_delta or DEFAULT_HUBER_DELTA
        return loss.model_copy(update={"huber_delta": delta})
    plain = "absolute" if task == "forecasting" else "squared"
    return loss if loss.chosen and loss.regression != plain else None


def _foreign(loss: Loss, task: Task) -> frozenset[str]:
    """Returns what a loss says that the task has not."""
    if task in ("regression", "forecasting"):
        return loss.chosen - _OF_VALUES
    return loss.chosen & (_OF_VALUES | (_OF_ONE_CLASS if task == "multi_label" else frozenset()))


def check_labels(loss: Loss, classes: Sequence[str], field: str) -> None:
    """Checks the classes that a loss names.

    Args:
        loss: The loss.
        classes: Labels of all classes.
        field: Path of the loss in the request.

    Raises:
        InvalidFieldError: Names a class that is unknown, missing or there twice.
    """
    _check_known(loss.class_weights, classes, f"{field}.class_weights")
    if loss.cost_matrix is None:
        return
    rows = loss.cost_matrix.rows
    path = f"{field}.cost_matrix.rows"
    truths = [row.truth for row in rows]
    for index, row in enumerate(rows):
        _check_known([row.truth], classes, f"{path}[{index}].truth")
        _check_known(row.costs, classes, f"{path}[{index}].costs")
        if row.truth in truths[:index]:
            raise InvalidFieldError(
                f"{path}[{index}].truth", f"`{row.truth}` has a row already; leave one out."
            )
    missing = [name for name in classes if name not in truths]
    if missing:
        raise InvalidFieldError(path, f"The class `{missing[0]}` has no row; give one for each.")
    if all(len({row.costs.get(name, 0.0) for name in classes}) == 1 for row in rows):
        text = "All decisions cost the same; give wrong ones a higher cost than right ones."
        raise InvalidFieldError(path, text)


def _check_known(names: Iterable[str], classes: Sequence[str], path: str) -> None:
    unknown = [name for name in names if name not in classes]
    if unknown:
        known = ", ".join(f"`{name}`" for name in classes[:_MOST_NAMES])
        raise InvalidFieldError(
            path, f"The target has no class `{unknown[0]}`; its classes are {known}."
        )
