"""What a run's steps took: counted by every worker, kept in commits, reported at the end."""

from dataclasses import dataclass

import torch

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from services.trainer.worker.arithmetic import Arithmetic
from services.trainer.worker.memory import peak_resident_bytes
from services.trainer.worker.reduction.reducer import Transport

WARMING_STEPS = 5
"""First steps of a world, in which memory is taken and kernels are chosen: no steady ones."""


@dataclass
class Performance:
    """Times of a run, all its worlds together; of steps that were done again only once.

    Attributes:
        rows: Rows of the steady steps, over all workers.
        steady_seconds: Time of these steps.
        worker_seconds: The same, times the workers.
        wait_seconds: Of it, waiting for the sum over workers.
        commit_seconds: Time that commits held up the steps.
        seconds: Time of all steps, validation and commits included.
    """

    rows: int = 0
    steady_seconds: float = 0.0
    worker_seconds: float = 0.0
    wait_seconds: float = 0.0
    commit_seconds: float = 0.0
    seconds: float = 0.0

    def note_step(self, rows: int, seconds: float, waited: float, workers: int) -> None:
        """Counts a steady step."""
        self.rows += rows
        self.steady_seconds += seconds
        self.worker_seconds += workers * seconds
        self.wait_seconds += waited


def performance_message(
    performance: Performance, arithmetic: Arithmetic, transport: Transport, began_bytes: int
) -> agents_pb2.WorkerPerformance:
    """Returns what a worker says at its end.

    Args:
        performance: What was counted.
        arithmetic: How it computed.
        transport: What its sums went by.
        began_bytes: Memory of the process when it began.
    """
    device = arithmetic.device
    on_device = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    peak = peak_resident_bytes()
    return agents_pb2.WorkerPerformance(
        precision=trainer_pb2.Precision.Value(f"PRECISION_{arithmetic.kind.upper()}"),
        skipped_steps=arithmetic.skipped_steps,
        rows=performance.rows,
        steady_seconds=performance.steady_seconds,
        worker_seconds=performance.worker_seconds,
        wait_seconds=performance.wait_seconds,
        commit_seconds=performance.commit_seconds,
        seconds=performance.seconds,
        memory_bytes=peak,
        own_memory_bytes=peak - began_bytes,
        device_memory_bytes=on_device,
        transport=trainer_pb2.Transport.Value(f"TRANSPORT_{transport.upper()}"),
    )
