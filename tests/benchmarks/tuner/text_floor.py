"""What anybody tries first on texts: TF-IDF and logistic regression; see `rivals.table_task`."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tests.benchmarks.tuner.rivals.table_task import TARGET, Task


def main() -> None:
    """Learns, and predicts."""
    task = Task.asked()
    train, test = task.train(), task.test()
    [text] = test.columns
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    model.fit(train[text], train[TARGET])
    task.answer(model.predict_proba(test[text]))


if __name__ == "__main__":
    main()
