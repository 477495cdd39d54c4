"""Windows of series and what follows them."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from services.trainer.domain.augmentation.draws import Draws
from services.trainer.domain.augmentation.specification import Policy
from services.trainer.domain.augmentation.windows import changed_windows, last_season

ROWS, WINDOW, HORIZON, SEASON = 40, 24, 8, 6


def changed(policy: Mapping[str, object], whole: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the windows and what follows them."""
    window, follows = whole[:, :WINDOW], whole[:, WINDOW:]
    wanted = follows - last_season(window, SEASON, HORIZON)
    draws = Draws.of_rows(0, 0, np.arange(ROWS))
    policies = [(0, Policy.model_validate(policy))]
    window, wanted = changed_windows(policies, window, wanted, SEASON, draws)
    return window, wanted + last_season(window, SEASON, HORIZON)


def waves() -> Tensor:
    steps = torch.arange(WINDOW + HORIZON, dtype=torch.float32)
    return torch.sin(2 * torch.pi * steps / SEASON) + 0.1 * steps + torch.arange(ROWS)[:, None]


def test_the_last_season_is_repeated() -> None:
    """Protects the baseline: step h is as one or more seasons ago."""
    window = torch.arange(7.0)[None]
    assert last_season(window, 3, 5).tolist() == [[4, 5, 6, 4, 5]]


@pytest.mark.parametrize("kind", ["jitter", "permutation"])
def test_what_follows_stays_where_only_the_past_is_changed(kind: str) -> None:
    """Protects the truth from noise."""
    whole = waves()
    window, follows = changed({kind: {}}, whole)
    torch.testing.assert_close(follows, whole[:, WINDOW:])
    assert float((window - whole[:, :WINDOW]).abs().amax(dim=1).median()) > 0
    if kind == "permutation":
        torch.testing.assert_close(window[:, -SEASON:], whole[:, WINDOW - SEASON : WINDOW])


@given(kind=st.sampled_from(["time_warp", "window_slice", "scaling"]))
def test_what_follows_a_line_is_on_that_line(kind: str) -> None:
    """Protects forecasts: past and future are changed alike, without a step between them."""
    line = torch.arange(WINDOW + HORIZON, dtype=torch.float32).repeat(ROWS, 1)
    window, follows = changed({kind: {}}, line)
    whole = torch.cat([window, follows], dim=1)
    steps = whole.diff(dim=1)
    assert float(steps.min()) > 0
    jump = follows[:, 0] - window[:, -1]
    torch.testing.assert_close(jump, steps[:, WINDOW], rtol=0.5, atol=0.0)
    if kind == "scaling":
        torch.testing.assert_close(steps, steps[:, :1].expand(steps.shape), rtol=1e-3, atol=1e-4)


def test_the_probability_leaves_rows_as_they_are() -> None:
    """Protects the share of rows that are changed."""
    whole = waves()
    window, follows = changed({"scaling": {}, "probability": 0.4}, whole)
    is_same = (torch.cat([window, follows], dim=1) - whole).abs().amax(dim=1) < 1e-5
    assert 0.35 < float(is_same.float().mean()) < 0.85
