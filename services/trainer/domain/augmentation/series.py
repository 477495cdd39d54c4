"""Changes of windows of time series. Windows have the shape (rows, length, channels).

Sources: Um et al., Data augmentation of wearable sensor data for Parkinson's disease monitoring
(ICMI 2017), for all but slices; Le Guennec, Malinowski and Tavenard, Data augmentation for time
series classification using convolutional neural networks (2016), for those; compared by Iwana and
Uchida, An empirical survey of data augmentation for time series classification (PLOS ONE 2021).
"""

import numpy as np
import torch
from torch import Tensor

from services.trainer.domain.augmentation.draws import Draws, Floats
from services.trainer.domain.augmentation.images import tensor
from services.trainer.domain.augmentation.policies import (
    Jitter,
    Permutation,
    Scaling,
    TimeWarp,
    WindowSlice,
)


def jittered(windows: Tensor, settings: Jitter, draws: Draws) -> Tensor:
    """Returns windows with normal noise added, in deviations of each window and channel."""
    _, length, channels = windows.shape
    noise = tensor(draws.normals(length * channels)).view(windows.shape)
    spread = windows.std(dim=1, correction=0, keepdim=True)
    return windows + settings.scale * spread * noise


def scaled(windows: Tensor, settings: Scaling, draws: Draws) -> Tensor:
    """Returns windows multiplied by a number around 1, each channel by one of its own."""
    return windows * factors(settings, windows.shape[2], draws)[:, None]


def factors(settings: Scaling, channels: int, draws: Draws) -> Tensor:
    """Returns what `scaled` multiplies by, shape (rows, channels): of what follows as well."""
    return tensor(1 + settings.scale * draws.normals(channels))


def time_warped(windows: Tensor, settings: TimeWarp, draws: Draws) -> Tensor:
    """Returns windows in which time runs faster and slower, from the first value to the last.

    The logarithm of its speed is normal at some knots and straight between them.
    """
    length = windows.shape[1]
    speeds = np.exp(settings.strength * draws.normals(settings.knots + 1))
    places = np.linspace(0, settings.knots, length)
    left = np.minimum(places.astype(np.int64), settings.knots - 1)
    share = places - left
    speed = speeds[:, left] * (1 - share) + speeds[:, left + 1] * share
    steps = (speed[:, 1:] + speed[:, :-1]) / 2
    passed = np.concatenate([np.zeros((draws.rows, 1)), np.cumsum(steps, axis=1)], axis=1)
    if length == 1:
        return windows
    return resampled(windows, passed / passed[:, -1:] * (length - 1))


def window_sliced(windows: Tensor, settings: WindowSlice, draws: Draws) -> Tensor:
    """Returns a part of each window, stretched to the window's length."""
    length = windows.shape[1]
    span = settings.share * (length - 1)
    start = draws.uniform(0, length - 1 - span)
    return resampled(windows, start[:, None] + np.linspace(0, span, length))


def permuted(windows: Tensor, settings: Permutation, draws: Draws) -> Tensor:
    """Returns windows whose parts are in another order; parts differ by one value in length."""
    length = windows.shape[1]
    part = np.arange(length) * settings.segments // length
    rank = np.argsort(np.argsort(draws.uniforms(settings.segments), axis=1), axis=1)
    order = torch.from_numpy(np.argsort(rank[:, part], axis=1, kind="stable"))
    return windows.gather(1, order[:, :, None].expand(windows.shape))


def resampled(windows: Tensor, places: Floats) -> Tensor:
    """Returns values of windows between their points in time, by linear interpolation.

    Args:
        windows: Shape (rows, length, channels).
        places: Points in time of 0 to length - 1, shape (rows, places).
    """
    last = windows.shape[1] - 1
    left = np.clip(places.astype(np.int64), 0, max(last - 1, 0))
    share = tensor(places - left)[:, :, None]
    shape = (-1, -1, windows.shape[2])
    before = torch.from_numpy(left)[:, :, None].expand(shape)
    after = (before + 1).clamp(max=last)
    return torch.lerp(windows.gather(1, before), windows.gather(1, after), share)
