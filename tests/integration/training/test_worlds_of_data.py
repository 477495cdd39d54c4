"""Data of all types are trained on alike in worlds of any size."""

import numpy as np
import pytest

from common.data.schema import TimeSeries
from common.testing.datasets import text_array
from tests.support.training import split_parts
from tests.support.worlds import SPEC, Worlds, assert_the_world_does_not_matter, columns

pytestmark = pytest.mark.slow


def test_texts_train_the_same_in_worlds_of_any_size(worlds: Worlds) -> None:
    """Protects what padding must not change: each worker's rows are as long as its longest."""
    desk, generator = worlds.desk, np.random.default_rng(0)
    is_warm = generator.random(203) < 0.5
    words = np.where(is_warm, "warm and sunny ", "cold ")
    notes = [str(each) * int(generator.integers(1, 9)) for each in words]
    label = np.where(is_warm, "up", "down").astype(object)
    data = desk.dataset({"note": text_array(notes), "label": label}, split_parts(203), "label")
    network = {"text_transformer": {"width": 16, "dropout": 0, "blocks": [{}]}}
    plain = {**SPEC, "weight_column": "", "network": network, "epochs": 4}
    alone, changing = desk.job(data, plain, run="alone"), desk.job(data, plain, run="changing")
    endings = worlds.run(
        worlds.world(alone, size=1),
        worlds.world(changing, size=2, kill_at=7),
        worlds.world(changing, size=1, kill_at=13),
        worlds.world(changing, size=2),
    )
    assert endings[-1].exit_codes == [0, 0]
    one, other = worlds.history(alone), worlds.history(changing)
    np.testing.assert_allclose(other, one, rtol=1e-2, atol=1e-3)


def test_augmented_rows_survive_changes_of_the_world(worlds: Worlds) -> None:
    """Protects augmentation: rows, and partners of other workers, are what one alone makes them."""
    desk = worlds.desk
    generator = np.random.default_rng(4)
    labels = np.array(["dark", "light"], object)
    codes = generator.integers(0, 2, 151)
    pictures = generator.integers(0, 150, (151, 3, 12, 12)) + 100 * codes[:, None, None, None]
    table = {"w": columns(151)["w"], "picture": pictures.astype(np.uint8), "y": labels[codes]}
    data = desk.dataset(table, split_parts(151), "y")
    kinds = ("flip", "crop", "affine", "color", "erasing", "rand_augment", "mixup", "cut_mix")
    spec = {
        **SPEC,
        "network": {"cnn": {"blocks": [{"channels": 4}], "batch_norm": False}},
        "optimizer": {"learning_rate": 0.002, "accumulation_steps": 2},
        "schedule": {},
        "precision": "fp32",
        "augmentation": {"policies": [{"probability": 0.7, kind: {}} for kind in kinds]},
        "epochs": 4,
    }
    assert_the_world_does_not_matter(worlds, data, spec, (5, 11))


def test_several_labels_survive_changes_of_the_world(worlds: Worlds) -> None:
    """Protects labels: sums of each are added up over one, three and two workers alike."""
    desk = worlds.desk
    table = columns(151)
    values = table.pop("y").astype(np.float64)
    labels = {"large": values > 1.8, "small": values < 1.0}
    data = desk.labelled({**table, **labels}, split_parts(151), tuple(labels))
    spec = {
        **SPEC,
        "network": {"mlp": {"hidden_widths": [16]}},
        "loss": {"class_weighting": "balanced"},
        "epochs": 6,
    }
    assert_the_world_does_not_matter(worlds, data, spec)


def test_forecasts_survive_changes_of_the_world(worlds: Worlds) -> None:
    """Protects windows: one, three and two workers see the same ones in each step."""
    hours = 120
    step = np.arange(hours)
    noise = np.random.default_rng(4).normal(size=2 * hours)
    table = {
        "time": np.tile(np.datetime64("2024-01-01", "us") + step * np.timedelta64(1, "h"), 2),
        "shop": np.repeat(np.array(["a", "b"], object), hours),
        "y": np.concatenate([np.sin(step / 4), 50 * np.cos(step / 4)]) + 0.1 * noise,
    }
    shops = TimeSeries("time", "shop", (), "h", 2)
    data = worlds.desk.series(table, np.zeros(2 * hours, np.uint8), "y", shops)
    spec = {
        "forecast": {"horizon": 4, "window": 24},
        "network": {"tcn": {"channels": [4, 4]}},
        "workers": {"min": 2},
        "batch_size": 1_021,
        "epochs": 6,
        "commit_steps": 3,
    }
    assert_the_world_does_not_matter(worlds, data, spec)
