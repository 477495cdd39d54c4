"""A reducer that lets a worker suffer what its board says, so that faults can be tried."""

import math
import time
from collections.abc import Callable

from torch import Tensor

from services.trainer.worker.process import Disturbance
from services.trainer.worker.reduction.reducer import Reducer

SLOW_SECONDS = 0.1
"""How much longer each sum takes on a slow worker."""


class DisturbedReducer:
    """Sums over workers as another reducer does, unless this worker is disturbed."""

    def __init__(self, reducer: Reducer, disturbance: Callable[[], Disturbance]) -> None:
        """Wraps a reducer.

        Args:
            reducer: Does the work.
            disturbance: Returns what this worker is to suffer now; cheap.
        """
        self._reducer = reducer
        self._disturbance = disturbance
        self.transport = reducer.transport
        self.wait = reducer.wait
        self.scatter = reducer.scatter
        self.gather = reducer.gather
        self.broadcast = reducer.broadcast

    def start(self, tensor: Tensor) -> None:
        """Begins to add up a tensor in place: late, or NaN in place of this worker's part."""
        disturbance = self._disturbance()
        if disturbance is Disturbance.SLOW:
            time.sleep(SLOW_SECONDS)
        elif disturbance is Disturbance.NAN:
            tensor.fill_(math.nan)
        self._reducer.start(tensor)
