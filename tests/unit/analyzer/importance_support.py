"""What tests of importance share."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from aimass.catalog.v1 import model_pb2
from common.data.schema import Column, ColumnType, Task
from common.models.frames import columns_of
from common.models.skops_model import SkopsModel
from services.analyzer.domain.models.foreign import SklearnAnalysed
from services.analyzer.domain.subject import Subject
from tests.support.analysis import sample_of, subject_of


def reviews(rows: int = 120) -> Subject:
    """A pipeline that goes by the word `good` in a text and, less, by a category."""
    generator = np.random.default_rng(0)
    words = np.array(["film", "plot", "actor", "long", "night"])
    is_good = np.arange(rows) % 2 == 0
    texts = [
        " ".join(generator.permutation([*generator.choice(words, 3), "Good" if good else "bad"]))
        for good in is_good.tolist()
    ]
    kinds = np.where(generator.random(rows) < 0.8, is_good, ~is_good).astype(np.int32)
    kinds[::10] = -1
    values = {"text": np.array(texts, dtype=object), "kind": kinds}
    columns = {
        "text": Column("text", ColumnType.TEXT),
        "kind": Column("kind", ColumnType.CATEGORICAL, categories=("drama", "fun")),
    }
    sample = sample_of(columns, values, is_good.astype(np.int64))
    labels: list[Any] = ["drama", "fun", np.nan]
    frame = pd.DataFrame({"text": texts, "kind": [labels[code] for code in kinds.tolist()]})
    estimator = make_pipeline(
        make_column_transformer(
            (CountVectorizer(), "text"), (OneHotEncoder(handle_unknown="ignore"), ["kind"])
        ),
        LogisticRegression(),
    ).fit(frame, is_good.astype(np.int64))
    signature = model_pb2.Signature(
        inputs=[model_pb2.TensorSpec(name=name, dtype="object", shape=[-1]) for name in values],
        classes=["0", "1"],
    )
    model = SkopsModel(estimator, columns_of(estimator, list(values)), True, signature)
    analysed = SklearnAnalysed(model, Task.CLASSIFICATION, ("0", "1"), list(columns.values()))
    return subject_of(analysed, sample)
