"""Variants of a model by a method, as they would be kept."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from aimass.catalog.v1 import model_pb2
from common.models.inputs import inputs_of_rows
from common.models.onnx_model import OnnxModel, open_onnx
from common.models.packaging import Package, packaged
from common.models.skops_model import SkopsModel, open_skops
from common.models.twins.graph import NoTwinError
from common.models.twins.twin import Bounds, twin_of
from common.models.vectors import Vectors, encode
from common.scoring.metric import Metric
from services.pruner.domain.estimators.columns import fewer_columns
from services.pruner.domain.estimators.material import Made, Material, ModelRows
from services.pruner.domain.estimators.members import fewer_members
from services.pruner.domain.estimators.smaller import smaller_parts
from services.pruner.domain.foreign.reduction import onnx_reductions
from services.pruner.domain.judging import HeldOut
from services.pruner.domain.methods import (
    FEWER_COLUMNS,
    FEWER_MEMBERS,
    FEWER_UNITS,
    SMALL_NETWORK,
    SMALLER_GRAPH,
    SMALLER_PARTS,
    ModelFormat,
)
from services.pruner.domain.networks import Pace
from services.pruner.domain.students.column_graph import over_columns
from services.pruner.domain.students.lessons import Lessons
from services.pruner.domain.variants import ONNX, ORIGINAL, SAMPLES, SKOPS, Built, Variant
from services.pruner.loading import Loaded
from services.pruner.networks import Aim, Retraining, network_variants
from services.pruner.students import student_networks

_ESTIMATORS: Mapping[str, Callable[[Material], Iterator[Made]]] = MappingProxyType(
    {
        FEWER_MEMBERS: fewer_members,
        SMALLER_PARTS: smaller_parts,
        FEWER_COLUMNS: fewer_columns,
    }
)
_TWIN_SECONDS, _TWIN_BYTES = 5.0, 48e6
_TWIN_ROWS, _VECTOR_ROWS = 200, 16
_NO_LESSONS = (
    "No small network learns from the model, for it takes something else than columns of numbers, "
    "truth values and categories."
)


@dataclass(frozen=True)
class Workshop:
    """Makes variants.

    Attributes:
        loaded: What the pruning works with.
        metric: What counts.
        seed: Of all chance.
        aim: What is to become less, where.
        check: Called now and then; may raise to stop.
        tell: Hears what is done, whole sentences.
        retraining: How networks are trained again.
    """

    loaded: Loaded
    metric: Metric
    seed: int
    aim: Aim
    check: Callable[[], None]
    tell: Callable[[str], None]
    retraining: Retraining

    def variants(self, base: Variant, method: str, seconds: float) -> Iterator[Variant]:
        """Yields the variants that a method makes of another one.

        Args:
            base: The other one.
            method: Its name.
            seconds: That may be taken, about.
        """
        if method == SMALLER_GRAPH:
            yield from self._graphs(base, method)
        elif method == FEWER_UNITS:
            yield from self._networks(base, method, seconds)
        elif method == SMALL_NETWORK:
            yield from self._students(base, method, seconds)
        else:
            yield from self._estimators(base, method, seconds)

    def _networks(self, base: Variant, method: str, seconds: float) -> Iterator[Variant]:
        pace = Pace(seconds, self.seed, self.check, self.tell)
        learned = self.loaded.learned
        made = network_variants(base.built, learned, self.aim, self.retraining, pace)
        for smaller, built in made:
            variant = _variant(base, method, smaller.name, built, smaller.notes)
            yield replace(variant, parts=smaller.parts)

    def _students(self, base: Variant, method: str, seconds: float) -> Iterator[Variant]:
        lessons = self.loaded.lessons
        if lessons is None:
            self.tell(_NO_LESSONS)
            return
        pace = Pace(seconds, self.seed, self.check, self.tell)
        for student, built in student_networks(base.built, self.loaded, lessons, pace):
            yield _variant(base, method, student.name, built, (student.note,))

    def _estimators(self, base: Variant, method: str, seconds: float) -> Iterator[Variant]:
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
            built, told = self._built(made.estimator)
            variant = _variant(base, method, made.name, built, (*made.notes, *told))
            yield replace(variant, parts=made.parts, dropped=(*base.dropped, *made.dropped))

    def _graphs(self, base: Variant, method: str) -> Iterator[Variant]:
        model = base.built.open()
        assert isinstance(model, OnnxModel)
        choosing = self.loaded.choosing
        inputs = inputs_of_rows(model, choosing.rows)
        content = base.built.files[ONNX]
        staying = self.retraining.kept_layers
        for made in onnx_reductions(
            content, inputs, choosing.truth, self.seed, self.check, staying
        ):
            built = self._graph(made.content, base.built)
            kept = {each.name for each in built.signature.inputs}
            gone = [name for name in self._asked(base.built) if name not in kept]
            variant = _variant(base, method, made.name, built, made.notes)
            yield replace(variant, dropped=(*base.dropped, *gone))

    def _graph(self, content: bytes, base: Built) -> Built:
        """Returns a graph as it is kept, with test vectors of its own."""
        if student := self._lessons_of(base):
            content = over_columns(content, student)
        model = open_onnx(content, ONNX)
        rows = self.loaded.choosing.rows
        few = inputs_of_rows(model, rows.take(np.arange(min(rows.count, _VECTOR_ROWS))))
        outputs = {name: np.asarray(each) for name, each in model.predict(few).items()}
        signature = model_pb2.Signature()
        signature.CopyFrom(base.signature)
        kept = {each.name for each in model.signature.inputs}
        inputs = [each for each in base.signature.inputs if each.name in kept]
        del signature.inputs[:]
        signature.inputs.extend(inputs or model.signature.inputs)
        files = {ONNX: content, SAMPLES: encode(Vectors(dict(few), outputs))}
        return Built(ModelFormat.ONNX, files, signature)

    def _lessons_of(self, base: Built) -> Lessons | None:
        """Returns what a small network has learned from; None for other models."""
        return self.loaded.lessons if base.format is ModelFormat.TORCH_PACKAGE else None

    def _asked(self, base: Built) -> list[str]:
        """Returns the names that graphs of a model take at most."""
        if student := self._lessons_of(base):
            return [*student.preprocessing.features]
        return [each.name for each in base.signature.inputs]

    def _rows(self, model: SkopsModel, rows: HeldOut) -> ModelRows:
        labels = rows.truth
        if self.loaded.question.kind.has_classes:
            labels = np.asarray(model.estimator.classes_)[rows.truth.astype(np.int64)]
        return ModelRows(model.table(inputs_of_rows(model, rows.rows)), rows.truth, labels)

    def _built(self, estimator: Any) -> tuple[Built, tuple[str, ...]]:
        """Returns a model as it is kept, and what is to be told of that."""
        package, told = packaged(estimator, self.loaded.choosing.rows), list[str]()
        files = {SKOPS: package.content, SAMPLES: encode(package.vectors)}
        if ONNX in self.loaded.built.files:
            try:
                files[ONNX] = self._twin(package)
            except NoTwinError as error:
                told.append(f"It has no ONNX twin: {error}.")
        return Built(ModelFormat.SKOPS, files, package.signature), tuple(told)

    def _twin(self, package: Package) -> bytes:
        """Returns the ONNX twin of a model; raises `NoTwinError` where none agrees."""
        model = open_skops(package.content, SKOPS)
        rows = self.loaded.choosing.rows
        inputs = inputs_of_rows(model, rows.take(np.arange(min(rows.count, _TWIN_ROWS))))
        [(name, expected)] = model.predict(inputs).items()
        bounds = Bounds(_TWIN_SECONDS, _TWIN_BYTES)
        twin = twin_of(model.estimator, model.columns, name, inputs, np.asarray(expected), bounds)
        return twin.content


def _variant(
    base: Variant, method: str, name: str, built: Built, notes: tuple[str, ...]
) -> Variant:
    return Variant(
        name=name if base.name == ORIGINAL else f"{base.name}+{name}",
        built=built,
        parent=base.name,
        methods=(*base.methods, method),
        notes=notes,
    )
