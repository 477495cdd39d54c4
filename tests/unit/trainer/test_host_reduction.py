"""Sums over the workers of one host: threads stand for them, sockets and memory are real."""

import pytest
import torch
from horovod.common.exceptions import HorovodInternalError
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from services.trainer.worker.reduction.host import HostReducer, reducer_on_one_host
from tests.unit.trainer.host_world import on_all, world


def tensors(size: int, length: int, dtype: torch.dtype) -> list[Tensor]:
    """Returns whole numbers for each worker: their sums are exact in any order."""
    generator = torch.Generator().manual_seed(length)
    return [torch.randint(-9, 9, (length,), generator=generator).to(dtype) for _ in range(size)]


@given(
    size=st.integers(2, 5),
    length=st.integers(0, 100),
    dtype=st.sampled_from([torch.float16, torch.float32, torch.float64]),
)
def test_sums_of_any_length(size: int, length: int, dtype: torch.dtype) -> None:
    """Protects pieces that do not fill a room, and workers that have no part of one."""
    own = tensors(size, length, dtype)
    expected = torch.stack(own).sum(0)
    reducers = world(size)

    def work(rank: int) -> None:
        for tensor in (own[rank], own[rank][: length // 2]):
            reducers[rank].start(tensor)
        reducers[rank].wait()

    on_all(size, work)
    expected[: length // 2] *= size  # was summed again, the same on every worker by then
    assert all(torch.equal(tensor, expected) for tensor in own)


@given(size=st.integers(2, 5), seed=st.integers(0, 1000))
def test_rounding_is_the_same_on_every_worker(size: int, seed: int) -> None:
    """Protects weights from drifting apart: a sum of floats depends on its order."""
    generator = torch.Generator().manual_seed(seed)
    own = [torch.randn(37, generator=generator) * 10**rank for rank in range(size)]
    total = torch.stack(own).double().sum(0).float()
    reducers = world(size)

    def work(rank: int) -> None:
        reducers[rank].start(own[rank])
        reducers[rank].wait()

    on_all(size, work)
    assert all(torch.equal(tensor, own[0]) for tensor in own)
    torch.testing.assert_close(own[0], total, rtol=0, atol=1e-6 * 10**size)


@given(size=st.integers(2, 5), length=st.integers(1, 60))
def test_what_workers_give_each_other(size: int, length: int) -> None:
    """Protects Adasum's parts, and what rank 0 tells all others."""
    own = tensors(size, size * length, torch.float32)
    reducers = world(size)

    def work(rank: int) -> tuple[Tensor, Tensor, bytes]:
        reducer = reducers[rank]
        told = reducer.broadcast(bytes(range(length)) if rank == 0 else b"not heard")
        return reducer.scatter(own[rank]), reducer.gather(own[rank]), told

    for rank, (parts, gathered, told) in enumerate(on_all(size, work)):
        mine = [tensor[rank * length : (rank + 1) * length] for tensor in own]
        assert torch.equal(parts, torch.cat(mine))
        assert torch.equal(gathered, torch.cat(own))
        assert told == bytes(range(length))


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_nobody_waits_for_a_worker_that_is_gone(gone: int) -> None:
    """Protects recovery: the others notice the death of any worker, whomever they wait for."""
    reducers = world(3)

    def work(rank: int) -> bool:
        if rank == gone:
            reducers[rank].close()
            return True
        reducers[rank].start(torch.ones(40))
        try:
            reducers[rank].wait()
        except HorovodInternalError:
            reducers[rank].close()
            return True
        return False

    assert on_all(3, work) == [True, True, True]


class Elsewhere:
    """A worker's reducer that hears a name which nobody on its host has."""

    def __init__(self, reducer: HostReducer) -> None:
        """Wraps a reducer."""
        self.transport = reducer.transport
        self.start, self.wait = reducer.start, reducer.wait
        self.scatter, self.gather = reducer.scatter, reducer.gather
        self._reducer = reducer

    def broadcast(self, content: bytes) -> bytes:
        """Returns another name."""
        return self._reducer.broadcast(content) + b"-elsewhere"


def test_workers_find_each_other() -> None:
    """Protects the way into shared memory, of which each has the same."""
    known = world(3, room_bytes=256)

    def work(rank: int) -> float:
        reducer = reducer_on_one_host(known[rank], rank, 3)
        assert reducer is not None
        total = torch.full((3_000_000,), float(rank + 1))
        reducer.start(total)
        reducer.wait()
        return float(total.min() + total.max())

    assert on_all(3, work) == [12.0, 12.0, 12.0]


def test_workers_of_several_hosts_stay_with_the_network() -> None:
    """Protects mixed worlds: all of them agree, also those that could have met."""
    known = world(3, room_bytes=256)

    def work(rank: int) -> HostReducer | None:
        reducer = Elsewhere(known[rank]) if rank == 2 else known[rank]
        return reducer_on_one_host(reducer, rank, 3)

    assert on_all(3, work) == [None, None, None]
