"""What a model makes of rows inside: values of its hidden layers, or what stands in for them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.neural_network import MLPClassifier, MLPRegressor

from common.data.rows import RawRows
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.hidden.columns import COLUMNS, ColumnsAsNumbers
from services.analyzer.domain.hidden.onnx_layers import OnnxLayers
from services.analyzer.domain.hidden.sklearn_layers import PerceptronLayers, StepLayers, chain_of
from services.analyzer.domain.hidden.source import HiddenSource, HiddenValues
from services.analyzer.domain.hidden.torch_layers import TorchLayers
from services.analyzer.domain.models.foreign import OnnxAnalysed, SklearnAnalysed
from services.analyzer.domain.models.model import AnalysedModel
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.subject import Subject

Activations = npt.NDArray[np.float32]
"""Shape (rows, units)."""

USUAL_LAYERS = 10
"""At most so many layers are looked at where nobody says which."""

_MOST_NAMED = 20
_MOST_UNITS = 4096


def hidden_source(model: AnalysedModel, wanted: Sequence[str] = ()) -> HiddenSource:
    """Returns what gives the model's hidden values.

    Torch packages and ONNX models: their layers. scikit-learn: hidden layers of a multi-layer
    perceptron; outputs of the steps of a pipeline and leaves of trees. All others, without hidden
    layers: the columns as numbers. `note` says what stands in.

    Args:
        model: The model.
        wanted: Names of layers that must exist; none if they are to be chosen.
    """
    source = _own_source(model)
    is_asked_for = len(wanted) > 0 and COLUMNS not in wanted
    return source if source and (source.usual or is_asked_for) else ColumnsAsNumbers(model)


def _own_source(model: AnalysedModel) -> HiddenSource | None:
    if isinstance(model, TorchPackage):
        return TorchLayers(model)
    if isinstance(model, OnnxAnalysed):
        return OnnxLayers(model)
    if not isinstance(model, SklearnAnalysed):
        return None
    last = chain_of(model.model.estimator)[-1][1]
    is_perceptron = isinstance(last, MLPClassifier | MLPRegressor)
    return PerceptronLayers(model) if is_perceptron else StepLayers(model)


def usual_layers(source: HiddenSource, most: int = USUAL_LAYERS) -> tuple[str, ...]:
    """Returns layers evenly along the depth, the last one among them."""
    names = source.usual
    picked = np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int)
    return tuple(names[place] for place in picked)


def chosen_layers(source: HiddenSource, wanted: Sequence[str]) -> tuple[str, ...]:
    """Returns the wanted layers in the order of computation; without any, the usual ones.

    Raises:
        UnusableModelError: There is no such layer; names those that there are.
    """
    if not wanted:
        return usual_layers(source)
    known = [layer.name for layer in source.layers]
    missing = [name for name in wanted if name not in known]
    if missing:
        named = ", ".join(known[:_MOST_NAMED])
        more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
        raise UnusableModelError(
            f"The model has no layer `{missing[0]}`; it has {named or 'none'}{more}."
        )
    return tuple(name for name in known if name in set(wanted))


def hidden_activations(
    model: AnalysedModel | Subject,
    raw: RawRows,
    layers: Sequence[str] = (),
    most_units: int = _MOST_UNITS,
) -> dict[str, Activations]:
    """Returns the values of hidden layers, or of what stands in for them (see `hidden_source`).

    Args:
        model: A model, or a subject for its own.
        raw: The rows.
        layers: Names. Default: `usual_layers`, of which the last one is the representation.
        most_units: Of a wider layer so many units are kept, picked evenly.

    Returns:
        By layer, in the order of computation: float32 (rows, units); maps are averaged over their
        positions.

    Raises:
        UnusableModelError: A layer does not exist; names those that do.
    """
    source = hidden_source(model.model if isinstance(model, Subject) else model, layers)
    names = chosen_layers(source, layers)
    found = dict[str, Activations]()

    def keep(name: str, first: int, values: HiddenValues) -> None:
        kept = averaged(some_units(values, most_units))
        if name not in found:
            found[name] = np.zeros((raw.count, kept.shape[1]), np.float32)
        found[name][first : first + len(kept)] = kept

    source.visit(raw, names, keep)
    return {name: found[name] for name in names if name in found}


def averaged(values: HiddenValues) -> Activations:
    """Returns values averaged over all positions, shape (rows, units)."""
    if values.ndim == 2:
        return values
    return np.asarray(values.reshape(*values.shape[:2], -1).mean(axis=2), np.float32)


def some_units(values: HiddenValues, most: int) -> HiddenValues:
    """Returns values of at most so many units, picked evenly."""
    units = values.shape[1]
    if units <= most:
        return values
    return values[:, np.linspace(0, units - 1, most).round().astype(int)]
