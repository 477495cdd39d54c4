"""Columns that a model does not need: which go, which stay, and what is said of them."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from services.pruner.domain.features.needed import needed_columns
from services.pruner.domain.features.verdicts import FewerColumns

ROWS, LEARNED = 900, 600
RANDOM = np.random.default_rng(0)
PLAIN = pd.DataFrame(RANDOM.normal(size=(ROWS, 3)), columns=["signal", "weak", "noise"])
CLASSES = (
    (2 * PLAIN.signal + 0.5 * PLAIN.weak + RANDOM.normal(size=ROWS) > 0).to_numpy().astype(int)
)
BLUR = 0.1 * RANDOM.normal(size=(3, ROWS))

Make = Callable[[pd.DataFrame, npt.NDArray[Any]], Any]


def brier(model: Any, frame: pd.DataFrame, truth: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    wanted = truth[:, None] == model.classes_
    return np.asarray(np.square(model.predict_proba(frame) - wanted).sum(axis=1))


def squares(model: Any, frame: pd.DataFrame, truth: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(np.square(model.predict(frame) - truth))


def logistic(frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
    return LogisticRegression().fit(frame, truth)


def needed(
    frame: pd.DataFrame,
    truth: npt.NDArray[Any],
    make: Make = logistic,
    row_losses: Any = brier,
    seconds: float = 60.0,
    check: Callable[[], None] = lambda: None,
) -> FewerColumns:
    learned, held_out = frame[:LEARNED], frame[LEARNED:]
    return needed_columns(
        make(learned, truth[:LEARNED]),
        lambda columns: make(learned[columns], truth[:LEARNED]),
        learned,
        truth[:LEARNED],
        held_out,
        truth[LEARNED:],
        row_losses,
        0,
        check,
        seconds,
    )


def reasons(found: FewerColumns) -> dict[str, str]:
    return {each.name: each.reason for each in found.verdicts}


def test_noise_goes_and_signals_stay() -> None:
    """A weak signal is no noise; what is said is measured, in the order of the columns."""
    found = needed(PLAIN, CLASSES)
    assert found.kept == ("signal", "weak")
    assert [(each.name, each.is_kept) for each in found.verdicts] == [
        ("signal", True),
        ("weak", True),
        ("noise", False),
    ]
    signal, weak, noise = (each.importance for each in found.verdicts)
    assert signal > weak > max(noise, 0.0)
    assert "no more of the target than chance" in reasons(found)["noise"]
    learned, own = PLAIN[:LEARNED], CLASSES[:LEARNED]
    for columns, loss in ((list(PLAIN), found.loss_before), (["signal", "weak"], found.loss_after)):
        model = logistic(learned[columns], own)
        assert loss == pytest.approx(
            brier(model, PLAIN[columns][LEARNED:], CLASSES[LEARNED:]).mean()
        )


def test_of_copies_exactly_one_stays() -> None:
    """They neither protect each other, nor vanish all."""
    copies = {f"copy_{place}": PLAIN.signal for place in range(3)}
    found = needed(PLAIN.assign(**copies), CLASSES)
    signals = [each for each in found.kept if each not in ("weak", "noise")]
    assert len(signals) == 1
    gone = next(each for each in copies if each not in found.kept)
    assert f"nearly the same as `{signals[0]}`" in reasons(found)[gone]


def test_of_what_is_nearly_the_same_most_goes() -> None:
    """The mean of two may tell a little more than one of them."""
    blurred = {f"blurred_{place}": PLAIN.signal + BLUR[place] for place in range(3)}
    found = needed(PLAIN.assign(**blurred), CLASSES)
    assert 1 <= len(set(found.kept) - {"weak", "noise"}) <= 2


def test_columns_that_tell_only_together_stay() -> None:
    """Neither of them tells anything alone: the model's loss shows it, also where one is twice."""
    frame = PLAIN.assign(other=PLAIN.weak)
    truth = (PLAIN.signal * PLAIN.weak > 0).to_numpy()

    def knowing(frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
        return list(frame)

    def losses(model: list[str], frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
        twins = [each for each in ("weak", "other") if each in model]
        if "signal" not in model or not twins:
            return np.full(len(frame), 0.25)
        said = np.mean([frame.signal * frame[each] > 0 for each in twins], axis=0)
        return np.square(0.8 * (said - truth) + 0.1)

    found = needed(frame, truth, knowing, losses)
    assert found.kept in (("signal", "weak"), ("signal", "other"))


def test_what_a_model_is_worse_without_stays() -> None:
    """Whatever tests say, the refit decides; halves of what cannot go together still go."""

    def knowing(frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
        return list(frame)

    def losses(model: list[str], frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
        return np.where("noise" in model, 1.0, 1.5) + np.zeros(len(frame))

    noises = {f"noise_{i}": RANDOM.normal(size=ROWS) for i in range(3)}
    found = needed(PLAIN[["signal", "noise"]].assign(**noises), CLASSES, knowing, losses)
    assert found.kept == ("signal", "noise")
    assert "but without it the loss changed by +0.5" in reasons(found)["noise"]


def test_without_time_nothing_goes_and_this_is_said() -> None:
    found = needed(PLAIN, CLASSES, seconds=0.0)
    assert found.kept == tuple(PLAIN)
    assert found.loss_after == found.loss_before
    assert "time was up" in reasons(found)["noise"]


def test_no_model_is_fitted_that_would_be_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last one took is looked at before the next."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    fitted = []

    def slow(frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
        fitted.append(frame.shape[1])
        clock[0] += 4.0 if frame.shape[1] < 60 else 0.0
        return LogisticRegression(max_iter=20, tol=1.0).fit(frame, truth)

    def worse(model: Any, frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
        return np.full(len(frame), 60 - frame.shape[1])

    wide = pd.DataFrame(RANDOM.normal(size=(ROWS, 60))).add_prefix("column_")
    found = needed(wide, CLASSES, slow, worse, seconds=10.0)
    assert len(fitted) == 3, "the first, and two after it"
    assert clock[0] <= 10.0
    assert len(found.kept) == 60


def test_one_column_stays() -> None:
    """Alone, constant or noise: a model takes something."""
    assert needed(PLAIN[["noise"]], CLASSES).kept == ("noise",)
    assert needed(PLAIN[["signal"]], CLASSES).kept == ("signal",)
    noises = pd.DataFrame(RANDOM.normal(size=(ROWS, 4)), columns=list("abcd"))
    assert len(needed(noises, CLASSES).kept) == 1


def test_constant_columns_go() -> None:
    found = needed(PLAIN.assign(same=1.0, none=np.nan), CLASSES, filled)
    assert found.kept == ("signal", "weak")
    assert reasons(found)["same"].startswith("It has the same value in all rows")
    assert reasons(found)["none"].startswith("It has the same value in all rows")


def filled(frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
    fill = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
    return make_pipeline(fill, LogisticRegression()).fit(frame, truth)


def mixed(frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
    texts = [(CountVectorizer(), name) for name in ("note", "chatter") if name in frame]
    encoder = OneHotEncoder(handle_unknown="ignore")
    levels = [name for name in ("city", "colour", "member", "happy") if name in frame]
    numbers = make_column_selector(dtype_include="float64")
    fill = SimpleImputer(add_indicator=True)
    columns = make_column_transformer((fill, numbers), (encoder, levels), *texts)
    return make_pipeline(columns, LinearRegression()).fit(frame, truth)


def test_columns_of_all_kinds() -> None:
    """Categories, truth values, texts, and numbers of which only the gaps tell something."""
    cities = RANDOM.choice(np.array(["rome", "oslo", "bern", None], object), ROWS)
    is_member = RANDOM.random(ROWS) < 0.3
    has_gap = RANDOM.random(ROWS) < 0.3
    words = np.array(["old", "new", "big", "red", "wet"])
    notes, chatter = (
        pd.Series([" ".join(RANDOM.choice(words, 4)) for _ in range(ROWS)], dtype=object)
        for _ in range(2)
    )
    frame = pd.DataFrame(
        {
            "city": cities,
            "colour": RANDOM.choice(np.array(["red", "blue"], object), ROWS),
            "member": is_member,
            "happy": RANDOM.random(ROWS) < 0.5,
            "age": np.where(has_gap, np.nan, RANDOM.normal(size=ROWS)),
            "size": np.where(RANDOM.random(ROWS) < 0.3, np.nan, RANDOM.normal(size=ROWS)),
            "note": notes,
            "chatter": chatter,
        }
    )
    truth = (cities == "rome") + is_member + has_gap + 0.7 * notes.str.count("old").to_numpy()
    truth = (truth + 0.5 * RANDOM.normal(size=ROWS)).astype(np.float64)
    assert needed(frame, truth, mixed, squares).kept == ("city", "member", "age", "note")


def test_several_targets() -> None:
    """A column that tells of one of them is needed."""
    truth = np.column_stack([PLAIN.signal, PLAIN.weak]) + 0.5 * RANDOM.normal(size=(ROWS, 2))

    def losses(model: Any, frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
        return np.square(model.predict(frame) - truth).mean(axis=1)

    def linear(frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
        return LinearRegression().fit(frame, truth)

    assert needed(PLAIN, truth, linear, losses).kept == ("signal", "weak")


def test_a_column_that_harms_goes_though_it_tells_something() -> None:
    """Its meaning is another in the rows that were held out."""
    truth = PLAIN.signal.to_numpy() + 0.3 * RANDOM.normal(size=ROWS)
    turned = np.where(np.arange(ROWS) < LEARNED, truth, -truth)
    frame = PLAIN[["signal"]].assign(turned=turned + 0.3 * RANDOM.normal(size=ROWS))
    found = needed(frame, truth, lambda *rows: RandomForestRegressor(20).fit(*rows), squares)
    assert found.kept == ("signal",)
    assert reasons(found)["turned"].startswith("The model is better without it")


def test_rows_of_one_class_only_and_infinite_losses() -> None:
    """Rows that were held out may be few and alike: nothing that tells something is lost."""
    order = np.argsort(CLASSES, kind="stable")
    truth = CLASSES[order].copy()
    truth[:50] = 1
    found = needed(PLAIN.iloc[order].reset_index(drop=True), truth)
    assert "signal" in found.kept

    def infinite(model: Any, frame: pd.DataFrame, truth: npt.NDArray[Any]) -> Any:
        return np.full(len(frame), np.inf)

    assert needed(PLAIN, CLASSES, row_losses=infinite).kept == tuple(PLAIN)


def test_without_rows_to_judge_by_it_is_refused() -> None:
    with pytest.raises(ValueError, match="there are none"):
        needed(PLAIN[:LEARNED], CLASSES[:LEARNED])


def test_it_can_be_stopped() -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        needed(PLAIN, CLASSES, check=stop)
