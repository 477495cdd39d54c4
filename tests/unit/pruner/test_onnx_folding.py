"""What is folded away changes no output, and what may not be touched stays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from services.pruner.domain.foreign.folding import folded
from services.pruner.domain.foreign.graphs import ForeignModelError, outputs, read_model
from tests.support.onnx_graphs import floats, graph_model, kinds_of

node = helper.make_node


def check_same(model: onnx.ModelProto, rows: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Folds a model; its outputs stay equal to the last bit."""
    found = folded(read_model(model.SerializeToString())).model
    onnx.checker.check_model(found, full_check=True)
    expected = outputs(model, rows)
    assert all(np.array_equal(expected[name], each) for name, each in outputs(found, rows).items())
    return found


def test_what_does_nothing_or_is_not_used_goes() -> None:
    """Identities, dropout, constants of constants, dead branches and copies of weights."""
    shift = numpy_helper.from_array(floats(1, 4))
    model = graph_model(
        [
            node("Constant", [], ["shift"], value=shift),
            node("Add", ["shift", "scale"], ["both"]),
            node("Identity", ["x"], ["same"]),
            node("Dropout", ["same", "ratio"], ["kept", "mask"]),
            node("Mul", ["kept", "both"], ["scaled"]),
            node("Add", ["scaled", "copy"], ["sum"]),
            node("Exp", ["sum"], ["unused"]),
            node("Identity", ["sum"], ["y"]),
        ],
        {"x": ["rows", 4]},
        {"y": ["rows", 4]},
        {
            "scale": floats(2, 4),
            "copy": floats(3, 4),
            "ratio": np.array(0.3, np.float32),
            "left": shift_of(),
        },
    )
    found = check_same(model, {"x": floats(0, 5, 4)})
    assert kinds_of(found) == ["Mul", "Add"]
    assert {each.name for each in found.graph.initializer} == {"both", "copy"}


def shift_of() -> np.ndarray:
    """A weight that no node uses."""
    return floats(9, 7)


def test_equal_weights_become_one() -> None:
    """Two nodes share what was there twice."""
    weight = floats(1, 4, 4)
    model = graph_model(
        [node("MatMul", ["x", "first"], ["middle"]), node("MatMul", ["middle", "second"], ["y"])],
        {"x": ["rows", 4]},
        {"y": ["rows", 4]},
        {"first": weight, "second": weight.copy()},
    )
    found = check_same(model, {"x": floats(0, 5, 4)})
    assert len(found.graph.initializer) == 1


def test_outputs_that_are_inputs_or_constants_keep_their_names() -> None:
    """An identity between an input and an output is all that gives the output its name."""
    model = graph_model(
        [
            node("Identity", ["x"], ["y"]),
            node("Relu", ["x"], ["positive"]),
            node("Identity", ["positive"], ["first"]),
            node("Identity", ["positive"], ["second"]),
        ],
        {"x": ["rows", 4]},
        {name: ["rows", 4] for name in ("y", "first", "second")},
    )
    found = check_same(model, {"x": floats(0, 5, 4)})
    assert sorted(kinds_of(found)) == ["Identity", "Identity", "Relu"]


def test_what_would_be_larger_or_other_each_time_is_not_computed() -> None:
    """A table of zeros is smaller as its shape; weights of 8 bits stay so; noise stays noise."""
    model = graph_model(
        [
            node("ConstantOfShape", ["sides"], ["zeros"]),
            node("DequantizeLinear", ["small", "scale"], ["weight"]),
            node("RandomNormalLike", ["weight"], ["noise"]),
            node("Mul", ["noise", "zero"], ["silent"]),
            node("Add", ["weight", "zeros"], ["sum"]),
            node("Add", ["sum", "silent"], ["all"]),
            node("MatMul", ["x", "all"], ["y"]),
        ],
        {"x": ["rows", 64]},
        {"y": ["rows", 64]},
        {
            "sides": np.array([64, 64]),
            "small": np.arange(4096, dtype=np.int8).reshape(64, 64),
            "scale": np.array(0.1, np.float32),
            "zero": np.array(0, np.float32),
        },
    )
    found = check_same(model, {"x": floats(0, 5, 64)})
    assert kinds_of(found) == kinds_of(model)


def test_branches_see_what_was_renamed() -> None:
    """A branch that used an identity's output uses its input afterwards."""
    branches: dict[str, Any] = {
        f"{name}_branch": helper.make_graph(
            [node(kind, ["same", "copy"], [f"{name}_y"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, ["rows", 4])],
        )
        for name, kind in (("then", "Add"), ("else", "Sub"))
    }
    model = graph_model(
        [
            node("Identity", ["x"], ["same"]),
            node("Add", ["x", "weight"], ["z"]),
            node("If", ["condition"], ["y"], **branches),
        ],
        {"x": ["rows", 4], "condition": []},
        {"y": ["rows", 4], "z": ["rows", 4]},
        {"weight": floats(1, 4), "copy": floats(1, 4)},
        kinds={"condition": TensorProto.BOOL},
    )
    for condition in (True, False):
        rows = {"x": floats(0, 5, 4), "condition": np.array(condition)}
        found = check_same(model, rows)
    assert kinds_of(found) == ["Add", "If"]
    assert len(found.graph.initializer) == 1


def test_functions_are_inlined() -> None:
    """A model's own functions become nodes of ONNX."""
    opset = [helper.make_opsetid("", 17)]
    double = helper.make_function(
        "own", "Double", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], opset
    )
    model = helper.make_model(
        helper.make_graph(
            [node("Double", ["x"], ["y"], domain="own")],
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 4])],
        ),
        opset_imports=[*opset, helper.make_opsetid("own", 1)],
        functions=[double],
        ir_version=8,
    )
    assert kinds_of(check_same(model, {"x": floats(0, 3, 4)})) == ["Add"]


def test_weights_of_old_files_are_no_inputs() -> None:
    """Before version 4 initialisers were listed as inputs as well."""
    model = graph_model(
        [node("Add", ["x", "w"], ["y"])],
        {"x": ["rows", 4], "w": [4]},
        {"y": ["rows", 4]},
        {"w": floats(1, 4)},
        opset=9,
        ml=1,
    )
    model.ir_version = 3
    found = check_same(model, {"x": floats(0, 3, 4)})
    assert [each.name for each in found.graph.input] == ["x"]


def test_what_callers_can_override_is_no_constant() -> None:
    """Since version 4 an initialiser that is an input is a default."""
    model = graph_model(
        [node("Add", ["w", "w"], ["twice"]), node("Add", ["x", "twice"], ["y"])],
        {"x": ["rows", 4], "w": [4]},
        {"y": ["rows", 4]},
        {"w": floats(1, 4)},
    )
    found = check_same(model, {"x": floats(0, 3, 4)})
    assert outputs(found, {"x": floats(0, 3, 4), "w": np.zeros(4, np.float32)})["y"].any()
    assert kinds_of(found) == ["Add", "Add"]


def test_nan_weights_are_refused_with_their_place() -> None:
    """The message names the weight and its node; a NaN that is looked for is none."""
    bad = floats(1, 4, 4)
    bad[1, 2] = np.nan
    shape: Sequence[int | str] = ["rows", 4]
    shapes = {"x": shape}, {"y": shape}
    model = graph_model([node("MatMul", ["x", "w"], ["y"], name="head")], *shapes, {"w": bad})
    with pytest.raises(ForeignModelError, match=r"`w` of MatMul `head` are NaN in 1 of 16 places"):
        read_model(model.SerializeToString())
    fine = graph_model(
        [
            node(
                "Imputer",
                ["x"],
                ["y"],
                domain="ai.onnx.ml",
                imputed_value_floats=[0.0],
                replaced_value_float=float("nan"),
            )
        ],
        *shapes,
    )
    assert read_model(fine.SerializeToString()) == fine


def test_what_is_no_model_is_refused() -> None:
    """Other bytes get a message, no traceback of a parser."""
    with pytest.raises(ForeignModelError, match="no ONNX model"):
        read_model(b"\xff\xff\xff")


def test_large_rows_are_computed_in_parts() -> None:
    """Outputs are the same as of all rows at once; what has no axis of rows goes to each part."""
    model = graph_model(
        [node("Mul", ["x", "factor"], ["y"])],
        {"x": ["rows", 50_000], "factor": []},
        {"y": ["rows", 50_000]},
    )
    x = np.arange(90 * 50_000, dtype=np.float32).reshape(90, -1)
    found = outputs(model, {"x": x, "factor": np.array(2, np.float32)})
    assert np.array_equal(found["y"], 2 * x)
