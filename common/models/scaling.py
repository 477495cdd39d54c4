"""What a network of series takes in and gives: values around each window's own level."""

import torch
from torch import Tensor

from common.models.preprocessing import SeriesColumn


def scaled(windows: Tensor, series: SeriesColumn, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns windows as a network takes them, and what its outputs are around.

    A network gives how far each step is off the seasonal naive forecast, in deviations of the
    window: forecast = baseline + scale x output. So all zeros is what is known to be hard to beat.

    Args:
        windows: Raw values, oldest first, NaN for missing, float64 [rows, window].
        series: What they are of.
        horizon: Steps to forecast.

    Returns:
        Standardised windows, float32 [rows, window]; the last season again and again, float64
        [rows, horizon]; the deviation of each window, 1 where that is 0, float64 [rows, 1].
    """
    is_missing = torch.isnan(windows)
    known = torch.where(is_missing, 0.0, windows)
    count = (~is_missing).sum(dim=1, keepdim=True).clamp(min=1)
    mean = known.sum(dim=1, keepdim=True) / count
    filled = torch.where(is_missing, mean, windows)
    centred = filled - mean
    deviation = (centred.square().sum(dim=1, keepdim=True) / count).sqrt()
    # What is constant but for rounding counts as constant.
    scale = torch.where(deviation > 1e-9 * mean.abs(), deviation, 1.0)
    places = [series.window - series.season + step % series.season for step in range(horizon)]
    return (centred / scale).float(), filled[:, places], scale
