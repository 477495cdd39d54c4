"""What a network of series takes in and gives: values around each window's own level."""

from collections.abc import Sequence

import torch
from torch import Tensor

from common.models.preprocessing import NumericColumn, SeriesColumn


def column_scales(columns: Sequence[NumericColumn]) -> tuple[Tensor, Tensor]:
    """Returns means and deviations of columns, float64 [columns]."""
    means = torch.tensor([column.mean for column in columns], dtype=torch.float64)
    return means, torch.tensor([column.scale for column in columns], dtype=torch.float64)


def standardised(values: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Returns raw values as a network takes them.

    Args:
        values: NaN for missing, which becomes the mean; float64 [..., columns].
        means: See `column_scales`.
        scales: See `column_scales`.
    """
    known = torch.where(torch.isnan(values), means, values)
    return ((known - means) / scales).float()


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
