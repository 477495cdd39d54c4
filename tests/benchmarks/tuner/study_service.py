"""How quickly the study service answers over gRPC once a study has 1,000 trials.

Part of `make bench NAME=tuner`; alone it is `python -m tests.benchmarks.tuner.study_service`.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar

from aimass.tuner.v1 import study_pb2, study_pb2_grpc, tuner_pb2
from common.calls.client import connect
from common.testing.minio import MinioServer
from common.testing.processes import service_process
from tests.benchmarks.harness import Aim, Measure, publish, repeats, say

NOTES = (
    "Study service: one process, its store (MinIO) and its clients on one machine; 20 parameters, "
    "1,000 trials told before. One client asks and tells without a pause; 50 clients work 0 to 10 "
    "seconds on each trial, and rest as long. Each request has a request_id, as the suite's client "
    "sends it.",
)
_TOLD = 1_000
_CLIENTS = 50
_WORK_SECONDS = 10.0
_MILLISECONDS = 50
_STUDY = "studies/bench"

_R = TypeVar("_R")


def study_service() -> list[Measure]:
    """Measures Ask and Tell of one client and of many."""
    say("Asking the study service with 1,000 trials told")
    with _service() as (address, token):
        return asyncio.run(_measured(address, token))


@contextmanager
def _service() -> Iterator[tuple[str, str]]:
    """Runs a store and a tuner, and yields address and token."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        minio = MinioServer(folder / "minio")
        minio.start()
        try:
            with service_process("tuner", minio, folder) as running:
                yield running.said("tuner listens on "), "t"
        finally:
            minio.stop()


async def _measured(address: str, token: str) -> list[Measure]:
    async with connect(address, token) as channel:
        stub = study_pb2_grpc.StudyServiceStub(channel)
        began = time.perf_counter()
        await stub.CreateStudy(_creation(), timeout=120)
        say(f"  created with {_TOLD:,} trials in {time.perf_counter() - began:.1f} s")
        for _ in range(3):
            await _worked(stub, [], [], 0.0)
        found = []
        for clients, rounds, work in (
            (1, repeats(300, 10), 0.0),
            (_CLIENTS, repeats(6, 1), _WORK_SECONDS),
        ):
            asks, tells = list[float](), list[float]()
            await asyncio.gather(
                *(_client(stub, asks, tells, rounds, work) for _ in range(clients))
            )
            found += _measures(f"{clients} client{'s' * (clients > 1)}", asks, tells)
        return found


def _measures(who: str, asks: list[float], tells: list[float]) -> list[Measure]:
    slow = _quantile(asks, 0.99)
    say(
        f"  {who}: Ask p50 {median(asks):.1f} ms, p99 {slow:.1f} ms; "
        f"Tell p50 {median(tells):.1f} ms, p99 {_quantile(tells, 0.99):.1f} ms"
    )
    return [
        Measure.of(f"AskTrials, {who}, p50, ms", median(asks)),
        Measure.of(f"AskTrials, {who}, p99, ms", slow, aim=Aim(at_most=_MILLISECONDS)),
        Measure.of(f"TellTrial, {who}, p99, ms", _quantile(tells, 0.99)),
    ]


async def _client(
    stub: "study_pb2_grpc.StudyServiceAsyncStub",
    asks: list[float],
    tells: list[float],
    rounds: int,
    work: float,
) -> None:
    for _ in range(rounds):
        await asyncio.sleep(random.uniform(0, work))
        await _worked(stub, asks, tells, work)


async def _worked(
    stub: "study_pb2_grpc.StudyServiceAsyncStub", asks: list[float], tells: list[float], work: float
) -> None:
    """Asks for a trial, works on it, and tells what came of it."""
    ask = study_pb2.AskTrialsRequest(parent=_STUDY)
    (trial,) = (await _timed(asks, lambda: stub.AskTrials(ask))).trials
    await asyncio.sleep(random.uniform(0, work))
    tell = study_pb2.TellTrialRequest(name=trial.name, values={"loss": _loss(trial)})
    await _timed(tells, lambda: stub.TellTrial(tell))


async def _timed(times: list[float], call: Callable[[], Awaitable[_R]]) -> _R:
    began = time.perf_counter()
    found = await call()
    times.append((time.perf_counter() - began) * 1_000)
    return found


def _creation() -> study_pb2.CreateStudyRequest:
    """Returns a study of 20 parameters with trials that were told before."""
    spec = study_pb2.StudySpec(objectives=[study_pb2.StudyObjective(name="loss")])
    for place in range(10):
        range_ = study_pb2.NumberRange(low=1e-3, high=1.0, log=True)
        spec.parameters.add(name=f"number_{place}", number=range_)
    for place in range(6):
        spec.parameters.add(name=f"integer_{place}").integer.low = 1
        spec.parameters[-1].integer.high = 100
    for place in range(4):
        values = [tuner_pb2.Setting(text=text) for text in "abcd"]
        spec.parameters.add(name=f"choice_{place}", choice=study_pb2.ChoiceRange(values=values))
    chance = random.Random(0)
    told = [_told(spec, chance) for _ in range(_TOLD)]
    study = study_pb2.Study(spec=spec)
    return study_pb2.CreateStudyRequest(study=study, study_id="bench", initial_trials=told)


def _told(spec: study_pb2.StudySpec, chance: random.Random) -> study_pb2.Trial:
    trial = study_pb2.Trial()
    for each in spec.parameters:
        setting = trial.settings[each.name]
        match each.WhichOneof("values"):
            case "number":
                setting.number = 10 ** chance.uniform(-3, 0)
            case "integer":
                setting.integer = chance.randint(1, 100)
            case _:
                setting.text = chance.choice("abcd")
    trial.values["loss"] = _loss(trial)
    return trial


def _loss(trial: study_pb2.Trial) -> float:
    numbers = [each.number or each.integer for each in trial.settings.values()]
    return sum(math.sin(each) for each in numbers) + (trial.settings["choice_0"].text == "b")


def _quantile(times: list[float], share: float) -> float:
    return sorted(times)[min(int(len(times) * share), len(times) - 1)]


if __name__ == "__main__":
    publish("tuner-study-service", study_service(), NOTES)
