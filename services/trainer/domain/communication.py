"""How workers add up gradients: ranges, defaults, and what Horovod is told."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from common.networks.specification import Specification
from services.trainer.domain.loss import Problem

_MILLISECOND = 0.001


class Communication(Specification):
    """A `CommunicationSpec`; None where Horovod's or the agent's own setting stands."""

    reduction: Literal["average", "adasum"] = "average"
    compression: Literal["none", "fp16"] = "none"
    cycle_time: float | None = Field(None, ge=0.0001, le=1)
    fusion_threshold: int | None = Field(None, ge=0, le=2**30)
    autotune: bool = False
    transport: Literal["auto", "horovod"] = "auto"

    @property
    def may_share_memory(self) -> bool:
        """Whether workers of one host may add up without Horovod."""
        return self.transport == "auto" and not self.environment

    @property
    def environment(self) -> dict[str, str]:
        """Horovod's variables for the workers of a run; empty where nothing is set."""
        variables = {}
        if self.cycle_time is not None:
            variables["HOROVOD_CYCLE_TIME"] = f"{self.cycle_time / _MILLISECOND:g}"
        if self.fusion_threshold is not None:
            variables["HOROVOD_FUSION_THRESHOLD"] = str(self.fusion_threshold)
        if self.autotune:
            variables["HOROVOD_AUTOTUNE"] = "1"
        return variables


def communication_problems(communication: Communication) -> Iterator[Problem]:
    """Yields what does not go together."""
    if communication.reduction == "adasum" and communication.compression != "none":
        text = "Not with ADASUM, whose products need single precision; leave one of the two out."
        yield "communication.compression", text
