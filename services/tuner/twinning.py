"""The ONNX twin of a search's model, beside it in the catalog."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from aimass.catalog.v1 import model_pb2
from aimass.tuner.v1 import tuner_pb2
from common.artifacts.blobs import put_artifact
from common.models.packaging import Package, model_inputs
from common.models.skops_model import open_skops
from common.runs.owner import RunOwner
from services.tuner.domain.problem import Problem

_log = logging.getLogger(__name__)

ONNX = "onnx"
"""Role of the twin among a version's files, as in packages of the trainer."""

ERROR_METRIC = "onnx/max_abs_error"
_BINARY = "application/octet-stream"
_ROWS = 200
_LARGEST_MODEL, _LARGEST_TWIN = 30_000_000, 48e6
# Of the time that is left: the rest is for everything that comes after.
_SHARE, _LEAST_SECONDS, _MOST_SECONDS = 0.4, 0.5, 20.0


@dataclass(frozen=True)
class Twins:
    """Makes twins for one attempt at a search.

    Attributes:
        owner: The search.
        prefix: Begins the keys of the model's files.
        seconds: That are left of its time.
    """

    owner: RunOwner[tuner_pb2.TuningRun]
    prefix: str
    seconds: float

    def add(
        self, version: model_pb2.ModelVersion, package: Package, estimator: Any, problem: Problem
    ) -> None:
        """Adds the twin to a version where there is one that agrees; says why otherwise.

        Args:
            version: Gets the file, and by how much it differs as a metric.
            package: The model as it is kept.
            estimator: The model.
            problem: Rows to compare both on.
        """
        try:
            why = self._add(version, package, estimator, problem)
        except Exception:
            _log.exception("the twin cannot be made")
            why = "it cannot be made"
        told = f"The model has no ONNX twin: {why}." if why else "The model has an ONNX twin."
        self.owner.log(told, source="search")

    def _add(
        self, version: model_pb2.ModelVersion, package: Package, estimator: Any, problem: Problem
    ) -> str:
        seconds = min(_SHARE * self.seconds, _MOST_SECONDS)
        if seconds < _LEAST_SECONDS:
            return "no time is left to make it"
        if len(package.content) > _LARGEST_MODEL:
            return f"the model is larger than {_LARGEST_MODEL / 1e6:.0f} MB"
        # Imported here: what has no time for a twin does without.
        from common.models.twins.graph import NoTwinError  # noqa: PLC0415
        from common.models.twins.twin import Bounds, twin_of  # noqa: PLC0415

        model = open_skops(package.content, "skops")
        step = max(problem.row_count // _ROWS, 1)
        inputs = model_inputs(model, problem.features.iloc[::step].iloc[:_ROWS])
        [(name, expected)] = model.predict(inputs).items()
        bounds = Bounds(seconds, _LARGEST_TWIN)
        try:
            twin = twin_of(estimator, model.columns, name, inputs, np.asarray(expected), bounds)
        except NoTwinError as error:
            return str(error)
        key = f"{self.prefix}model.onnx"
        version.artifacts[ONNX].CopyFrom(put_artifact(self.owner.store, key, twin.content, _BINARY))
        version.metrics[ERROR_METRIC] = twin.error
        return ""
