"""What is said where no candidate keeps the limits of the final model."""

from services.tuner.domain.ensemble.pool import Cost, Limits


def exceeded(limits: Limits, cost: Cost) -> list[str]:
    """Returns a sentence for each limit that a model does not keep.

    Args:
        limits: What was asked for.
        cost: Of the model, which is then the nearest to the limits that was found.
    """
    found = []
    if cost.seconds > limits.seconds:
        found.append(
            f"No candidate keeps within `row_latency`, {_milliseconds(limits.seconds)}: predicting "
            f"a row with the model takes {_milliseconds(cost.seconds)}, and it is the nearest that "
            "was found. Allow more, or name families that are quicker."
        )
    if cost.bytes > limits.bytes:
        found.append(
            f"No candidate keeps within `model_bytes`, {limits.bytes:,.0f}: the model takes "
            f"{cost.bytes:,.0f} bytes, and it is the nearest that was found. Allow more, or name "
            "families that are smaller."
        )
    return found


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"
