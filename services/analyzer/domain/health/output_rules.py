"""Rules about what a model gives for rows."""

from collections.abc import Iterator

import numpy as np

from common.data.schema import Task
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.health.rules import Finding, Grade, Results, Rule
from services.analyzer.domain.metrics import Metric, Scorer
from services.analyzer.domain.sample import UNKNOWN_CLASS
from services.analyzer.domain.subject import Subject

_MOST_TRAINING_ROWS, _LEAST_TRAINING_ROWS = 2_000, 200
_TRAINING_SECONDS = 3.0
_LEAST_GAP, _GRAVE_GAP = 0.05, 0.15
_POOR_CALIBRATION, _BAD_CALIBRATION = 0.05, 0.15
_BINS = 15
_LEAST_CLASS_ROWS = 5
_RECORDED_GAP = 0.05
_Z = 3.0
_GUESSES = {
    Task.CLASSIFICATION: "the most frequent class",
    Task.MULTI_LABEL: "what is most frequent of each label",
    Task.REGRESSION: "the mean",
}


def constant_output(subject: Subject, results: Results) -> Iterator[Finding]:
    """The model says the same of every row."""
    outputs = subject.outputs
    if np.ptp(outputs, axis=0).max() <= 1e-9 * float(np.abs(outputs).max()):
        yield Finding(
            "constant_output",
            Grade.PROBLEM,
            f"The model gives the same output for all {len(outputs):,} rows.",
            "Look for dead layers and for inputs that never reach the model, lower the learning "
            "rate, and train again.",
        )


def class_never_predicted(subject: Subject, results: Results) -> Iterator[Finding]:
    """A class of the data that the model never names."""
    _only(subject, Task.CLASSIFICATION)
    predicted = set(subject.outputs.argmax(axis=1).tolist())
    codes, counts = np.unique(subject.truth, return_counts=True)
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        if code in predicted or code == UNKNOWN_CLASS or count < _LEAST_CLASS_ROWS:
            continue
        label = subject.model.outputs[code]
        yield Finding(
            "class_never_predicted",
            Grade.PROBLEM,
            f"The class `{label}` has {count:,} rows, and the model never names it.",
            "Weigh its rows more, add rows of it, or lower the threshold for it.",
            label,
        )


def unknown_class(subject: Subject, results: Results) -> Iterator[Finding]:
    """Rows of classes that the model has not learned."""
    _only(subject, Task.CLASSIFICATION)
    count = int((subject.truth == UNKNOWN_CLASS).sum())
    if count:
        yield Finding(
            "unknown_class",
            Grade.WARNING,
            f"{count:,} of {subject.sample.count:,} rows are of classes that the model does not "
            "know; it cannot be right there.",
            "Train on data that has these classes.",
        )


def no_better_than_a_guess(subject: Subject, results: Results) -> Iterator[Finding]:
    """A constant guess does as well."""
    scorer = Scorer(_plain_metric(subject), subject.model.task, subject.truth)
    scores = scorer.rows(subject.outputs)
    guess = scorer.rows(_constant_guess(subject))
    gain = scores - guess
    error = float(gain.std(ddof=1)) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
    if float(gain.mean()) <= 2 * error:
        yield Finding(
            "no_better_than_a_guess",
            Grade.PROBLEM,
            f"The model's {scorer.metric.label} is {scores.mean():.3g}; always guessing "
            f"{_GUESSES[subject.model.task]} has {guess.mean():.3g}.",
            "Check that inputs and target belong together, and train longer or another model.",
        )


def train_gap(subject: Subject, results: Results) -> Iterator[Finding]:
    """The model does much better on rows that it was trained on."""
    if subject.training is None or subject.training.truth is None:
        raise NotApplicableError("There are no training rows to compare with.")
    affordable = int(_TRAINING_SECONDS / max(subject.seconds_per_row, 1e-9))
    rows = min(_MOST_TRAINING_ROWS, max(_LEAST_TRAINING_ROWS, affordable))
    training = subject.training.drawn(rows, subject.settings.seed)
    metric = _plain_metric(subject)
    assert training.truth is not None
    before = Scorer(metric, subject.model.task, training.truth).rows(subject.predict(training.raw))
    now = Scorer(metric, subject.model.task, subject.truth).rows(subject.outputs)
    gap = float(before.mean() - now.mean())
    error = float(np.hypot(before.std() / np.sqrt(len(before)), now.std() / np.sqrt(len(now))))
    if gap < _LEAST_GAP or gap < _Z * error:
        return
    yield Finding(
        "train_gap",
        Grade.PROBLEM if gap >= _GRAVE_GAP else Grade.WARNING,
        f"{metric.label.capitalize()} is {before.mean():.3g} on training rows and "
        f"{now.mean():.3g} on the rows looked at: it has learned some by heart.",
        "Use more data, augmentation, a smaller network, weight decay, dropout or early stopping.",
    )


def poor_calibration(subject: Subject, results: Results) -> Iterator[Finding]:
    """What the model is sure of is not as often right."""
    _only(subject, Task.CLASSIFICATION)
    if not subject.model.gives_probabilities:
        raise NotApplicableError("The model gives no probabilities.")
    sure = subject.outputs.max(axis=1)
    right = subject.outputs.argmax(axis=1) == subject.truth
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    counts = np.maximum(np.bincount(bins, minlength=_BINS), 1)
    gaps = np.bincount(bins, right - sure, _BINS) / counts
    shares = np.bincount(bins, minlength=_BINS) / len(sure)
    error = float(np.abs(gaps) @ shares)
    # So large an error comes of chance alone.
    chance = float((np.sqrt(shares * (1 - shares) / len(sure)) + np.sqrt(shares / len(sure))).sum())
    if error < _POOR_CALIBRATION or error < chance / 2:
        return
    word = "more" if float((right - sure).mean()) < 0 else "less"
    yield Finding(
        "poor_calibration",
        Grade.WARNING if error >= _BAD_CALIBRATION else Grade.NOTE,
        f"The model is {word} sure than it is right: expected calibration error {error:.3f}, mean "
        f"confidence {sure.mean():.3f}, accuracy {right.mean():.3f}.",
        "Calibrate it (temperature scaling, or isotonic regression on validation rows) before its "
        "probabilities are used.",
    )


def worse_than_recorded(subject: Subject, results: Results) -> Iterator[Finding]:
    """The metric on these rows is far below the one in the model's record."""
    _only(subject, Task.CLASSIFICATION)
    recorded = subject.metrics.get("test/accuracy", subject.metrics.get("validation/accuracy"))
    if recorded is None:
        raise NotApplicableError("The model's record has no accuracy to compare with.")
    right = Scorer(Metric.ACCURACY, Task.CLASSIFICATION, subject.truth).rows(subject.outputs)
    error = float(right.std()) / np.sqrt(len(right))
    if recorded - right.mean() > max(_RECORDED_GAP, _Z * error):
        yield Finding(
            "worse_than_recorded",
            Grade.WARNING,
            f"Accuracy is {right.mean():.3f} on these rows, and {recorded:.3f} in the model's "
            "record.",
            "Check whether these data are like those it was trained on; see drift.",
        )


def _plain_metric(subject: Subject) -> Metric:
    return Metric.R2 if subject.model.task is Task.REGRESSION else Metric.ACCURACY


def _constant_guess(subject: Subject) -> np.ndarray:
    """Returns outputs that say the same of all rows: the best constant."""
    truth, outputs = subject.truth, np.zeros_like(subject.outputs)
    if subject.model.task is Task.REGRESSION:
        outputs[:, 0] = truth.astype(np.float64).mean()
    elif subject.model.task is Task.MULTI_LABEL:
        outputs[:] = truth.astype(np.float64).mean(axis=0)
    else:
        known = truth[truth != UNKNOWN_CLASS].astype(np.int64)
        outputs[:, np.bincount(known, minlength=outputs.shape[1]).argmax()] = 1
    return outputs


def _only(subject: Subject, task: Task) -> None:
    if subject.model.task is not task:
        raise NotApplicableError(f"It is for {task}.")


RULES: dict[str, Rule] = {
    "constant_output": constant_output,
    "class_never_predicted": class_never_predicted,
    "unknown_class": unknown_class,
    "no_better_than_a_guess": no_better_than_a_guess,
    "train_gap": train_gap,
    "poor_calibration": poor_calibration,
    "worse_than_recorded": worse_than_recorded,
}
