"""What a run will need, from its specification and what earlier runs have taken."""

import math
from dataclasses import dataclass

from common.data.schema import SplitCounts
from common.networks.cost import network_cost
from common.networks.kinds.costs import NOTHING, NetworkCost
from common.networks.specification import NetworkSpecification
from common.scoring.outlier_uses import USES
from services.trainer.domain.augmentation.cost import augmentation_seconds
from services.trainer.domain.precision import processor_precision
from services.trainer.domain.specification import TrainingSpecification


@dataclass(frozen=True)
class _Rates:
    """Seconds of one core.

    Attributes:
        step: Of a step, whatever the network.
        layer: Of a layer there and back, however few the rows.
        multiplication: Of a multiply-add there and back.
        activation: Of a number kept for the backward pass.
    """

    step: float
    layer: float
    multiplication: float
    activation: float


# Fitted to the steps of networks of all kinds on one core of a Zen 4 server; what other machines
# differ by is learned from runs, see `calibration` and services/trainer/TRAINING.md.
_RATES = {
    "fp32": _Rates(5.4e-4, 6.4e-5, 6.5e-11, 1.3e-9),
    "bf16": _Rates(3.3e-4, 2.8e-4, 2.8e-11, 1.0e-9),
    "fp16": _Rates(5.4e-4, 6.4e-5, 1.4e-9, 1.3e-9),
}
_FORWARD = _Rates(6.4e-4, 0.0, 2.2e-11, 4.6e-10)
_UPDATE_SECONDS = 2e-9  # of a parameter
# Of a step of several workers, and of each parameter: by Horovod, and in memory that they share.
_BY_HOROVOD = (3e-3, 3e-9)
_IN_MEMORY = (2e-4, 0.9e-9)
_PIECE_SECONDS = 0.0003
_PROCESS_BYTES = 525_000_000  # with the libraries that workers share
_RESIDENT_BYTES = 512 * 1024**2
# Of the numbers kept for the backward pass: with their gradients, and with those of one pass alone.
_TRAINING_COPIES = {"fp32": 1.5, "bf16": 1.0, "fp16": 1.0}
_FORWARD_COPIES = 0.5
_COPIES = 7  # of the parameters: gradients, optimizer, best weights and more
_EVALUATION_ROWS = 1_024
_EVALUATION_ACTIVATIONS = 2**27


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to need.

    Attributes:
        seconds: From the first step to the last.
        worker_memory_bytes: Memory of one worker.
        slots: Worker slots it will use when they are free.
        steps: Optimiser steps without early stopping.
        proof_steps: Of these, steps of the models that uses of an outlier scan are compared by.
        calibration: What the duration was multiplied by.
    """

    seconds: float
    worker_memory_bytes: int
    slots: int
    steps: int
    proof_steps: int = 0
    calibration: float = 1.0


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Returns the optimiser steps that see every row once."""
    return -(-rows // batch_size)


def steps_per_trial(specification: TrainingSpecification, smallest_fold: int, rows: int) -> int:
    """Returns the most optimiser steps of a trial, a model that uses of a scan are compared by.

    Args:
        specification: Resolved against the data.
        smallest_fold: Rows that every fold holds out at least.
        rows: Training rows.
    """
    proof = specification.proof
    if proof is None:
        return 0
    assert proof.epochs is not None
    return proof.epochs * steps_per_epoch(rows - smallest_fold, specification.batch_size)


def trial_count(specification: TrainingSpecification) -> int:
    """Returns how many trials come before the training itself."""
    proof = specification.proof
    return 0 if proof is None else len(USES) * proof.folds


def evaluation_rows(specification: TrainingSpecification) -> int:
    """Returns the rows of one forward pass in validation: fewer where each needs much memory."""
    assert specification.network is not None
    activations = network_cost(specification.network).activations
    return max(1, min(_EVALUATION_ROWS, _EVALUATION_ACTIVATIONS // activations))


def estimate(
    specification: TrainingSpecification,
    counts: SplitCounts,
    teacher: NetworkSpecification | None = None,
    calibration: float = 1.0,
) -> Estimate:
    """Estimates a resolved specification.

    Args:
        specification: Resolved against the data.
        counts: Rows of each part of the split.
        teacher: The teacher's network; None where there is none.
        calibration: How much longer runs take than is expected of them.

    Returns:
        Time, memory, slots and steps.
    """
    assert specification.network is not None
    assert specification.workers.wanted is not None
    cost = network_cost(specification.network)
    taught = NOTHING if teacher is None else network_cost(teacher)
    per_epoch = steps_per_epoch(counts.train, specification.batch_size)
    workers = specification.workers.wanted
    evaluated = -(-counts.validation // workers)
    seconds = per_epoch * _step_seconds(specification, cost, taught, counts.train)
    if evaluated:
        seconds += _forward_seconds(cost, evaluated)
    proof_steps = _proof_steps(specification, counts.train)
    passes = specification.epochs + proof_steps / per_epoch
    return Estimate(
        seconds=min(calibration * passes * seconds, specification.max_duration or math.inf),
        worker_memory_bytes=_memory_bytes(specification, cost, taught, counts),
        slots=workers,
        steps=proof_steps + specification.epochs * per_epoch,
        proof_steps=proof_steps,
        calibration=calibration,
    )


def _memory_bytes(
    specification: TrainingSpecification,
    cost: NetworkCost,
    taught: NetworkCost,
    counts: SplitCounts,
) -> int:
    network, pieces = specification.network, specification.optimizer.accumulation_steps
    assert network is not None
    kind = processor_precision(specification.precision, network)
    batch = min(specification.batch_size, counts.train)
    rows = -(-batch // (specification.workers.min * pieces))
    evaluated = min(evaluation_rows(specification), counts.validation)
    training = _TRAINING_COPIES[kind] * cost.activations + _FORWARD_COPIES * taught.activations
    activations = max(training * rows, _FORWARD_COPIES * cost.activations * evaluated)
    # An average, and the weights that are put aside while it is validated.
    copies = _COPIES + (0 if specification.optimizer.ema_decay is None else 2)
    row_bytes = 4 * network.input.numeric_columns + 8 * len(network.input.category_sizes)
    data = min(row_bytes * (counts.train + counts.validation + counts.test), _RESIDENT_BYTES)
    numbers = copies * cost.parameters + taught.parameters + activations
    return _PROCESS_BYTES + data + round(4 * numbers)


def _proof_steps(specification: TrainingSpecification, rows: int) -> int:
    if specification.proof is None:
        return 0
    fold = rows // specification.proof.folds
    return trial_count(specification) * steps_per_trial(specification, fold, rows)


def _step_seconds(
    specification: TrainingSpecification, cost: NetworkCost, taught: NetworkCost, rows: int
) -> float:
    """Returns what a step takes: of the network there and back, of its teacher there only."""
    network, workers = specification.network, specification.workers.wanted
    assert network is not None and workers is not None
    rates = _RATES[processor_precision(specification.precision, network)]
    mine = -(-min(specification.batch_size, rows) // workers)
    seconds = _pass_seconds(rates, cost, mine) + _UPDATE_SECONDS * cost.parameters
    if taught is not NOTHING:
        seconds += _forward_seconds(taught, mine)
    if workers > 1:
        # Whether they will be on one host is not known; runs teach it where they are not.
        is_near = specification.communication.may_share_memory
        collective, exchange = _IN_MEMORY if is_near else _BY_HOROVOD
        seconds += collective + exchange * cost.parameters
    seconds += augmentation_seconds(specification.augmentation, network.input, mine)
    return seconds + (specification.optimizer.accumulation_steps - 1) * _PIECE_SECONDS


def _forward_seconds(cost: NetworkCost, rows: int) -> float:
    return _pass_seconds(_FORWARD, cost, rows)


def _pass_seconds(rates: _Rates, cost: NetworkCost, rows: int) -> float:
    per_row = rates.multiplication * cost.multiplications + rates.activation * cost.activations
    return rates.step + rates.layer * cost.layers + rows * per_row
