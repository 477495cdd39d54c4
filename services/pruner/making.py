"""Variants of a model by a method, as they would be kept."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from common.models.inputs import inputs_of_rows
from common.models.packaging import Package, packaged
from common.models.skops_model import SkopsModel, open_skops
from common.models.twins.graph import NoTwinError
from common.models.twins.twin import Bounds, twin_of
from common.models.vectors import encode
from common.scoring.metric import Metric
from services.pruner.domain.estimators.material import Made, Material, ModelRows
from services.pruner.domain.estimators.members import fewer_members
from services.pruner.domain.estimators.smaller import smaller_parts
from services.pruner.domain.judging import HeldOut
from services.pruner.domain.methods import FEWER_MEMBERS, SMALLER_PARTS, ModelFormat
from services.pruner.domain.variants import ONNX, ORIGINAL, SAMPLES, SKOPS, Built, Variant
from services.pruner.loading import Loaded

_log = logging.getLogger(__name__)

_ESTIMATORS: Mapping[str, Callable[[Material], Iterator[Made]]] = MappingProxyType(
    {FEWER_MEMBERS: fewer_members, SMALLER_PARTS: smaller_parts}
)
_TWIN_SECONDS, _TWIN_BYTES = 5.0, 48e6
_TWIN_ROWS = 200


@dataclass(frozen=True)
class Workshop:
    """Makes variants.

    Attributes:
        loaded: What the pruning works with.
        metric: What counts.
        seed: Of all chance.
        check: Called now and then; may raise to stop.
    """

    loaded: Loaded
    metric: Metric
    seed: int
    check: Callable[[], None]

    def variants(self, base: Variant, method: str, seconds: float) -> Iterator[Variant]:
        """Yields the variants that a method makes of another one.

        Args:
            base: The other one.
            method: Its name.
            seconds: That may be taken, about.
        """
        assert base.built.format is ModelFormat.SKOPS
        model = base.built.open()
        assert isinstance(model, SkopsModel)
        material = Material(
            model=model,
            learned=self._rows(model, self.loaded.learned),
            choosing=self._rows(model, self.loaded.choosing),
            metric=self.metric,
            seed=self.seed,
            seconds=seconds,
            check=self.check,
        )
        for made in _ESTIMATORS[method](material):
            name = made.name if base.name == ORIGINAL else f"{base.name}+{made.name}"
            yield Variant(
                name=name,
                built=self._built(made.estimator),
                parent=base.name,
                methods=(*base.methods, method),
                notes=made.notes,
                parts=made.parts,
                dropped=(*base.dropped, *made.dropped),
            )

    def _rows(self, model: SkopsModel, rows: HeldOut) -> ModelRows:
        labels = rows.truth
        if self.loaded.question.kind.has_classes:
            labels = np.asarray(model.estimator.classes_)[rows.truth.astype(np.int64)]
        return ModelRows(model.table(inputs_of_rows(model, rows.rows)), rows.truth, labels)

    def _built(self, estimator: Any) -> Built:
        package = packaged(estimator, self.loaded.choosing.rows)
        files = {SKOPS: package.content, SAMPLES: encode(package.vectors)}
        if ONNX in self.loaded.built.files:
            files |= self._twin(package)
        return Built(ModelFormat.SKOPS, files, package.signature)

    def _twin(self, package: Package) -> dict[str, bytes]:
        """Returns the ONNX twin of a model; nothing where there is none that agrees."""
        model = open_skops(package.content, SKOPS)
        rows = self.loaded.choosing.rows
        inputs = inputs_of_rows(model, rows.take(np.arange(min(rows.count, _TWIN_ROWS))))
        [(name, expected)] = model.predict(inputs).items()
        bounds = Bounds(_TWIN_SECONDS, _TWIN_BYTES)
        try:
            twin = twin_of(
                model.estimator, model.columns, name, inputs, np.asarray(expected), bounds
            )
        except NoTwinError as error:
            _log.info("the variant has no ONNX twin: %s", error)
            return {}
        return {ONNX: twin.content}
