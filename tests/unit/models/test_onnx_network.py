"""Networks that were trained elsewhere as estimators over data frames."""

from collections.abc import Mapping

import numpy as np
import onnx
import pandas as pd
import pytest
import skops.io
from onnx import TensorProto, helper

from common.models.estimators.blending import BlendedClassifier, BlendGroup
from common.models.estimators.onnx_network import OnnxClassifier, OnnxRegressor
from common.models.estimators.picture_cells import cells_of
from common.models.preprocessing import TextColumns
from common.models.skops_model import open_skops
from common.models.tokenization import TextTokenizer, trained_tokenizer


def network(node_type: str, inputs: Mapping[str, tuple[int, list[int]]], width: int) -> bytes:
    """Returns a network whose outputs are sums of its inputs, made probabilities or not."""
    nodes, parts = [], []
    for name in inputs:
        nodes.append(helper.make_node("Cast", [name], [f"{name}_f"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Flatten", [f"{name}_f"], [f"{name}_r"]))
        parts.append(f"{name}_r")
    nodes.append(helper.make_node("Concat", parts, ["all"], axis=1))
    nodes.append(helper.make_node(node_type, ["all"], ["out"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(name, kind, ["rows", *shape])
            for name, (kind, shape) in inputs.items()
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["rows", width])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


TABLE = {"numeric": (TensorProto.DOUBLE, [1]), "categories": (TensorProto.INT64, [2])}
FRAME = pd.DataFrame(
    {
        "colour": pd.Series(["red", "blue", np.nan], dtype=object),
        "size": [0.0, 1.0, 2.0],
        "is_new": [1.0, 0.0, np.nan],
    }
)


@pytest.fixture
def classifier() -> OnnxClassifier:
    content = network("Softmax", TABLE, 3)
    labels = {"colour": ["blue", "red"], "is_new": ["false", "true"]}
    return OnnxClassifier.of(
        content,
        list(FRAME.columns),
        ["a", "b", "c"],
        ["c", "a"],
        numbers=["size"],
        categories=labels,
    )


def test_a_table_goes_in_as_the_network_takes_it(classifier: OnnxClassifier) -> None:
    """Labels become codes, missing and unknown ones 0; classes are put in the wanted order."""
    raw = np.array([[0, 2, 2], [1, 1, 1], [2, 0, 0]], float)
    shares = np.exp(raw)[:, [2, 0]]
    expected = shares / shares.sum(axis=1, keepdims=True)
    assert np.allclose(classifier.predict_proba(FRAME), expected, atol=1e-6)
    assert classifier.predict(FRAME).tolist() == expected.argmax(axis=1).tolist()


def test_it_is_kept_by_skops_and_part_of_a_blend(classifier: OnnxClassifier) -> None:
    blend = BlendedClassifier.of([BlendGroup([classifier], 1.0)], list(FRAME.columns), ["c", "a"])
    classifier.predict_proba(FRAME)  # What is opened to predict is not kept.
    model = open_skops(skops.io.dumps(blend), "model")
    types = {each.name: each.dtype for each in model.signature.inputs}
    assert types == {"colour": "object", "size": "float64", "is_new": "float64"}
    inputs = {name: FRAME[name].to_numpy() for name in FRAME}
    found = model.predict(inputs)["probabilities"]
    assert np.allclose(found, classifier.predict_proba(FRAME))


def test_pictures_go_in_as_they_are() -> None:
    content = network("ReduceSum", {"image": (TensorProto.UINT8, [1, 2, 2])}, 1)
    pictures = np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2)
    frame = pd.DataFrame({"photo": pd.Series(cells_of(pictures), dtype=object)})
    made = OnnxRegressor.of(content, ["photo"], picture=("photo", (1, 2, 2)))
    assert made.predict(frame).sum() == 28
    [(place, known)] = made.known_values()
    assert place == 0 and np.shape(np.asarray(known[0])) == (1, 2, 2)


def test_texts_go_in_as_tokens() -> None:
    """The tokenizer is part of what is kept; missing texts are empty ones."""
    texts, length = ["a red house", "a blue house", "the sea"], 8
    tokenizer = trained_tokenizer(texts, 300, length)
    columns = TextColumns(
        names=("note",), max_length=length, vocabulary_size=300, tokenizer=tokenizer
    )
    content = network("Softmax", {"tokens": (TensorProto.INT64, [length])}, length)
    classes = [str(each) for each in range(length)]
    made = OnnxClassifier.of(content, ["note"], classes, classes, text=columns.model_dump_json())
    told = np.array([*texts, None], object)
    shares = np.exp(TextTokenizer(columns).tokens([told]).astype(float))
    expected = shares / shares.sum(axis=1, keepdims=True)
    frame = pd.DataFrame({"note": pd.Series([*texts, np.nan], dtype=object)})
    assert np.allclose(made.predict_proba(frame), expected, atol=1e-6)
    blend = BlendedClassifier.of([BlendGroup([made], 1.0)], ["note"], classes)
    model = open_skops(skops.io.dumps(blend), "model")
    assert {each.name: each.dtype for each in model.signature.inputs} == {"note": "object"}
    assert np.allclose(model.predict({"note": told})["probabilities"], expected, atol=1e-6)
