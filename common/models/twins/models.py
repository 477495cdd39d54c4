"""Models over prepared matrices as ONNX operators."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import ElasticNet, LogisticRegression, QuantileRegressor, Ridge, RidgeCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from common.models.estimators.boosted import BoostedClassifier, BoostedRegressor
from common.models.estimators.neighbours import NeighboursClassifier, NeighboursRegressor
from common.models.estimators.perceptron import PerceptronClassifier, PerceptronRegressor
from common.models.twins.boosted import hist_scores, lightgbm_scores
from common.models.twins.graph import Graph, NoTwinError
from common.models.twins.kernels import gaussian_process, support_scores
from common.models.twins.neighbours import neighbours
from common.models.twins.perceptron import perceptron_outputs
from common.models.twins.steps import step, target_scaled
from common.models.twins.trees import forest

_LOG = 1e-12


def outputs(graph: Graph, model: Any, matrix: str) -> str:
    """Returns probabilities of the classes or labels that a model knows, or values (rows, 1)."""
    convert = _MODELS.get(type(model))
    if convert is None:
        raise NoTwinError(f"{type(model).__name__} has no counterpart")
    return convert(graph, model, matrix)


def _pipeline(graph: Graph, model: Any, matrix: str) -> str:
    for _, each in model.steps[:-1]:
        matrix = step(graph, each, matrix)
    return outputs(graph, model.steps[-1][1], matrix)


def _two(graph: Graph, second: str) -> str:
    return graph.beside([graph.add("Sub", graph.constant(1.0), second), second])


def _linear(graph: Graph, model: Any, matrix: str) -> str:
    """Returns scores, (rows, outputs)."""
    found = graph.add("MatMul", matrix, graph.constant(np.atleast_2d(model.coef_).T))
    return graph.add("Add", found, graph.constant(np.atleast_1d(model.intercept_)[None]))


def _logistic(graph: Graph, model: Any, matrix: str) -> str:
    return _shares(graph, _linear(graph, model, matrix), len(model.classes_))


def _shares(graph: Graph, scores: str, classes: int) -> str:
    if classes <= 2:
        return _two(graph, graph.add("Sigmoid", scores))
    return graph.add("Softmax", scores, axis=1)


def _bayes(graph: Graph, model: Any, matrix: str) -> str:
    return graph.add("Softmax", _BAYES[type(model)](graph, model, matrix), axis=1)


def _gaussian(graph: Graph, model: Any, matrix: str) -> str:
    """Returns logarithms of how likely rows are with each class, but for what they share."""
    spread = 1 / model.var_
    square = graph.add("MatMul", graph.add("Mul", matrix, matrix), graph.constant(-0.5 * spread.T))
    plain = graph.add("MatMul", matrix, graph.constant((model.theta_ * spread).T))
    fixed = np.log(model.class_prior_) - 0.5 * (
        np.log(2 * np.pi * model.var_) + model.theta_**2 * spread
    ).sum(axis=1)
    return graph.add("Sum", square, plain, graph.constant(fixed[None]))


def _bernoulli(graph: Graph, model: Any, matrix: str) -> str:
    present = graph.cast(graph.add("Greater", matrix, graph.constant(float(model.binarize))))
    absent = np.log(1 - np.exp(model.feature_log_prob_))
    found = graph.add("MatMul", present, graph.constant((model.feature_log_prob_ - absent).T))
    fixed = model.class_log_prior_ + absent.sum(axis=1)
    return graph.add("Add", found, graph.constant(fixed[None]))


def _complement(graph: Graph, model: Any, matrix: str) -> str:
    return graph.add("MatMul", matrix, graph.constant(model.feature_log_prob_.T))


def _calibrated(graph: Graph, model: Any, matrix: str) -> str:
    found = [_one_calibrated(graph, each, matrix) for each in model.calibrated_classifiers_]
    return graph.mean(found)


def _one_calibrated(graph: Graph, model: Any, matrix: str) -> str:
    own, classes = model.estimator, len(model.classes)
    has_scores = hasattr(own, "decision_function")
    found = scores(graph, own, matrix) if has_scores else outputs(graph, own, matrix)
    if model.method == "temperature":
        if not has_scores:
            found = graph.add("Log", graph.add("Add", found, graph.constant(_LOG)))
        elif classes == 2:
            found = graph.beside([graph.add("Neg", found), found])
        factor = graph.constant(float(model.calibrators[0].beta_))
        return graph.add("Softmax", graph.add("Mul", found, factor), axis=1)
    if model.method != "sigmoid" or classes != 2:
        raise NoTwinError(f"a calibration by {model.method} of {classes} classes has none")
    [curve] = model.calibrators
    second = found if has_scores else graph.columns(found, [1])
    raised = graph.add("Mul", second, graph.constant(-float(curve.a_)))
    return _two(
        graph, graph.add("Sigmoid", graph.add("Sub", raised, graph.constant(float(curve.b_))))
    )


def scores(graph: Graph, model: Any, matrix: str) -> str:
    """Returns what `decision_function` says, (rows, scores), of two classes one."""
    if isinstance(model, Pipeline):
        for _, each in model.steps[:-1]:
            matrix = step(graph, each, matrix)
        return scores(graph, model.steps[-1][1], matrix)
    if isinstance(model, SVC):
        return support_scores(graph, model, matrix)
    raise NoTwinError(f"{type(model).__name__} has scores without counterpart")


def _target(graph: Graph, model: Any, matrix: str) -> str:
    return target_scaled(graph, model.transformer_, outputs(graph, model.regressor_, matrix))


def _dummy(graph: Graph, model: Any, matrix: str) -> str:
    if model.strategy != "prior":
        raise NoTwinError("a guess of another kind than the classes' shares has none")
    nothing = graph.add("MatMul", graph.cast(graph.add("IsNaN", matrix)), _zeros(graph, model))
    shares = np.atleast_2d(model.class_prior_)
    return graph.add("Add", nothing, graph.constant(shares))


def _zeros(graph: Graph, model: Any) -> str:
    return graph.constant(np.zeros((int(model.n_features_in_), 1)))


def _forest(graph: Graph, model: Any, matrix: str) -> str:
    found = forest(graph, matrix, getattr(model, "estimators_", None) or [model])
    if len(found) == 1:
        return found[0]
    known = zip(found, model.classes_, strict=True)
    return graph.beside([_present(graph, each, labels) for each, labels in known])


def _labels(graph: Graph, model: Any, matrix: str) -> str:
    return graph.beside(
        [_present(graph, outputs(graph, each, matrix), each.classes_) for each in model.estimators_]
    )


def _present(graph: Graph, found: str, labels: Any) -> str:
    """Returns the probability that a label is there; some are always or never."""
    if len(labels) > 1:
        return graph.columns(found, [1])
    one = graph.columns(found, [0])
    return one if labels[0] else graph.add("Sub", one, one)


def _boosted(graph: Graph, model: Any, matrix: str) -> str:
    found = [_boosted_one(graph, each, matrix) for each in model.texts_]
    if model.is_multi_label:
        return graph.beside([graph.columns(each, [1]) for each in found])
    return found[0]


def _boosted_one(graph: Graph, text: Any, matrix: str) -> str:
    told, objective = lightgbm_scores(graph, matrix, text)
    kind = objective.partition(" ")[0]
    if kind in ("binary", "cross_entropy"):
        factor = next((each for each in objective.split() if each.startswith("sigmoid:")), ":1")
        raised = graph.add("Mul", told, graph.constant(float(factor.partition(":")[2])))
        return _two(graph, graph.add("Sigmoid", raised))
    if kind == "multiclass":
        return graph.add("Softmax", told, axis=1)
    raise NoTwinError(f"boosters for {kind or 'an objective of their own'} have none")


def _boosted_values(graph: Graph, model: Any, matrix: str) -> str:
    told, objective = lightgbm_scores(graph, matrix, model.texts_[0])
    name, *more = objective.split() or [""]
    if name in ("poisson", "gamma", "tweedie"):
        told = graph.add("Exp", told)
    elif name == "cross_entropy" or "sqrt" in more:
        raise NoTwinError(f"boosters for {objective} have none")
    return rescaled(graph, model, told)


def rescaled(graph: Graph, model: Any, values: str) -> str:
    """Returns values on the scale of the target, for models with another one."""
    scaled = graph.add("Mul", values, graph.constant(float(model.scale_)))
    found = graph.add("Add", scaled, graph.constant(float(model.center_)))
    if not model.is_log_:
        return found
    return graph.add("Sub", graph.add("Exp", found), graph.constant(1.0))


def _hist(graph: Graph, model: Any, matrix: str) -> str:
    return _shares(graph, hist_scores(graph, matrix, model), len(model.classes_))


def _hist_values(graph: Graph, model: Any, matrix: str) -> str:
    found = hist_scores(graph, matrix, model)
    return graph.add("Exp", found) if model.loss in ("gamma", "poisson") else found


def _perceptron(graph: Graph, model: Any, matrix: str) -> str:
    found = perceptron_outputs(graph, model.network_, matrix)
    is_many = model.is_multi_label
    found = graph.add("Sigmoid", found) if is_many else graph.add("Softmax", found, axis=2)
    return graph.add("ReduceMean", graph.cast(found), graph.ints([0]), keepdims=0)


def _perceptron_values(graph: Graph, model: Any, matrix: str) -> str:
    found = graph.cast(perceptron_outputs(graph, model.network_, matrix))
    bounded = graph.clipped(found, float(model.low_), float(model.high_))
    mean = graph.add("ReduceMean", bounded, graph.ints([0]), keepdims=0)
    return rescaled(graph, model, mean)


_BAYES: Mapping[type, Callable[[Graph, Any, str], str]] = MappingProxyType(
    {GaussianNB: _gaussian, BernoulliNB: _bernoulli, ComplementNB: _complement}
)
_MODELS: Mapping[type, Callable[[Graph, Any, str], str]] = MappingProxyType(
    {
        Pipeline: _pipeline,
        LogisticRegression: _logistic,
        **dict.fromkeys((Ridge, RidgeCV, ElasticNet, QuantileRegressor), _linear),
        **dict.fromkeys((GaussianNB, BernoulliNB, ComplementNB), _bayes),
        CalibratedClassifierCV: _calibrated,
        DummyClassifier: _dummy,
        **dict.fromkeys(
            (
                *(RandomForestClassifier, ExtraTreesClassifier, DecisionTreeClassifier),
                *(RandomForestRegressor, ExtraTreesRegressor, DecisionTreeRegressor),
            ),
            _forest,
        ),
        MultiOutputClassifier: _labels,
        BoostedClassifier: _boosted,
        BoostedRegressor: _boosted_values,
        HistGradientBoostingClassifier: _hist,
        HistGradientBoostingRegressor: _hist_values,
        PerceptronClassifier: _perceptron,
        PerceptronRegressor: _perceptron_values,
        SVR: support_scores,
        TransformedTargetRegressor: _target,
        GaussianProcessRegressor: gaussian_process,
        NeighboursClassifier: neighbours,
        NeighboursRegressor: neighbours,
    }
)
