"""How workers add up gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from aimass.trainer.v1 import trainer_pb2
from common.errors import InvalidInputError
from common.protobuf import from_plain
from services.trainer.domain.communication import Communication
from services.trainer.domain.specification import read_specification
from services.trainer.worker.flat import FlatNetwork
from services.trainer.worker.reduction.adasum import adasum
from services.trainer.worker.reduction.exchange import make_exchange
from tests.unit.trainer.host_world import on_all, world

NAMES = {"dataset_version": "datasets/d/versions/1", "model": "models/m"}


def combined(contributions: Tensor) -> Tensor:
    """Returns what workers with these contributions, a row each, agree on."""
    size = len(contributions)
    reducers = world(size)
    found = on_all(size, lambda rank: adasum(contributions[rank], reducers[rank], size))
    assert all(torch.equal(each, found[0]) for each in found), "all workers do the same step"
    return found[0]


def of_the_paper(first: Tensor, second: Tensor) -> Tensor:
    """Adasum of two gradients (Maleki et al., 2021, section 3)."""
    product = first @ second
    return (1 - product / (2 * first @ first)) * first + (
        1 - product / (2 * second @ second)
    ) * second


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_four_workers_with_even_slices_do_what_the_paper_says(count: int, seed: int) -> None:
    """Protects the formula: a tree of pairs of mean gradients."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(4, count, generator=generator, dtype=torch.float64)
    expected = of_the_paper(of_the_paper(means[0], means[1]), of_the_paper(means[2], means[3]))
    found = combined(means / 4)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@given(st.integers(1, 7), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_gradients_that_agree_are_averaged_whatever_the_slices(
    size: int, count: int, seed: int
) -> None:
    """Protects uneven slices and any number of workers: one with fewer rows counts for less."""
    generator = torch.Generator().manual_seed(seed)
    gradient = torch.randn(count, generator=generator, dtype=torch.float64)
    shares = torch.rand(size, generator=generator, dtype=torch.float64)
    shares[0] += 0.1
    shares /= shares.sum()
    torch.testing.assert_close(combined(shares[:, None] * gradient), gradient)


def test_orthogonal_gradients_are_added_up() -> None:
    """Protects what it is for: a step of two workers that learn different things is both steps."""
    means = torch.tensor([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    assert combined(means / 2).tolist() == [3.0, 4.0, 0.0]


def test_a_worker_without_rows_has_no_say() -> None:
    """Protects the short last batch of an epoch."""
    means = torch.tensor([[3.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    assert combined(means).tolist() == [3.0, 1.0]


def test_horovod_is_told_what_is_set_and_nothing_else() -> None:
    """Protects the agent's settings where the run has none."""
    assert Communication().environment == {}
    assert Communication().may_share_memory
    spec = {
        **NAMES,
        "communication": {"cycle_time": 0.0005, "fusion_threshold": 0, "autotune": True},
    }
    message = from_plain(spec, trainer_pb2.TrainingSpec)
    found = read_specification(message).communication.environment
    assert found == {
        "HOROVOD_CYCLE_TIME": "0.5",
        "HOROVOD_FUSION_THRESHOLD": "0",
        "HOROVOD_AUTOTUNE": "1",
    }


@pytest.mark.parametrize("setting", [{"cycle_time": 0.01}, {"transport": "horovod"}])
def test_who_wants_horovod_gets_it(setting: dict[str, object]) -> None:
    """Protects settings of Horovod's from being without effect on one host."""
    message = from_plain({**NAMES, "communication": setting}, trainer_pb2.TrainingSpec)
    assert not read_specification(message).communication.may_share_memory


@pytest.mark.parametrize(
    ("communication", "field"),
    [
        ({"reduction": "adasum", "compression": "fp16"}, "compression"),
        ({"cycle_time": 2.0}, "cycle_time"),
        ({"fusion_threshold": -1}, "fusion_threshold"),
        ({"transport": "shared_memory"}, "transport"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    communication: dict[str, object], field: str
) -> None:
    """Protects users from settings that are silently left out."""
    message = from_plain({**NAMES, "communication": communication}, trainer_pb2.TrainingSpec)
    with pytest.raises(InvalidInputError, match=f"training_run.spec.communication.{field}"):
        read_specification(message)


def test_sums_of_products_are_of_double_precision() -> None:
    """Protects long gradients of equal numbers: a single-precision sum would drift."""
    gradient = torch.full((1_000_000,), 1e-3)
    found = combined(torch.stack([gradient, gradient]) / 2)
    np.testing.assert_allclose(found.numpy(), 1e-3, rtol=1e-5)


@pytest.mark.parametrize(
    "communication",
    [Communication(), Communication(compression="fp16"), Communication(reduction="adasum")],
    ids=["summed", "halved", "adasum"],
)
@pytest.mark.parametrize("wishes", [0, 1])
def test_all_hear_that_one_wants_a_commit(communication: Communication, wishes: int) -> None:
    """Protects the pace: hosts commit after the same step, so that the world waits once."""
    reducers = world(2, room_bytes=1024)

    def wish(rank: int) -> tuple[float, list[float]]:
        flat = FlatNetwork(torch.nn.Linear(3, 2), sums=2)
        flat.gradient.fill_(1)
        flat.sums.fill_(rank + 1)
        if rank == 0:
            flat.wish.fill_(wishes)
        exchange = make_exchange(communication, flat, reducers[rank], 2)
        exchange.start()
        exchange.wait()
        return float(flat.wish), flat.sums.tolist()

    assert on_all(2, wish) == [(wishes, [3.0, 3.0])] * 2
