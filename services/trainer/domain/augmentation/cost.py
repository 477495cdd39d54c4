"""What changing rows at random takes, from the policies alone. Imports no torch."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.networks.specification import NetworkInput
from services.trainer.domain.augmentation.policies import DATA
from services.trainer.domain.augmentation.specification import Augmentation, Policy


@dataclass(frozen=True)
class _Rate:
    """Seconds of one core.

    Attributes:
        step: Of a step, however few its rows.
        row: Of a row that is changed.
        number: Of each of its numbers: pixels, columns, steps of a window, tokens.
    """

    step: float
    row: float = 0.0
    number: float = 0.0


# Measured as `services.trainer.domain.estimate` was: on one core of a Zen 4 server, with 16 and 128
# rows of two to four sizes each.
_DRAWS = _Rate(1.3e-4)
# What policies of one family share: images become pixels and back, texts are read and tokenised.
_PIXELS = _Rate(1e-4, 0, 3e-9)
_SAMPLING = _Rate(5e-4, 0, 8e-9)
_TOKENS = _Rate(5e-5, 2.2e-5, 6e-7)
_GEOMETRY = frozenset({"flip", "crop", "affine"})
_MIXING = {"mixup": _Rate(1.5e-4, 1e-6, 4.5e-9), "cut_mix": _Rate(3.6e-4, 5e-7, 6.5e-9)}
_RATES = {
    "flip": _Rate(2e-4),
    "crop": _Rate(2.5e-4),
    "affine": _Rate(4e-4),
    "erasing": _Rate(2.8e-4, 0, 4e-9),
    "noise": _Rate(6e-5, 0, 2.6e-8),
    "interpolation": _Rate(3e-4, 9e-7, 8e-9),
    "category_dropout": _Rate(3e-5, 3e-7),
    "jitter": _Rate(2.8e-4, 0, 3.6e-8),
    "scaling": _Rate(2e-4, 0, 7e-9),
    "time_warp": _Rate(4e-4, 6e-7, 2.6e-8),
    "window_slice": _Rate(3e-4, 5e-7, 1.8e-8),
    "permutation": _Rate(2.6e-4, 2e-7, 1.8e-8),
    "character_noise": _Rate(1e-4, 6e-6, 2e-7),
    "word_swap": _Rate(5e-5, 2e-6, 5e-8),
    "word_deletion": _Rate(5e-5, 2e-6, 5e-8),
    "synonyms": _Rate(5e-5, 4e-6, 1e-7),
}
_GRAY, _COLORED = _Rate(2e-4, 0, 2.5e-9), _Rate(7e-4, 0, 4e-8)
_OPERATION = _Rate(1.7e-3, 6.5e-6, 8.5e-9)


def augmentation_seconds(
    augmentation: Augmentation | None, network_input: NetworkInput, rows: int
) -> float:
    """Returns what changing the rows of a step takes on one core.

    Args:
        augmentation: Resolved; None for rows as they are.
        network_input: What the rows consist of.
        rows: The worker's rows of a step.
    """
    if augmentation is None:
        return 0.0
    policies = augmentation.policies
    alone = [each for each in policies if each.kind not in _MIXING]
    mixing = [_Part(_MIXING[each.kind], each.share) for each in policies if each.kind in _MIXING]
    # Partners are read and changed like the rows themselves.
    changes = [_Part(_DRAWS), *_shared(alone), *map(_own, alone)] * (2 if mixing else 1)
    return sum(part.seconds(network_input, rows) for part in [*changes, *mixing])


@dataclass(frozen=True)
class _Part:
    """Something to do, for a share of the rows."""

    rate: _Rate
    share: float = 1.0

    def seconds(self, network_input: NetworkInput, rows: int) -> float:
        of_row = self.rate.row + self.rate.number * _numbers(network_input)
        return self.rate.step + self.share * rows * of_row


def _numbers(network_input: NetworkInput) -> int:
    """Returns the numbers of a row that policies change, about; see `_Rate`."""
    image = math.prod(network_input.image_shape) if network_input.image_shape else 0
    others = network_input.text_length + network_input.window + network_input.numeric_columns
    return image or others


def _shared(policies: Sequence[Policy]) -> Iterator[_Part]:
    """Yields what policies share, whatever their shares of rows."""
    kinds = {each.kind for each in policies}
    if any("images" in DATA[kind] for kind in kinds):
        yield _Part(_PIXELS)
    if kinds & _GEOMETRY:
        yield _Part(_SAMPLING)
    if any("texts" in DATA[kind] for kind in kinds):
        yield _Part(_TOKENS)


def _own(policy: Policy) -> _Part:
    """Returns what a policy takes by itself."""
    rate = _RATES.get(policy.kind)
    if policy.color is not None:
        rate = _COLORED if policy.color.saturation or policy.color.hue else _GRAY
    if policy.rand_augment is not None:
        times = policy.rand_augment.operations
        rate = _Rate(times * _OPERATION.step, times * _OPERATION.row, times * _OPERATION.number)
    assert rate is not None
    return _Part(rate, policy.share)
