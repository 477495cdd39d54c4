"""Which skops files are opened."""

import numpy as np
import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from common.models.skops_model import open_skops


def test_neighbours_of_texts_open() -> None:
    """They keep the rows that they know as a sparse matrix."""
    texts = pd.DataFrame({"text": ["good fine", "bad ugly", "fine", "ugly"]})
    words = ColumnTransformer([("words", TfidfVectorizer(), "text")], sparse_threshold=1.0)
    pipeline = make_pipeline(words, KNeighborsClassifier(1)).fit(texts, [1, 0, 1, 0])
    model = open_skops(skops.io.dumps(pipeline), "model")
    outputs = model.predict({"text": np.array(["good", "bad"], object)})
    assert outputs["probabilities"].tolist() == [[0.0, 1.0], [1.0, 0.0]]
