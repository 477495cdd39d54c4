"""What models from elsewhere give, as probabilities or values."""

from collections.abc import Sequence

from common.models.outputs import (
    UnknownOutputsError,
    are_logits,
    label_outputs,
    regression_outputs,
)
from common.models.outputs import class_outputs as known_outputs
from common.models.vectors import Tensors
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.models.model import Outputs

__all__ = ["are_logits", "class_outputs", "label_outputs", "regression_outputs"]


def class_outputs(
    found: Tensors,
    classes: Sequence[str],
    *,
    are_positions: bool = True,
    are_logits: bool = False,
) -> tuple[Outputs, bool]:
    """Returns the probabilities of classes; see `common.models.outputs.class_outputs`.

    Raises:
        UnusableModelError: No output is of a kind that is known.
    """
    try:
        return known_outputs(found, classes, are_positions=are_positions, are_logits=are_logits)
    except UnknownOutputsError as error:
        raise UnusableModelError(str(error)) from None
