"""All that is tried of an imported model: valid, alike, smaller, and from careful to bold."""

import logging
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from services.pruner.domain.foreign import reduction
from services.pruner.domain.foreign.agreement import is_clearly_worse, losses
from services.pruner.domain.foreign.graphs import Changed, ForeignModelError, outputs
from services.pruner.domain.foreign.reduction import OnnxReduced, onnx_reductions
from tests.support.onnx_graphs import Array, floats, graph_model

pytestmark = pytest.mark.slow

node = helper.make_node


def go_on() -> None:
    """Lets work go on."""


def all_of(model: onnx.ModelProto, rows: dict[str, Array], truth: Array) -> list[OnnxReduced]:
    """Returns all smaller models; each is checked against the original."""
    expected = outputs(model, rows)
    found = list(onnx_reductions(model.SerializeToString(), rows, truth, 0, go_on))
    for each in found:
        smaller = onnx.ModelProto.FromString(each.content)
        onnx.checker.check_model(smaller, full_check=True)
        said = outputs(smaller, rows)
        assert {name: (x.shape, x.dtype) for name, x in said.items()} == {
            name: (x.shape, x.dtype) for name, x in expected.items()
        }
        numbers = [name for name, values in expected.items() if values.dtype.kind == "f"]
        off = max(float(np.abs(said[name] - expected[name]).max()) for name in numbers)
        # Scales that are found as rows come depend on which rows come together.
        assert off == pytest.approx(each.max_error, abs=1e-5) or "dynamic" in each.name
        assert all(note.endswith(".") for note in each.notes)
    return found


def network() -> tuple[onnx.ModelProto, dict[str, Array], Array]:
    """Returns a wide network that stands for a narrow one, an unused input, rows and classes."""
    narrow = floats(1, 8, 12)
    first = (narrow @ np.repeat(np.eye(12, dtype=np.float32), 8, axis=1)) + 0.01 * floats(2, 8, 96)
    nodes = [
        node("Identity", ["x"], ["same"]),
        node("Gemm", ["same", "w1", "b1"], ["h"]),
        node("Relu", ["h"], ["a"]),
        node("MatMul", ["a", "w2"], ["scores"]),
        node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    second = floats(3, 96, 3)
    model = graph_model(
        nodes,
        {"x": ["rows", 8], "spare": ["rows", 2]},
        {"label": ["rows"], "scores": ["rows", 3]},
        {"w1": first, "b1": floats(4, 96) / 10, "w2": second},
        kinds={"label": TensorProto.INT64},
    )
    rows = {"x": floats(0, 2000, 8), "spare": floats(5, 2000, 2)}
    return model, rows, outputs(model, rows)["label"]


def test_a_network_becomes_smaller_step_by_step() -> None:
    """Exact steps first, then units, each in 8 bits as well; inputs that are spare go."""
    model, rows, truth = network()
    found = {each.name: each for each in all_of(model, rows, truth)}
    names = list(found)
    assert names[:2] == ["folded", "fewer_inputs"]
    assert found["folded"].max_error == found["fewer_inputs"].max_error == 0
    assert {"int8", "narrower_within_3_percent", "narrower_within_10_percent"} <= set(names)
    smaller = onnx.ModelProto.FromString(found["narrower_within_10_percent"].content)
    assert [each.name for each in smaller.graph.input] == ["x"]
    assert len(found["narrower_within_10_percent"].content) < model.ByteSize() / 2
    right = outputs(smaller, rows)["label"] == truth
    assert right.mean() > 0.9


def branching(weight: Array) -> onnx.ModelProto:
    """Returns a model whose product is followed by a branch."""
    branches: dict[str, Any] = {
        f"{name}_branch": helper.make_graph(
            [node(kind, ["p"], [f"{name}_y"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, ["rows", 64])],
        )
        for name, kind in (("then", "Relu"), ("else", "Neg"))
    }
    return graph_model(
        [
            node("Identity", ["x"], ["same"]),
            node("MatMul", ["same", "w"], ["q"]),
            node("MatMul", ["q", "last"], ["p"]),
            node("If", ["condition"], ["y"], **branches),
        ],
        {"x": ["rows", 64], "condition": []},
        {"y": ["rows", 64]},
        {"w": weight, "last": floats(2, 64, 64)},
        kinds={"condition": TensorProto.BOOL},
    )


def test_models_with_branches_are_folded_and_quantised_only() -> None:
    """What their graphs use is not followed; a note says so."""
    rows = {"x": floats(0, 50, 64), "condition": np.array(True)}
    found = all_of(branching(floats(1, 64, 64)), rows, np.zeros(50))
    assert found[0].name == "folded"
    assert {each.name for each in found[1:]} <= {"int8", "int8_dynamic"}
    assert len(found) > 1
    assert "branches or loops" in found[-1].notes[-2]


def test_texts_are_inputs_too() -> None:
    """Rows of texts go through all steps."""
    model = graph_model(
        [
            node("OneHotEncoder", ["s"], ["hot"], domain="ai.onnx.ml", cats_strings=["u", "v"]),
            node("Reshape", ["hot", "sides"], ["flat"]),
            node("Identity", ["flat"], ["same"]),
            node("MatMul", ["same", "w"], ["y"]),
        ],
        {"s": ["rows", 1]},
        {"y": ["rows", 1]},
        {"sides": np.array([-1, 2]), "w": floats(1, 2, 1)},
        kinds={"s": TensorProto.STRING},
    )
    texts = np.array([["u"], ["v"]] * 10, object)
    assert all_of(model, {"s": texts}, np.zeros(20))[0].name == "folded"


def test_a_fixed_number_of_rows_is_kept_to() -> None:
    """Rows are given in as many as the model takes; the rest is left out."""
    model = graph_model(
        [node("Identity", ["x"], ["same"]), node("MatMul", ["same", "w"], ["y"])],
        {"x": [4, 64]},
        {"y": [4, 64]},
        {"w": floats(1, 64, 64)},
    )
    found = all_of(model, {"x": floats(0, 28, 64)}, np.zeros(28))
    assert {"folded", "int8"} <= {each.name for each in found}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "lack the input `x`"),
        ({"x": floats(0, 3, 4)}, "There are 3 rows"),
        ({"x": floats(0, 30, 5)}, "cannot be run"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: dict[str, Array], message: str) -> None:
    """None, too few, or of another width."""
    model = graph_model(
        [node("MatMul", ["x", "w"], ["y"])],
        {"x": ["rows", 4]},
        {"y": ["rows", 4]},
        {"w": floats(1, 4, 4)},
    )
    with pytest.raises(ForeignModelError, match=message):
        list(onnx_reductions(model.SerializeToString(), rows, np.zeros(30), 0, go_on))


def test_a_step_that_fails_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An invalid model and one whose outputs are no numbers are not given out."""
    model, rows, truth = network()

    def invalid(_: onnx.ModelProto) -> Changed:
        return Changed(onnx.ModelProto(ir_version=8))

    def infinite(*_: object) -> Changed:
        broken = onnx.ModelProto.FromString(model.SerializeToString())
        del broken.graph.node[:], broken.graph.initializer[:]
        broken.graph.node.append(node("MatMul", ["x", "w"], ["scores"]))
        broken.graph.node.append(model.graph.node[-1])
        weight = np.full((8, 3), np.inf, np.float32)
        broken.graph.initializer.append(numpy_helper.from_array(weight, "w"))
        return Changed(broken)

    monkeypatch.setattr(reduction, "static_int8", infinite)
    monkeypatch.setattr(reduction, "dynamic_int8", lambda *_: invalid(model))
    with caplog.at_level(logging.WARNING):
        names = {each.name for each in all_of(model, rows, truth)}
    assert {"folded", "narrower_within_3_percent"} <= names
    assert not any("int8" in name for name in names)
    assert "no valid model" in caplog.text
    assert "not finite" in caplog.text


def test_work_ends_when_it_is_called_off() -> None:
    """What the check raises comes through, whichever step is under way."""
    model, rows, truth = network()
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        list(onnx_reductions(model.SerializeToString(), rows, truth, 0, stop))


def test_losses_see_which_output_is_about_the_truth() -> None:
    """Probabilities, scores, numbers; and None where it cannot be known."""
    classes = np.array([0, 1, 2, 1])
    sure = np.eye(3, dtype=np.float32)[classes]
    found = losses({"label": classes, "p": sure}, classes)
    assert found is not None and found.tolist() == [0, 0, 0, 0]
    texts = np.array(["a", "b", "c", "b"])
    scores = losses({"p": 50 * sure - 20}, texts)
    assert scores is not None and scores.max() < 1e-6
    numbers = losses({"y": np.array([[1.0], [2.0]])}, np.array([1.0, 4.0]))
    assert numbers is not None and numbers.tolist() == [0, 4]
    assert losses({"p": sure}, np.array(["a", "b", "a", "b"])) is None
    assert losses({"label": classes}, classes) is None


def test_only_losses_beyond_chance_are_clear() -> None:
    """Neither noise, nor a small loss that is certain, is."""
    random, truth = np.random.default_rng(0), np.repeat([0, 1], 500)
    before = random.random(1000) / 10
    assert not is_clearly_worse(before + random.normal(size=1000), before, truth)
    assert not is_clearly_worse(before + 0.01, before, truth)
    assert is_clearly_worse(before + 0.1, before, truth)
    assert not is_clearly_worse(None, before, truth)
