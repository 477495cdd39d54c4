"""Changes of table rows, and blends of rows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.domain.augmentation.draws import Draws
from services.trainer.domain.augmentation.mixing import (
    between,
    cut_mix,
    mixup,
    near_partners,
    partners,
    shares_of_classes,
)
from services.trainer.domain.augmentation.policies import CategoryDropout, CutMix, Mixup, Noise
from services.trainer.domain.augmentation.tables import (
    SimilarTargets,
    forgotten,
    nearest,
    noisy,
)
from services.trainer.domain.criteria import ClassCriterion


def draws(rows: int, seed: int = 0) -> Draws:
    return Draws.of_rows(seed, 0, np.arange(rows))


def test_noise_has_the_scale_asked_for() -> None:
    """Protects strengths: in deviations, of each number by itself."""
    found = noisy(torch.ones(4_000, 3), Noise(scale=0.3), draws(4_000)) - 1
    np.testing.assert_allclose(found.std(dim=0), 0.3, rtol=0.05)
    assert abs(float(torch.corrcoef(found.T)[0, 1])) < 0.05


def test_forgotten_categories_are_unknown_ones() -> None:
    """Protects the share and the code, which is that of a category not seen in training."""
    found = forgotten(torch.full((4_000, 2), 3), CategoryDropout(rate=0.2), draws(4_000))
    assert set(found.flatten().tolist()) == {0, 3}
    assert float((found == 0).float().mean()) == pytest.approx(0.2, abs=0.02)


@given(
    weights=st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=1, max_size=40).map(np.array),
    seed=st.integers(0, 50),
)
def test_rows_without_weight_are_nobodys_partner(weights: np.ndarray, seed: int) -> None:
    """Protects from labels of rows that must not count, such as outliers."""
    found = partners(weights, draws(100, seed))
    assert found.min() >= 0 and found.max() < len(weights)
    assert weights.max() == 0 or weights[found].min() > 0


def test_partners_are_drawn_by_their_weights() -> None:
    """Protects the meaning of weights: twice as heavy, twice as often."""
    found = partners(np.array([1.0, 0.0, 2.0, 1.0]), draws(20_000))
    np.testing.assert_allclose(np.bincount(found) / 20_000, [0.25, 0, 0.5, 0.25], atol=0.02)


def test_near_partners_have_near_targets() -> None:
    """Protects C-Mixup: distances are of the bandwidth's size, rows without weight are left out."""
    targets = np.linspace(-3, 3, 400)
    weights = np.where(np.arange(400) % 2, 1.0, 0.0)
    mine = np.arange(0, 400)
    found = near_partners(targets, weights, mine, 0.2, draws(400))
    assert np.sqrt(np.mean((targets[found] - targets) ** 2)) < 0.4
    assert weights[found].mean() > 0.95
    far = near_partners(targets, weights, mine, 10.0, draws(400))
    assert np.sqrt(np.mean((targets[far] - targets) ** 2)) > 1.5


def test_blends_are_on_the_line_between_two_rows() -> None:
    """Protects Mixup: one share for all inputs of a row, its own the larger one."""
    own = {"numeric": torch.zeros(500, 2), "categories": torch.ones(500, 3, dtype=torch.int64)}
    other = {"numeric": torch.ones(500, 2), "categories": torch.full((500, 3), 2)}
    changed = torch.arange(500) < 400
    found, share = mixup(Mixup(alpha=1.0), own, other, changed, draws(500))
    torch.testing.assert_close(found["numeric"], 1 - share[:, None].repeat(1, 2))
    assert bool((share[400:] == 1).all()) and bool((found["categories"][400:] == 1).all())
    assert share.min() >= 0.5 and float(share[:400].mean()) == pytest.approx(0.75, abs=0.03)
    from_own = (found["categories"][:400] == 1).float().mean()
    assert float(from_own) == pytest.approx(float(share[:400].mean()), abs=0.05)


def test_the_share_of_a_cut_is_that_of_its_pixels() -> None:
    """Protects CutMix's targets."""
    own, other = {"image": torch.zeros(300, 3, 12, 16)}, {"image": torch.ones(300, 3, 12, 16)}
    changed = torch.arange(300) % 3 > 0
    found, share = cut_mix(CutMix(), own, other, changed, draws(300))
    torch.testing.assert_close(1 - found["image"].mean((1, 2, 3)), share)
    assert bool((share[~changed] == 1).all()) and float(share[changed].std()) > 0.1


def test_codes_between_rows_are_one_of_the_two() -> None:
    """Protects codes, which have no middle."""
    share = torch.tensor([1.0, 0.0, 0.5])
    own, other = torch.full((3, 200), 4), torch.full((3, 200), 9)
    found = between(own, other, share, draws(3))
    assert bool((found[0] == 4).all()) and bool((found[1] == 9).all())
    assert 60 < int((found[2] == 4).sum()) < 140


@pytest.mark.parametrize("options", [{}, {"smoothing": 0.1}, {"gamma": 2.0}, {"savings": True}])
def test_the_loss_of_a_blend_is_that_of_its_classes_by_their_shares(
    options: dict[str, float],
) -> None:
    """Protects blended targets with smoothing, focal factor, costs and class weights."""
    torch.manual_seed(0)
    output = torch.randn(6, 4)
    first, second = torch.randint(0, 4, (2, 6))
    share = torch.rand(6)
    given = {**options, "savings": torch.rand(4, 4)} if "savings" in options else options
    criterion = ClassCriterion(factors=torch.tensor([0.5, 1.0, 2.0, 3.0]), **given)
    target = share[:, None] * shares_of_classes(first, 4)
    target += (1 - share[:, None]) * shares_of_classes(second, 4)
    expected = share * criterion(output, first) + (1 - share) * criterion(output, second)
    torch.testing.assert_close(criterion(output, target), expected)


@given(
    targets=st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array),
    count=st.integers(1, 12),
)
def test_candidates_have_the_same_class(targets: np.ndarray, count: int) -> None:
    """Protects labels of rows between two."""
    found = SimilarTargets(targets).candidates(targets, count, draws(len(targets)))
    assert found.shape == (len(targets), count)
    assert bool((targets[found] == targets[:, None]).all())


def test_candidates_of_a_value_have_near_values() -> None:
    """Protects values between two: within the nearest 5 %, at the ends as well."""
    targets = np.random.default_rng(0).permutation(np.arange(400) / 400)
    found = SimilarTargets(targets).candidates(targets, 8, draws(400))
    assert np.abs(targets[found] - targets[:, None]).max() <= 0.03
    assert len(np.unique(found)) > 350


def test_the_nearest_row_is_another_one_where_there_is_one() -> None:
    """Protects from staying where one is, and from rows without another."""
    numbers = torch.zeros(2, 2)
    candidates = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [1.0, 0.0]], [[0.0, 0.0]] * 3])
    itself = np.array([[True, False, False], [True, True, True]])
    assert nearest(numbers, candidates, itself).tolist() == [2, 0]
