"""What a run will need, from its specification alone: a guess within a small factor."""

import math
from dataclasses import dataclass

from common.data.schema import SplitCounts
from common.networks.cost import network_cost
from common.networks.kinds.costs import NOTHING, NetworkCost
from common.networks.specification import NetworkSpecification
from services.trainer.domain.specification import USES, TrainingSpecification

# Measured on one core of a 2024 server (AVX-512), small networks; see services/trainer/README.md.
_FLOPS = 4e10
_MEMORY_BYTES_PER_SECOND = 4e9
_STEP_SECONDS = 0.001
_PIECE_SECONDS = 0.0003
_COLLECTIVE_SECONDS = 0.003
_PROCESS_BYTES = 350_000_000
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
    """

    seconds: float
    worker_memory_bytes: int
    slots: int
    steps: int
    proof_steps: int = 0


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
) -> Estimate:
    """Estimates a resolved specification.

    Args:
        specification: Resolved against the data.
        counts: Rows of each part of the split.
        teacher: The teacher's network; None where there is none.

    Returns:
        Time, memory, slots and steps.
    """
    assert specification.network is not None
    assert specification.workers.wanted is not None
    cost = network_cost(specification.network)
    workers = specification.workers.wanted
    per_epoch = steps_per_epoch(counts.train, specification.batch_size)
    batch = min(specification.batch_size, counts.train)
    taught = NOTHING if teacher is None else network_cost(teacher)
    pieces = specification.optimizer.accumulation_steps
    training = per_epoch * (
        _step_seconds(cost, taught, batch, workers) + (pieces - 1) * _PIECE_SECONDS
    )
    validation = 2 * cost.multiplications * counts.validation / workers / _FLOPS
    proof_steps = _proof_steps(specification, counts.train)
    passes = specification.epochs + proof_steps / per_epoch
    evaluated = min(evaluation_rows(specification), counts.validation)
    rows = max(-(-batch // (specification.workers.min * pieces)), evaluated)
    # An average, and the weights that are put aside while it is validated.
    copies = _COPIES + (0 if specification.optimizer.ema_decay is None else 2)
    return Estimate(
        seconds=min(passes * (training + validation), specification.max_duration or math.inf),
        worker_memory_bytes=_PROCESS_BYTES
        + 4 * (copies * cost.parameters + 2 * cost.activations * rows)
        + 4 * (taught.parameters + taught.activations * rows),
        slots=workers,
        steps=proof_steps + specification.epochs * per_epoch,
        proof_steps=proof_steps,
    )


def _proof_steps(specification: TrainingSpecification, rows: int) -> int:
    if specification.proof is None:
        return 0
    fold = rows // specification.proof.folds
    return trial_count(specification) * steps_per_trial(specification, fold, rows)


def _step_seconds(cost: NetworkCost, taught: NetworkCost, batch: int, workers: int) -> float:
    """Returns what a step takes: of the network there and back, of its teacher there only."""
    work = 6 * cost.multiplications + 2 * taught.multiplications
    compute = work * -(-batch // workers) / _FLOPS
    update = 9 * 4 * cost.parameters / _MEMORY_BYTES_PER_SECOND
    exchange = 0.0
    if workers > 1:
        exchange = _COLLECTIVE_SECONDS + 4 * 4 * cost.parameters / _MEMORY_BYTES_PER_SECOND
    return _STEP_SECONDS + compute + update + exchange
