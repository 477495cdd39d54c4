"""The windows of series that a worker trains and validates on, as tensors."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.data.cache import CachedDataset
from common.models.preprocessing import Preprocessing
from common.models.scaling import scaled
from services.trainer.domain.forecasts.specification import passes
from services.trainer.domain.forecasts.windows import Windows, cut
from services.trainer.domain.specification import TrainingSpecification
from services.trainer.worker.data import Batch, Weights

Places = npt.NDArray[np.int64]


class SeriesWindows:
    """Windows of all series; see `Examples`. Their numbers are places of what is forecast first."""

    def __init__(
        self,
        dataset: CachedDataset,
        preprocessing: Preprocessing,
        specification: TrainingSpecification,
    ) -> None:
        """Cuts the series.

        Args:
            dataset: The data, as memory maps.
            preprocessing: What windows there are.
            specification: Resolved against the data.

        Raises:
            InvalidFieldError: A series has a time twice, or all are too short.
        """
        forecast = specification.forecast
        assert forecast is not None and preprocessing.series is not None
        self.preprocessing = preprocessing
        self.names = preprocessing.network_input.names
        self._series = preprocessing.series
        self._horizon = preprocessing.target.outputs
        windows = cut(
            dataset.column(specification.target).astype(np.float64),
            dataset.column(forecast.time_column),
            [dataset.column(name) for name in forecast.series_columns],
            dataset.parts,
            forecast,
        )
        self._windows: Windows = windows
        self.training: Places = np.tile(windows.training, passes(len(windows.training)))
        self.validation = windows.validation
        self.test = windows.test

    def batch(self, rows: Places) -> Batch:
        """Returns windows by number."""
        inputs, baseline, scale = scaled(self._past(rows), self._series, self._horizon)
        future = torch.from_numpy(self._windows.values[_spans(rows, 0, self._horizon)])
        errors = torch.from_numpy(self._windows.scales[rows])[:, None]
        parts = [(future - baseline) / scale, future, scale, errors]
        target = torch.stack([each.expand_as(future) for each in parts], dim=1).float()
        return Batch(inputs=(inputs,), target=target, weight=torch.ones(len(rows)))

    def raw(self, rows: Places) -> dict[str, Tensor]:
        """Returns windows as the ONNX twin takes them."""
        return {name: self._past(rows) for name in self.names}

    def weights(self, rows: Places) -> Weights:
        """Returns the weight of each of these windows: all weigh 1."""
        return np.ones(len(rows), np.float32)

    def targets(self, rows: Places) -> npt.NDArray[np.generic]:
        """Returns the value that is forecast first from each of these windows."""
        return self._windows.values[rows]

    def training_classes(self) -> Places:
        """Returns 0 for each training window: there are no classes."""
        return np.zeros(len(self.training), np.int64)

    def class_shares(self, *, evenly: bool = False) -> npt.NDArray[np.float64]:
        """Returns the share of the only class."""
        return np.ones(1)

    def _past(self, rows: Places) -> Tensor:
        return torch.from_numpy(self._windows.values[_spans(rows, -self._series.window, 0)])


def _spans(rows: Places, start: int, end: int) -> Places:
    """Returns the places around each row, shape (rows, end - start)."""
    spans: Places = rows[:, None] + np.arange(start, end)
    return spans
