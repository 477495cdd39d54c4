"""Whole trainings on texts, in a world of one, in this process."""

from pathlib import Path

import numpy as np
import pytest

from aimass.catalog.v1 import dataset_pb2
from common.data.schema import Column, ColumnType, NumericStatistics
from common.errors import InvalidFieldError
from common.models.package import load_package
from common.models.store import read_part, read_preprocessing
from common.models.twin import run_onnx
from common.models.vectors import read_vectors
from common.testing.datasets import text_array
from services.trainer.domain.text import TextSettings, resolved_text
from services.trainer.worker.tokens import cached_tokens
from tests.support.training import Array, Desk, resolve_spec, split_parts

PLACES, PEOPLE = ("town", "river", "island", "street"), ("king", "singer", "doctor", "child")
KEPT = {"text": {"vocabulary_size": 400, "max_length": 16}, "epochs": 8, "batch_size": 32}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def questions(
    desk: Desk, rows: int = 400, *, with_table: bool = False
) -> dataset_pb2.DatasetVersion:
    """Questions about places and people; those of places count where a number is large."""
    generator = np.random.default_rng(0)
    is_place = generator.random(rows) < 0.5
    words = [generator.choice(PLACES if each else PEOPLE) for each in is_place]
    asked = [f"Tell me of the {word}, number {row}!" for row, word in enumerate(words)]
    columns: dict[str, Array] = {"question": text_array([None, *asked[1:]])}
    if with_table:
        size = generator.normal(size=rows)
        columns["size"] = size
        columns["kind"] = generator.choice(np.array(["a", "b"], object), rows)
        is_place &= size > 0
    columns["label"] = np.where(is_place, "place", "person").astype(object)
    return desk.dataset(columns, split_parts(rows, test=0.1), "label")


def test_data_set_and_target_are_enough(desk: Desk) -> None:
    """Protects defaults: a column of text alone trains well."""
    job = desk.job(questions(desk), {})
    assert job.specification.network is not None
    assert job.specification.network.kind == "embedding_bag"
    assert job.specification.text is not None and job.specification.text.max_length == 128
    assert desk.train(job).metrics["validation/accuracy"] > 0.95


@pytest.mark.parametrize("kind", ["embedding_bag", "text_transformer"])
@pytest.mark.parametrize("with_table", [False, True])
def test_a_package_takes_raw_texts(desk: Desk, kind: str, *, with_table: bool) -> None:
    """Protects predictions: tokenizer, network, twin and test vectors say the same."""
    blocks = {"head_width": 8, "blocks": [{}]} if kind == "text_transformer" else {}
    network = {kind: {"width": 16, **blocks}}
    spec = {**KEPT, "epochs": 20, "network": network, "optimizer": {"learning_rate": 0.01}}
    job = desk.job(questions(desk, with_table=with_table), spec)
    outcome = desk.train(job)
    version = desk.package(job)
    assert outcome.metrics["validation/accuracy"] > 0.85
    assert version.metrics["onnx/max_abs_error"] < 1e-5
    assert [(each.name, each.dtype) for each in version.signature.inputs][-1] == ("tokens", "int64")
    model = load_package(desk.store, version)
    vectors = read_vectors(version, desk.store)
    texts = np.array(["Tell me of the river, number 7!", None], dtype=object)
    inputs = {name: values[:2] for name, values in vectors.inputs.items()}
    del inputs["tokens"]
    (found,) = model.predict({**inputs, "text": texts}).values()
    tokens = model.predict({**inputs, "text": texts.reshape(2, 1)})
    np.testing.assert_array_equal(next(iter(tokens.values())), found)
    onnx = run_onnx(read_part(version, "onnx", desk.store), vectors.inputs)
    expected = vectors.outputs["probabilities"].astype(np.float64)
    np.testing.assert_allclose(onnx.astype(np.float64), expected, atol=1e-5)


def test_the_tokenizer_is_a_file_of_the_package(desk: Desk) -> None:
    """Protects others who want to use it, with the library that it is of."""
    job = desk.job(questions(desk), {**KEPT, "epochs": 1})
    desk.train(job)
    version = desk.package(job)
    assert b'"tokenizer":"tokenizer.json"' in read_part(version, "preprocessing", desk.store)
    assert read_part(version, "tokenizer", desk.store).startswith(b"{")
    assert read_preprocessing(version, desk.store) == job.preprocessing


def test_a_child_keeps_the_tokenizer(desk: Desk) -> None:
    """Protects weights that mean something with their own tokens only."""
    data = questions(desk)
    job = desk.job(data, {**KEPT, "epochs": 1})
    desk.train(job)
    version = desk.package(job)
    child = desk.job(data, {"epochs": 1}, "child", version)
    assert child.preprocessing == job.preprocessing
    assert child.specification.text == job.specification.text
    with pytest.raises(InvalidFieldError, match="keeps the tokenizer") as caught:
        desk.job(data, {"text": {"vocabulary_size": 500}}, "other", version)
    assert caught.value.violations[0].field == "training_run.spec.text.vocabulary_size"


def test_tokens_are_made_once_per_host(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the time to recover: a new world finds them."""
    data = questions(desk)
    text = desk.job(data, KEPT).preprocessing.text
    assert text is not None
    first = cached_tokens(desk.cache, data, desk.store, text)
    assert first.dtype == np.uint16 and first.shape == (400, 16)
    monkeypatch.setattr("services.trainer.worker.tokens.tokenizer_of", None)
    np.testing.assert_array_equal(cached_tokens(desk.cache, data, desk.store, text), first)


@pytest.mark.parametrize(
    ("spec", "field", "cure"),
    [
        ({"network": {"mlp": {}}}, "network", "use embedding_bag or text_transformer"),
        ({"text": {"max_length": 9}, "features": ["size"]}, "text", "leave this out"),
        ({"target": "question"}, "target", "choose another"),
    ],
)
def test_what_does_not_fit_texts_is_refused(
    desk: Desk, spec: dict[str, object], field: str, cure: str
) -> None:
    data = questions(desk, 40, with_table=True)
    with pytest.raises(InvalidFieldError, match=cure) as caught:
        resolve_spec(data, spec)
    assert caught.value.violations[0].field == f"training_run.spec.{field}"


@pytest.mark.parametrize(
    ("letters", "expected"), [((30.0,), 16), ((130.0,), 48), ((30.0, 130.0), 56), ((9e3,), 256)]
)
def test_the_length_follows_from_the_letters(letters: tuple[float, ...], expected: int) -> None:
    """Protects time: short texts are not filled up to the length of long ones."""
    columns = [
        Column(
            f"c{place}",
            ColumnType.TEXT,
            text_length=NumericStatistics(0, 1e5, 0, 0, percentiles=(0.0,) * 19 + (most, 1e5)),
        )
        for place, most in enumerate(letters)
    ]
    found = resolved_text(None, columns, None, "text")
    assert found == TextSettings(vocabulary_size=4_096, max_length=expected)
    assert resolved_text(found, columns, None, "text") == found
