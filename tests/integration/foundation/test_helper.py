"""The helper process: one question after the other, whatever happens to it."""

import asyncio
import gc
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest

from common.errors import AimassError, UnavailableError
from common.host.helper import HelperProcess

ANSWERS = textwrap.dedent("""
    import os, time
    from common.host import helper
    from common.errors import NotFoundError

    def answer(question):
        if question == b"missing":
            raise NotFoundError("There is none.", reason="NONE")
        if question == b"bug":
            raise KeyError("secret")
        if question == b"die":
            os._exit(1)
        if question == b"hang":
            time.sleep(60)
        print("noise")
        return question * 2

    helper.serve(answer)
""")


@asynccontextmanager
async def running(**options: float) -> AsyncIterator[HelperProcess]:
    """Runs a helper that doubles what it is asked."""
    async with HelperProcess((sys.executable, "-c", ANSWERS), **options) as process:
        yield process


async def test_answers_come_in_order() -> None:
    """Questions of several callers get their own answers, from one process, large ones too."""
    async with running() as process:
        questions = [b"a", b"b" * 3_000_000, b"", b"c"]
        answers = await asyncio.gather(*(process.ask(question) for question in questions))
        assert answers == [question * 2 for question in questions]
        assert process.pid is not None
    assert process.pid is None


async def test_errors_pass_through() -> None:
    """An error keeps code, reason and message; a bug becomes INTERNAL without its text."""
    async with running() as process:
        with pytest.raises(AimassError, match="There is none") as caught:
            await process.ask(b"missing")
        assert (caught.value.code, caught.value.reason) == (5, "NONE")
        with pytest.raises(AimassError, match="Internal error") as caught:
            await process.ask(b"bug")
        assert caught.value.code == 13
        assert await process.ask(b"x") == b"xx"


async def test_death_and_hanging() -> None:
    """A process that died or hangs costs its question only: the next one starts another."""
    async with running(timeout=3.0) as process:
        for question in (b"die", b"hang"):
            with pytest.raises(UnavailableError, match="try again"):
                await process.ask(question)
            assert await process.ask(b"x") == b"xx"


async def test_a_slow_start_is_no_hanging() -> None:
    """Imports on a busy host may take longer than a question may: it is answered after them."""
    slow = f"import time; time.sleep(1)\n{ANSWERS}"
    async with HelperProcess((sys.executable, "-c", slow), timeout=0.5) as process:
        assert await process.ask(b"x") == b"xx"


async def test_caller_that_goes_away() -> None:
    """The answer for a caller that left is not given to the next one."""
    async with running() as process:
        await process.ask(b"warm")
        left = asyncio.create_task(process.ask(b"for nobody"))
        await asyncio.sleep(0)
        left.cancel()
        assert await process.ask(b"mine") == b"minemine"


@pytest.mark.parametrize("question", [b"missing", b"die"])
async def test_an_error_for_a_caller_that_left(question: bytes) -> None:
    """Nobody waits for it, so that nobody is told of an error that was forgotten."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with running() as process:
        await process.ask(b"warm")
        left = asyncio.create_task(process.ask(question))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        assert await process.ask(b"mine") == b"minemine"
    gc.collect()
    assert not told


async def test_idle_process_ends() -> None:
    """Nothing stays in memory where nobody asks."""
    async with running(idle_seconds=0.05) as process:
        await process.ask(b"x")
        assert process.pid is not None
        child = psutil.Process(process.pid)
        await asyncio.to_thread(child.wait, 10)
        assert process.pid is None
        assert await process.ask(b"x") == b"xx"


async def test_a_question_that_takes_long_does_not_keep_it_open() -> None:
    """A service that ends does not wait for its helper's imports, nor for an answer."""
    loop = asyncio.get_running_loop()
    async with running(timeout=60.0) as process:
        await process.ask(b"warm")
        asked = asyncio.create_task(process.ask(b"hang"))
        await asyncio.sleep(0)
        begin = loop.time()
    assert loop.time() - begin < 10
    with pytest.raises(UnavailableError):
        await asked
    async with running(timeout=60.0) as process:
        asked = asyncio.create_task(process.ask(b"hang"))
        await asyncio.sleep(0)
        begin = loop.time()
    assert loop.time() - begin < 10, "not even where it was only just started"
    with pytest.raises(UnavailableError):
        await asked
