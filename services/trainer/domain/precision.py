"""Which precision AUTO stands for on a processor. Imports no torch."""

import functools
from pathlib import Path
from typing import Literal

from common.networks.specification import NetworkSpecification
from services.trainer.domain.specification import Precision

Kind = Literal["fp32", "bf16", "fp16"]

_FEW_DIGITS = frozenset({"images", "texts"})
_CPU_INFO = Path("/proc/cpuinfo")
_NATIVE_BF16 = frozenset({"amx_bf16", "avx512_bf16"})


def has_few_digits(network: NetworkSpecification) -> bool:
    """Returns whether 16 bits hold what a network takes in: pixels and words, not numbers."""
    return network.settings.data in _FEW_DIGITS


def processor_precision(asked: Precision, network: NetworkSpecification) -> Kind:
    """Returns the precision to train in on this host's processor.

    Args:
        asked: What the specification says.
        network: What is trained.
    """
    if asked != "auto":
        return asked
    return "bf16" if has_few_digits(network) and has_native_bf16() else "fp32"


@functools.cache
def has_native_bf16() -> bool:
    """Returns whether this host's processor multiplies bf16 numbers itself."""
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not _NATIVE_BF16.isdisjoint(flags.split())
