"""What networks take in ONNX Runtime on one core, alternating with the network they came from."""

import time
from statistics import median

import numpy as np
import torch
from onnxruntime import InferenceSession
from torch import Tensor

from common.models.onnx_session import onnx_session
from common.models.twin import export_twin
from common.networks.program_network import ProgramNetwork

ROWS = 32
_WARM = 5


class Clock:
    """Compares networks with a dense one."""

    def __init__(self, dense: ProgramNetwork, example: Tensor, rounds: int = 40) -> None:
        """Takes the network that others are compared with.

        Args:
            dense: The network.
            example: Pictures, of which `ROWS` are taken.
            rounds: How often each is run.
        """
        self._inputs = example[:ROWS]
        self._rounds = rounds
        self._dense = onnx_session(self.exported(dense))

    def exported(self, network: ProgramNetwork) -> bytes:
        """Returns a network as ONNX file."""
        return export_twin(network.eval(), {"input": self._inputs}, "output").content

    def seconds(self, content: bytes) -> tuple[float, float]:
        """Returns medians of the dense network and of an ONNX file."""
        sessions = (self._dense, onnx_session(content))
        passed: tuple[list[float], list[float]] = ([], [])
        for number in range(-_WARM, self._rounds):
            for session, own in zip(sessions, passed, strict=True):
                took = self._run(session)
                if number >= 0:
                    own.append(took)
        return median(passed[0]), median(passed[1])

    def gain(self, network: ProgramNetwork) -> float:
        """Returns how many times quicker a network is than the dense one."""
        return self.gain_of(self.exported(network))

    def gain_of(self, content: bytes) -> float:
        """Returns the same of an ONNX file."""
        dense, own = self.seconds(content)
        return dense / own

    def _run(self, session: InferenceSession) -> float:
        # One thread computes; its own time is right on a busy machine too.
        begin = time.thread_time()
        session.run(None, {"input": self._inputs.numpy()})
        return time.thread_time() - begin


def predicted(content: bytes, inputs: Tensor) -> Tensor:
    """Returns what an ONNX file says of pictures."""
    session = onnx_session(content)
    parts = [session.run(None, {"input": each.numpy()})[0] for each in torch.split(inputs, ROWS)]
    return torch.from_numpy(np.concatenate(parts))
