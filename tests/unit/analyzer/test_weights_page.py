"""What the section of weights says is what was looked for."""

from dataclasses import replace

import numpy as np
import pytest
from onnx import helper

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.weights import PART
from services.analyzer.domain.weights.analysis import analyse_weights
from services.analyzer.domain.weights.findings import WeightKind, WeightSensitivity, WeightsFindings
from services.analyzer.domain.weights.sources import _initializer
from services.analyzer.domain.weights.tensors import array_tensor
from services.analyzer.domain.weights.units import duplicate_units
from tests.unit.analyzer.test_weights import onnx_subject


def first_sentences(found: WeightsFindings) -> str:
    text = PART.show(found).parts[0]
    assert isinstance(text, str)
    return text


def without_units() -> WeightsFindings:
    found = analyse_weights(onnx_subject(), Budget(30))
    tensors = [
        replace(each, units=None, dead_units=None, duplicate_units=None)
        for each in found.summary.tensors
    ]
    return replace(found, summary=replace(found.summary, tensors=tuple(tensors)))


def test_units_that_were_not_looked_for_are_not_told_to_be_alive() -> None:
    assert "No unit" not in first_sentences(without_units())
    few_inputs = analyse_weights(onnx_subject(), Budget(30))
    told = first_sentences(few_inputs)
    looked_for = any(e.duplicate_units is not None for e in few_inputs.summary.tensors)
    assert ("as another" in told) is looked_for


def test_nothing_matters_most_where_nothing_matters() -> None:
    found = without_units()
    none = WeightSensitivity(0.0, None)
    tensors = [replace(each, sensitivity=none) for each in found.summary.tensors]
    still = replace(found, summary=replace(found.summary, tensors=tuple(tensors)))
    assert "depend most" not in first_sentences(still)


def test_a_twin_is_found_beside_another_that_is_only_near() -> None:
    first = np.array([1.0, 0, 0, 0])
    near = np.array([1.0, 0.1, 0, 0])  # a cosine of 0.995
    values = np.stack([near, first, 3 * first])
    tensor = array_tensor("w", "layer", WeightKind.LINEAR, values)
    assert duplicate_units(tensor, 1e-6, 0) == 1


@pytest.mark.parametrize("operator", ["MatMul", "Gemm"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_weight_on_the_left_of_a_product_has_a_row_for_each_unit(
    operator: str, place: int
) -> None:
    node = helper.make_node(operator, ["w", "x"] if place == 0 else ["x", "w"], ["y"], "product")
    values = np.zeros((2, 5), np.float32)
    assert _initializer("w", values, {"w": (node, place)}).rows == (2 if place == 0 else 5)
