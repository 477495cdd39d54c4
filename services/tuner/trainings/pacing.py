"""How long networks are trained, so that they are done when the search ends."""

from collections.abc import Sequence

LEAST_SECONDS = 3.0
"""Less time for training is not worth what comes before and after."""

_OVERHEAD = 5.0  # a training's beginning, and its package
_MARGIN = 0.9
_DOUBT = 2.0  # estimates are of a machine with nothing else to do
_WORTHWHILE_EPOCHS = 20


def training_seconds(left: float) -> float:
    """Returns how long a training may take whose model is needed in some seconds."""
    return _MARGIN * left - _OVERHEAD


def affordable(epoch_seconds: Sequence[float], left: float) -> int:
    """Returns for how many networks there is time, the first of them: at least one if there are.

    One network that has seen the rows often is worth more than several that hardly have.

    Args:
        epoch_seconds: What an epoch of each takes by an estimate, in their order.
        left: Seconds until everything is to be done.
    """
    for count in range(len(epoch_seconds), 1, -1):
        slowest = _DOUBT * max(epoch_seconds[:count])
        if _WORTHWHILE_EPOCHS * slowest <= training_seconds(left / count):
            return count
    return min(len(epoch_seconds), 1)
