"""Random numbers for compiled loops: numpy's generators are slow where few are drawn."""

import numpy as np
import numpy.typing as npt

from common.host.compiling import compiled_freely

State = npt.NDArray[np.uint64]


def seeded(generator: np.random.Generator) -> State:
    """Returns where chance begins; each draw moves it on."""
    return generator.integers(1, 2**63, 1, np.uint64)


@compiled_freely
def chance(state: State) -> float:
    """Returns a number from 0 to below 1 (xorshift*, Vigna 2016)."""
    bits = state[0]
    bits ^= bits >> np.uint64(12)
    bits ^= bits << np.uint64(25)
    bits ^= bits >> np.uint64(27)
    state[0] = bits
    return float((bits * np.uint64(2685821657736338717)) >> np.uint64(11)) * 2.0**-53
