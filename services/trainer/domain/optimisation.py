"""How weights are learned: ranges and defaults of optimizer, schedule and early stopping."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from common.networks.specification import Specification
from services.trainer.domain.loss import Problem

DEFAULT_LEARNING_RATES = {"adam": 0.001, "adamw": 0.001, "sgd": 0.01}
QUICK_KINDS, QUICK_LEARNING_RATE = ("linear", "embedding_bag"), 0.01
ADAMW_WEIGHT_DECAY = 0.01
SGD_MOMENTUM = 0.9
ADAM_BETAS = (0.9, 0.999)
DEFAULT_PLATEAU_PATIENCE = 10


class Optimizer(Specification):
    """How weights are updated."""

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float | None = Field(None, gt=0, le=100, allow_inf_nan=False)
    weight_decay: float | None = Field(None, ge=0, le=1)
    momentum: float | None = Field(None, ge=0, lt=1)
    clip_norm: float | None = Field(None, gt=0, allow_inf_nan=False)
    nesterov: bool = False
    beta1: float | None = Field(None, ge=0, lt=1)
    beta2: float | None = Field(None, ge=0, lt=1)
    ema_decay: float | None = Field(None, ge=0, lt=1)
    accumulation_steps: int = Field(1, ge=1, le=65_536)

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's; records from before there was a choice have none."""
        first, second = ADAM_BETAS
        return (
            first if self.beta1 is None else self.beta1,
            second if self.beta2 is None else self.beta2,
        )


class Warmup(Specification):
    """Linear rise of the learning rate in the first epochs."""

    epochs: float = Field(gt=0, le=100_000, allow_inf_nan=False)
    scale_with_workers: bool = True


class ReduceOnPlateau(Specification):
    """Fall of the learning rate when the monitored metric stops improving."""

    factor: float = Field(0.1, gt=0, lt=1)
    patience: int | None = Field(None, ge=0, le=10_000)
    min_learning_rate: float = Field(0.0, ge=0, allow_inf_nan=False)


class OneCycle(Specification):
    """Rise to the learning rate and fall far below where it began, over the whole run."""

    rise_share: float = Field(0.3, gt=0, lt=1)
    start_divisor: float = Field(25.0, ge=1, le=1e6)
    final_divisor: float = Field(10_000.0, ge=1, le=1e12)


class Schedule(Specification):
    """How the learning rate changes."""

    warmup: Warmup | None = None
    reduce_on_plateau: ReduceOnPlateau | None = None
    cosine_decay: bool = False
    one_cycle: OneCycle | None = None


class EarlyStopping(Specification):
    """End of the run when the monitored metric stops improving."""

    patience: int = Field(5, ge=0, le=10_000)
    min_delta: float = Field(0.0, ge=0, allow_inf_nan=False)


def resolved_optimizer(optimizer: Optimizer, network_kind: str) -> Optimizer:
    """Fills in the defaults that depend on the algorithm and the network.

    A linear network gets ten times the usual rate of Adam: its problem is convex and its inputs
    are standardised, so that short steps only take longer. So does a mean of embedded tokens, each
    of which is in few rows only.
    """
    rate = DEFAULT_LEARNING_RATES[optimizer.kind]
    if network_kind in QUICK_KINDS:
        rate = QUICK_LEARNING_RATE
    defaults: dict[str, float] = {
        "learning_rate": rate,
        "weight_decay": ADAMW_WEIGHT_DECAY if optimizer.kind == "adamw" else 0.0,
    }
    if optimizer.kind == "sgd":
        defaults["momentum"] = SGD_MOMENTUM
    else:
        defaults |= zip(("beta1", "beta2"), ADAM_BETAS, strict=True)
    missing = {name: value for name, value in defaults.items() if getattr(optimizer, name) is None}
    return optimizer.model_copy(update=missing)


def resolved_schedule(schedule: Schedule, early_stopping: EarlyStopping | None) -> Schedule:
    """Fills in the patience of reduce-on-plateau.

    With early stopping it is half of that patience: with its own default of 10 the run would
    have ended before the rate ever falls.
    """
    plateau = schedule.reduce_on_plateau
    if plateau is None or plateau.patience is not None:
        return schedule
    patience = DEFAULT_PLATEAU_PATIENCE
    if early_stopping is not None:
        patience = min(patience, early_stopping.patience // 2)
    filled = plateau.model_copy(update={"patience": patience})
    return schedule.model_copy(update={"reduce_on_plateau": filled})


def optimizer_problems(optimizer: Optimizer) -> Iterator[Problem]:
    """Yields what is wrong about the optimizer whatever the data."""
    if optimizer.momentum is not None and optimizer.kind != "sgd":
        text = f"Only SGD has a momentum, not {optimizer.kind}; leave it out or use SGD."
        yield "optimizer.momentum", text
    if optimizer.nesterov and (optimizer.kind != "sgd" or optimizer.momentum == 0):
        yield "optimizer.nesterov", "Is a kind of momentum; use SGD with one, or leave it out."
    for name in ("beta1", "beta2"):
        if getattr(optimizer, name) is not None and optimizer.kind == "sgd":
            yield f"optimizer.{name}", "SGD has none; leave it out, or use ADAM or ADAMW."


def schedule_problems(schedule: Schedule) -> Iterator[Problem]:
    """Yields what is wrong about the schedule whatever the data."""
    if schedule.cosine_decay and schedule.reduce_on_plateau is not None:
        text = "The rate falls either as a cosine or on a plateau; leave one of the two out."
        yield "schedule.cosine_decay", text
    if schedule.one_cycle is None:
        return
    for name in ("warmup", "reduce_on_plateau", "cosine_decay"):
        if getattr(schedule, name):
            text = f"Not with `{name}`: it rises and falls by itself; leave one of the two out."
            yield "schedule.one_cycle", text
