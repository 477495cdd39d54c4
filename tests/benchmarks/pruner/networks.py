"""Ours and Torch-Pruning on the CIFAR-10 sample: real gain got for gain asked, and accuracy.

Dense networks are trained once and kept in `build/bench-networks`. With `FULL=1` there are two
seeds.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn
from torch.nn import functional

from common.networks.program_network import ProgramNetwork
from services.pruner.domain.capture import capture
from services.pruner.domain.dependencies.graph import dependencies
from services.pruner.domain.foreign.graphs import read_model
from services.pruner.domain.latency.layer_shape import layers_of
from services.pruner.domain.latency.layer_times import LayerTimes
from services.pruner.domain.quantising import static_int8
from services.pruner.domain.schedule import Rows, Schedule, Target, steps_to
from tests.benchmarks.harness import ROOT, Aim, Measure, data_folder, is_quick, publish, say
from tests.benchmarks.pruner.network_latency import ROWS, Clock, predicted
from tests.benchmarks.pruner.network_nets import NETS
from tests.benchmarks.pruner.network_training import Pictures, Training, train
from tests.benchmarks.tuner.environments import Environment, UnavailableError, interpreter

KEPT = ROOT / "build" / "bench-networks"
GAINS = (2.0, 3.0)
_BETWEEN = 2.5
"""Asked for too, with distillation and with 8 bits on top: for the largest gain at a loss."""
RIVAL = Environment("Torch-Pruning", "torch_pruning", (("--no-deps", "torch-pruning==1.6.1"),))
"""Takes torch from our environment, which is large."""
_RIVAL_SCRIPT = Path(__file__).parent / "rivals" / "torch_pruning_prune.py"
_RIVAL_METHODS = ("L2 uniform", "Taylor", "group norm")
_EPOCHS, _RATE, _WARM_UP = 3 if is_quick() else 24, 0.2, 0.2
_TUNING, _TUNING_RATE = (0.5, 0.02) if is_quick() else (4.0, 0.02)
_RECOVERY, _RECOVERY_RATE = _TUNING / 32, 0.01
_LOSSES = {0.3: 1.0, 1.0: 4.0}
"""Gain that is aimed at by accuracy points that may get lost."""
_LEAST = {2.0: 1.9, 3.0: 2.8}
"""Real gain from which on accuracies are compared, for gain asked."""
NOTES = (
    f"Networks: ONNX Runtime, one thread, {ROWS} pictures at once, medians, alternating with the "
    "dense network; the thread's own time is taken, which is right on a busy machine too.",
    f"All are fine-tuned for {_TUNING:g} epochs; ours do a part of them between their steps.",
    "An accuracy on 3,000 pictures has a standard error of 0.75 points.",
)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _MUCH = -1, -3, 1_000_000_000


@dataclass(frozen=True)
class Result:
    """What a contender made.

    Attributes:
        contender: Who, and how.
        asked: Gain that was asked for.
        gain: That was got, measured.
        accuracy: On test rows, percent.
        multiplications: For a picture, in millions.
    """

    contender: str
    asked: float
    gain: float
    accuracy: float
    multiplications: float

    def __str__(self) -> str:
        return (
            f"{self.contender}, asked for {self.asked:g}: {self.gain:.2f} times quicker, "
            f"{self.accuracy:.2f} %, {self.multiplications:.1f} M multiplications"
        )


@dataclass(frozen=True)
class Case:
    """A dense network, trained.

    Attributes:
        name: One of `NETS`.
        seed: Of its training.
        pictures: What it learned from.
    """

    name: str
    seed: int
    pictures: Pictures
    times: LayerTimes = field(default_factory=LayerTimes)

    @cached_property
    def path(self) -> Path:
        """Where its parameters are; it is trained where they are not."""
        path = KEPT / f"{self.name}_{self.seed}{'_quick' if is_quick() else ''}.pt"
        if not path.exists():
            say(f"Training {self.name} for {_EPOCHS} epochs")
            torch.manual_seed(self.seed)
            network = NETS[self.name]()
            train(network, self.pictures, Training(_EPOCHS, _RATE, self.seed, _WARM_UP))
            KEPT.mkdir(parents=True, exist_ok=True)
            torch.save(network.state_dict(), path)
        return path

    @cached_property
    def network(self) -> ProgramNetwork:
        """The network."""
        module = NETS[self.name]()
        module.load_state_dict(torch.load(self.path))
        return self.captured(module)

    @cached_property
    def clock(self) -> Clock:
        """Compares with the network."""
        return Clock(self.network, self.pictures.inputs)

    @property
    def rows(self) -> Rows:
        """What importance and losses are measured on: rows to learn from."""
        batches = self.pictures.batches(10, 64, self.seed)
        return Rows((self.pictures.inputs[:4],), batches, functional.cross_entropy)

    def captured(self, module: nn.Module) -> ProgramNetwork:
        """Returns a module as a program."""
        return capture(module.eval(), (self.pictures.inputs[:4],))

    def result(self, contender: str, asked: float, network: ProgramNetwork) -> Result:
        """Measures a network."""
        return self.measured(contender, asked, network, self.clock.exported(network))

    def quantised(self, contender: str, asked: float, network: ProgramNetwork) -> Result:
        """Measures a network in 8 bits, ranges taken from rows to learn from."""
        model = read_model(self.clock.exported(network))
        rows = {"input": self.pictures.batches(1, 512, self.seed)[0][0][0].numpy()}
        content = static_int8(model, rows, lambda: None).model.SerializeToString()
        return self.measured(contender, asked, network, content)

    def measured(
        self, contender: str, asked: float, network: ProgramNetwork, content: bytes
    ) -> Result:
        """Measures an ONNX file of a network."""
        known = dependencies(network, (self.pictures.inputs[:4],))
        work = sum(each.shape.multiplications for each in layers_of(known, 1).values())
        scores = predicted(content, self.pictures.test_inputs)
        found = 100 * float(scores.argmax(1).eq(self.pictures.test_truth).float().mean())
        result = Result(contender, asked, self.clock.gain_of(content), found, work / 1e6)
        say(f"  {self.name} {self.seed}, {result}")
        return result


def ours(case: Case, asked: float, *, is_taught: bool) -> ProgramNetwork:
    """Returns a smaller network of ours; epochs of its steps are taken off those of tuning."""
    used = 0.0
    teacher = case.network if is_taught else None

    def recover(network: ProgramNetwork) -> None:
        nonlocal used
        training = Training(_RECOVERY, _RECOVERY_RATE, case.seed + round(used / _RECOVERY))
        train(network, case.pictures, training, teacher)
        used += _RECOVERY

    target = Target(ROWS, case.times.seconds, case.clock.gain)
    network = case.network
    for step in steps_to(network, case.rows, target, Schedule(asked), recover):
        network = step.network
        say(f"    without {step.what}: {step.gain:.2f} times quicker, loss {step.loss:.3f}")
    tuning = Training(_TUNING - used, _TUNING_RATE, case.seed)
    train(network, case.pictures, tuning, teacher)
    return network


def rivals(case: Case, asked: float) -> Iterator[tuple[str, ProgramNetwork]]:
    """Yields what Torch-Pruning makes, fine-tuned, by method.

    Raises:
        UnavailableError: It cannot be installed.
    """
    python = interpreter(RIVAL)
    paths = os.pathsep.join([str(ROOT), *(each for each in sys.path if "site-packages" in each)])
    with TemporaryDirectory() as folder:
        rows, small = Path(folder) / "rows.pt", Path(folder) / "small.pt"
        torch.save(case.rows.batches, rows)
        for method in _RIVAL_METHODS:
            command = [python, _RIVAL_SCRIPT, case.name, case.path, rows, method, asked, small]
            subprocess.run(
                list(map(str, command)), check=True, env={**os.environ, "PYTHONPATH": paths}
            )
            network = case.captured(torch.load(small, weights_only=False))
            train(network, case.pictures, Training(_TUNING, _TUNING_RATE, case.seed))
            yield method, network


def compared(case: Case) -> Iterator[Result]:
    """Yields what all contenders make of a network."""
    yield case.result("dense", 1.0, case.network)
    yield case.quantised("int8", 1.0, case.network)
    for asked in GAINS:
        for is_taught in (False, True):
            name = "ours, with distillation" if is_taught else "ours"
            network = ours(case, asked, is_taught=is_taught)
            yield case.result(name, asked, network)
        yield case.quantised(f"{name}, int8", asked, network)
        try:
            for method, other in rivals(case, asked):
                yield case.result(f"Torch-Pruning, {method}", asked, other)
        except UnavailableError as error:
            say(f"Torch-Pruning cannot be run: {error}")
    network = ours(case, _BETWEEN, is_taught=True)
    yield case.result("ours, with distillation", _BETWEEN, network)
    yield case.quantised("ours, with distillation, int8", _BETWEEN, network)


def measures(case: Case, results: Sequence[Result]) -> Iterator[Measure]:
    """Yields lines of the table."""
    for each in results:
        label = f"{case.name} {case.seed}: {each.contender}, asked for {each.asked:g}"
        is_rival = each.contender.startswith(RIVAL.rival)
        gains, found = (each.gain, each.accuracy)
        if is_rival:
            yield Measure.of(f"{label}: gain", None, gains)
            yield Measure.of(f"{label}: accuracy, %", None, found)
            continue
        is_aimed = each.asked in _LEAST and "int8" not in each.contender
        least = _LEAST.get(each.asked, 0.0)
        best = _best_rival(results, each.asked, least)
        gain_aim = Aim(at_least=0.9 * each.asked, at_most=1.1 * each.asked)
        yield Measure.of(f"{label}: gain", gains, aim=gain_aim if is_aimed else None)
        aim = _accuracy_aim(case.name, each.asked, best) if is_aimed else None
        yield Measure.of(f"{label}: accuracy, %", found if gains >= least else None, best, aim)


def largest_gains(case: Case, results: Sequence[Result]) -> Iterator[Measure]:
    """Yields the largest gain of all our ways at a loss of so much, beside that of 8 bits alone."""
    dense, quantised = results[:2]
    ours_ = [each for each in results[1:] if not each.contender.startswith(RIVAL.rival)]
    for loss, least in _LOSSES.items():
        kept = [each.gain for each in ours_ if each.accuracy >= dense.accuracy - loss]
        alone = quantised.gain if quantised.accuracy >= dense.accuracy - loss else 1.0
        label = f"{case.name} {case.seed}: largest gain at a loss of {loss:g} points"
        found = max(kept, default=1.0)
        yield Measure.of(label, found, alone, Aim(at_least=max(alone, least)))


def _best_rival(results: Sequence[Result], asked: float, least: float) -> float | None:
    """Returns the best accuracy of the rival at a real gain of some size."""
    found = [
        each.accuracy
        for each in results
        if each.contender.startswith(RIVAL.rival) and each.asked == asked and each.gain >= least
    ]
    return max(found, default=None)


def _accuracy_aim(name: str, asked: float, best: float | None) -> Aim:
    if asked == GAINS[0]:
        more = 1.5 if name == "ResNet" else 0.0
        return Aim() if best is None else Aim(at_least=best + more)
    return Aim(at_least=76.5 if name == "ResNet" else 78.0)


def _keep_memory() -> None:
    """Keeps what is freed: giving it back after each step costs a third of the time."""
    allocator = ctypes.CDLL(None)
    for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
        allocator.mallopt(option, _MUCH)


def networks() -> list[Measure]:
    """Measures all contenders on each network."""
    _keep_memory()
    torch.set_num_threads(1)
    pictures = Pictures.read(
        data_folder("pruner") / "cifar10_sample.npz", 2000 if is_quick() else None
    )
    names = ["ResNet"] if is_quick() else list(NETS)
    seeds = (0, 1) if os.environ.get("FULL", "") not in ("", "0") else (0,)
    found: list[Measure] = []
    for case in [Case(name, seed, pictures) for name in names for seed in seeds]:
        results = list(compared(case))
        found += measures(case, results)
        found += largest_gains(case, results)
    return found


if __name__ == "__main__":
    publish("pruner-networks", networks(), NOTES)
