"""What the process that opens another model is told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Order:
    """What is asked.

    Attributes:
        outputs: Classes or labels in the order that is wanted; of a regression its target.
        kind: Kind of the problem.
        are_decisions: Whether the metric looks at decisions: then the model's own count.
        memory_bytes: What the process may hold.
        seconds: Of a processor, how many the process may take: nobody else may be left to end it.
    """

    outputs: tuple[str, ...]
    kind: str
    are_decisions: bool
    memory_bytes: int
    seconds: float
