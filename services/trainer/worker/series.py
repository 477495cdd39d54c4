"""The windows of series that a worker trains and validates on, as tensors."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.data.cache import CachedDataset
from common.models.preprocessing import NumericColumn, Preprocessing
from common.models.scaling import column_scales, scaled, standardised
from services.trainer.domain.forecasts.fitting import numbers, stacked
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
        self._past = _Columns(dataset, windows.order, preprocessing.series.past)
        self._known = _Columns(dataset, windows.order, preprocessing.series.known)
        self.training: Places = np.tile(windows.training, passes(len(windows.training)))
        self.validation = windows.validation
        self.test = windows.test

    def batch(self, rows: Places) -> Batch:
        """Returns windows by number."""
        raw = self.raw(rows)
        inputs, baseline, scale = scaled(raw["series"], self._series, self._horizon)
        beside = [
            columns.standardised(raw[name])
            for name, columns in (("past", self._past), ("known", self._known))
            if name in raw
        ]
        future = torch.from_numpy(self._windows.values[_spans(rows, 0, self._horizon)])
        errors = torch.from_numpy(self._windows.scales[rows])[:, None]
        parts = [(future - baseline) / scale, future, scale, errors]
        target = torch.stack([each.expand_as(future) for each in parts], dim=1).float()
        return Batch(inputs=(inputs, *beside), target=target, weight=torch.ones(len(rows)))

    def raw(self, rows: Places) -> dict[str, Tensor]:
        """Returns windows as the ONNX twin takes them."""
        window = self._series.window
        found = {"series": torch.from_numpy(self._windows.values[_spans(rows, -window, 0)])}
        if self._series.past:
            found["past"] = self._past.at(_spans(rows, -window, 0))
        if self._series.known:
            found["known"] = self._known.at(_spans(rows, -window, self._horizon))
        return found

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


class _Columns:
    """Columns beside the series, in the order of windows."""

    def __init__(
        self, dataset: CachedDataset, order: Places, columns: Sequence[NumericColumn]
    ) -> None:
        raw = [
            numbers(dataset.schema, each.name, dataset.column(each.name))[order] for each in columns
        ]
        self._values = stacked(raw, len(order))
        self._means, self._scales = column_scales(columns)

    def at(self, places: Places) -> Tensor:
        """Returns raw values, shape (rows, steps, columns)."""
        return torch.from_numpy(self._values[places])

    def standardised(self, raw: Tensor) -> Tensor:
        """Returns raw values as a network takes them."""
        return standardised(raw, self._means, self._scales)


def _spans(rows: Places, start: int, end: int) -> Places:
    """Returns the places around each row, shape (rows, end - start)."""
    spans: Places = rows[:, None] + np.arange(start, end)
    return spans
