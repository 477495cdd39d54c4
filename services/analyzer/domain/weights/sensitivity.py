"""How much the outputs change when the weights of a layer are disturbed."""

import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import ModelProto, helper, numpy_helper

from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.layers import onnx_file
from services.analyzer.domain.metrics import Scorer
from services.analyzer.domain.models.foreign import OnnxAnalysed
from services.analyzer.domain.models.model import AnalysedModel, Outputs
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.sample import Sample
from services.analyzer.domain.subject import Subject
from services.analyzer.domain.weights.findings import (
    MATRICES,
    SensitivityMethod,
    WeightSensitivity,
)
from services.analyzer.domain.weights.sources import Sources

RELATIVE_NOISE = 0.1
"""Norm of the noise over that of the tensor."""

LARGEST = 400 * 2**20
"""Bytes of the largest model whose layers are disturbed: it and a copy are in memory then."""

_ROWS, _LEAST_ROWS, _METRIC_ROWS = 256, 8, 100
_REPEATS = 3
_TIMED_ROWS = 8
_LONGEST = 1.2  # seconds; the order of the layers is clear from few rows
_SHARE = 0.5  # of what is left of the budget

Array = npt.NDArray[Any]
Disturb = Callable[[np.random.Generator], AbstractContextManager[None]]


@dataclass(frozen=True)
class Sensitivities:
    """What disturbances did.

    Attributes:
        method: How it was measured; None where it was not.
        by_tensor: By name of the tensor.
        notes: Why not, or what was cut short.
    """

    method: SensitivityMethod | None
    by_tensor: Mapping[str, WeightSensitivity]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Disturbable:
    """A model whose weights can be disturbed for a while, one tensor at a time, by name."""

    model: AnalysedModel
    tensors: Mapping[str, Disturb]


def sensitivities(subject: Subject, sources: Sources, budget: Budget) -> Sensitivities:
    """Disturbs each matrix of weights by itself, some times, and looks at the outputs.

    The noise is normal; its norm is a part of the tensor's, so that layers can be compared.
    """
    if not any(tensor.kind in MATRICES for tensor in sources.tensors):
        return _none("No layer was disturbed: the model has no matrices of weights.")
    if subject.size_bytes > LARGEST or sum(each.count for each in sources.tensors) > LARGEST / 4:
        return _none("The layers were not disturbed to see what they matter: the model is large.")
    try:
        disturbable = _disturbable(subject.model, sources)
        if not disturbable.tensors:
            return _none(
                "The layers were not disturbed to see what they matter: they are built in."
            )
        return _measured(subject, disturbable, budget)
    except UnusableModelError as error:
        return _none(f"What layers matter was not measured: {_lowered(str(error))}")


def _none(note: str) -> Sensitivities:
    return Sensitivities(None, {}, (note,))


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _measured(subject: Subject, disturbable: _Disturbable, budget: Budget) -> Sensitivities:
    subject = replace(subject, model=disturbable.model)
    rows, repeats = _afforded(subject, len(disturbable.tensors), budget)
    sample = subject.sample.drawn(rows, subject.settings.seed)
    usual = subject.predict(sample.raw)
    measure = _Measure.of(subject, sample, usual)
    found: dict[str, WeightSensitivity] = {}
    for name, disturb in disturbable.tensors.items():
        if budget.is_spent:
            break
        budget.check()
        found[name] = measure.mean(
            [_outputs(subject, sample, disturb, name, repeat) for repeat in range(repeats)]
        )
    if not found:
        return _none("Time did not allow to disturb layers to see what they matter.")
    method = SensitivityMethod(RELATIVE_NOISE, repeats, sample.count, str(subject.settings.metric))
    return Sensitivities(method, found, tuple(_shortened(subject, disturbable, found, method)))


def _outputs(subject: Subject, sample: Sample, disturb: Disturb, name: str, repeat: int) -> Outputs:
    seed = (subject.settings.seed, zlib.crc32(name.encode()), repeat)
    with disturb(np.random.default_rng(seed)):
        return subject.predict(sample.raw)


def _afforded(subject: Subject, tensors: int, budget: Budget) -> tuple[int, int]:
    """Returns how many rows can be predicted how often for each tensor."""
    few = subject.sample.raw.take(slice(0, _TIMED_ROWS))
    subject.predict(few)  # the first time is slower
    start = time.perf_counter()
    subject.predict(few)
    seconds = time.perf_counter() - start
    time_left = Budget(min(_LONGEST, _SHARE * budget.left))
    wanted = min(_ROWS, subject.sample.count)
    for repeats in (_REPEATS, 1):
        # Few rows take as long as one: a batch of them counts.
        batches = time_left.affords(-(-wanted // few.count), seconds * tensors * repeats, 0)
        if batches * few.count >= wanted / 2:
            return min(wanted, batches * few.count), repeats
    return max(min(wanted, _LEAST_ROWS), min(wanted, batches * few.count)), 1


def _shortened(
    subject: Subject,
    disturbable: _Disturbable,
    found: Mapping[str, WeightSensitivity],
    method: SensitivityMethod,
) -> Iterator[str]:
    wanted = min(_ROWS, subject.sample.count)
    if method.row_count < wanted or method.repeats < _REPEATS:
        times = "once" if method.repeats == 1 else f"{method.repeats} times"
        yield (
            f"To save time, layers were disturbed {times} with {method.row_count} rows instead of "
            f"{_REPEATS} times with {wanted}."
        )
    if len(found) < len(disturbable.tensors):
        yield f"Time allowed to disturb {len(found)} of {len(disturbable.tensors)} layers."


@dataclass(frozen=True)
class _Measure:
    """Compares outputs with the undisturbed ones."""

    usual: Outputs
    scale: npt.NDArray[np.float64]
    scorer: Scorer | None

    @classmethod
    def of(cls, subject: Subject, sample: Sample, usual: Outputs) -> "_Measure":
        task, scale = subject.model.task, np.ones(usual.shape[1])
        if task is Task.REGRESSION:
            spread = usual.std(axis=0)
            scale = np.where(spread > 0, spread, 1.0)
        scorer = None
        if sample.truth is not None and sample.count >= _METRIC_ROWS:
            scorer = Scorer(subject.settings.metric, task, sample.truth)
        return cls(usual, scale, scorer)

    def mean(self, disturbed: Sequence[Outputs]) -> WeightSensitivity:
        changes = [float((np.abs(each - self.usual) / self.scale).mean()) for each in disturbed]
        return WeightSensitivity(float(np.mean(changes)), self._fall(disturbed))

    def _fall(self, disturbed: Sequence[Outputs]) -> float | None:
        if self.scorer is None:
            return None
        before = self.scorer.score(self.usual)
        return float(np.mean([before - self.scorer.score(each) for each in disturbed]))


def _disturbable(model: AnalysedModel, sources: Sources) -> _Disturbable:
    names = [tensor.name for tensor in sources.tensors if tensor.kind in MATRICES]
    if isinstance(model, OnnxAnalysed):
        return _onnx_disturbable(model, names)
    arrays: Mapping[str, Array] = sources.arrays
    if isinstance(model, TorchPackage):
        # An array shares its memory with the parameter.
        parameters = dict(model.network.named_parameters())
        arrays = {name: parameters[name].detach().numpy() for name in names if name in parameters}
    return _Disturbable(model, {name: _in_place(array) for name, array in arrays.items()})


def _in_place(array: Array) -> Disturb:
    @contextmanager
    def disturb(generator: np.random.Generator) -> Iterator[None]:
        kept = array.copy()
        try:
            array[...] = _noisy(kept, generator)
            yield
        finally:
            array[...] = kept

    return disturb


def _noisy(values: Array, generator: np.random.Generator) -> Array:
    noise = generator.standard_normal(values.shape, np.float32)
    size = RELATIVE_NOISE * float(np.linalg.norm(values)) / float(np.linalg.norm(noise))
    return np.asarray(values + size * noise, values.dtype)


def _onnx_disturbable(model: OnnxAnalysed, names: Sequence[str]) -> _Disturbable:
    file = onnx_file(model)
    usual = {
        each.name: numpy_helper.to_array(each)
        for each in file.graph.initializer
        if each.name in names
    }
    session = _FedSession(_open_to_weights(file, list(usual)))

    def disturb(name: str) -> Disturb:
        @contextmanager
        def feed(generator: np.random.Generator) -> Iterator[None]:
            session.weights[name] = _noisy(usual[name], generator)
            try:
                yield
            finally:
                del session.weights[name]

        return feed

    fed = replace(model, model=replace(model.model, session=session))
    return _Disturbable(fed, {name: disturb(name) for name in usual})


def _open_to_weights(file: ModelProto, names: Sequence[str]) -> onnxruntime.InferenceSession:
    """Opens a file so that its weights can be given like inputs; those in the file are defaults."""
    inputs = {each.name for each in file.graph.input}
    for each in file.graph.initializer:
        if each.name in names and each.name not in inputs:
            value = helper.make_tensor_value_info(each.name, each.data_type, list(each.dims))
            file.graph.input.append(value)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file.SerializeToString(), options, ["CPUExecutionProvider"])


class _FedSession:
    """A session that is given weights besides its inputs.

    Attributes:
        weights: Those that differ from the file's, by name.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.weights: dict[str, Array] = {}
        self._session = session

    def run(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        found: list[Array] = self._session.run(names, {**inputs, **self.weights})
        return found
