"""Training rows as a step sees them where they are changed at random.

What becomes of a row is a function of seed, epoch and its place in the epoch's order. Its partner
may be any row of the step, also one that another worker trains on: each worker reads the partners
of its own rows itself. So neither the number of workers nor a restart changes anything.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.models.preprocessing import ImageColumn, TextColumns
from services.trainer.domain.augmentation.draws import Draws
from services.trainer.domain.augmentation.mixing import (
    Inputs,
    between,
    blended,
    near_partners,
    partners,
    shares_of_classes,
)
from services.trainer.domain.augmentation.pipeline import (
    MIXING,
    Pixels,
    RowChanges,
    Tokenizer,
    mixed,
)
from services.trainer.domain.augmentation.policies import Interpolation
from services.trainer.domain.augmentation.specification import Augmentation
from services.trainer.domain.augmentation.tables import SimilarTargets, nearest, steps
from services.trainer.domain.augmentation.windows import SERIES, changed_windows
from services.trainer.domain.forecasts.objective import WANTED
from services.trainer.worker.data import Batch, Examples

Rows = npt.NDArray[np.int64]
# Branches of a row's draws; those of policies are their places in the list.
_OWN, _OTHER, _PARTNER = 1_000, 1_001, 1_002


@dataclass(frozen=True)
class StepRows:
    """The rows of a step over all workers.

    Attributes:
        epoch: From 0.
        first: Place of the first of them in the epoch's order.
        rows: Their numbers.
    """

    epoch: int
    first: int
    rows: Rows


class Augmenter:
    """Changes rows."""

    def __init__(self, data: Examples, augmentation: Augmentation, seed: int) -> None:
        """Prepares the policies.

        Args:
            data: The rows.
            augmentation: Resolved.
            seed: The run's.
        """
        self._data = data
        self._seed = seed
        numbered = list(enumerate(augmentation.policies))
        self._mixing = [each for each in numbered if each[1].kind in MIXING]
        self._of_series = [each for each in numbered if each[1].kind in SERIES]
        self._interpolations = [each for each in numbered if each[1].interpolation is not None]
        self._changes = RowChanges(
            augmentation, _pixels(data.preprocessing.image), _tokenizer(data.preprocessing.text)
        )
        self._similar: SimilarTargets | None = None
        if self._interpolations:
            self._similar = SimilarTargets(data.targets(data.training))

    def batch(self, step: StepRows, mine: Rows) -> Batch:
        """Returns rows of a step, changed.

        Args:
            step: The rows of all workers.
            mine: Positions of those wanted among them.
        """
        draws = Draws.of_rows(self._seed, step.epoch, step.first + mine)
        own = self._changed(step.rows[mine], draws.branch(_OWN))
        if not self._mixing:
            return own
        chosen = self._partners(step, mine, draws.branch(_PARTNER))
        other = self._changed(step.rows[chosen], draws.branch(_OTHER))
        return self._mixed(own, other, draws)

    def _partners(self, step: StepRows, mine: Rows, draws: Draws) -> Rows:
        weights = self._data.weights(step.rows).astype(np.float64)
        bandwidths = [
            policy.mixup.target_bandwidth
            for _, policy in self._mixing
            if policy.mixup is not None and policy.mixup.target_bandwidth is not None
        ]
        if not bandwidths:
            return partners(weights, draws)
        targets = self._data.targets(step.rows).astype(np.float64)
        return near_partners(targets, weights, mine, bandwidths[0], draws)

    def _mixed(self, own: Batch, other: Batch, draws: Draws) -> Batch:
        inputs, share = mixed(self._mixing, self._named(own), self._named(other), draws)
        target = blended(self._blendable(own.target), self._blendable(other.target), share)
        return replace(own, inputs=tuple(inputs.values()), target=target)

    def _changed(self, rows: Rows, draws: Draws) -> Batch:
        batch = self._data.batch(rows)
        for number, policy in self._interpolations:
            assert policy.interpolation is not None
            branch = draws.branch(number)
            is_changed = branch.chosen(policy.share)
            batch = self._interpolated(batch, rows, is_changed, policy.interpolation, branch)
        if self._of_series:
            return self._changed_series(batch, draws)
        inputs = self._changes(self._named(batch), draws)
        return replace(batch, inputs=tuple(inputs.values()))

    def _changed_series(self, batch: Batch, draws: Draws) -> Batch:
        """Returns windows changed, and what is wanted of their forecasts with them."""
        series = self._data.preprocessing.series
        assert series is not None
        window, wanted = changed_windows(
            self._of_series, batch.inputs[0], batch.target[:, WANTED], series.season, draws
        )
        target = batch.target.clone()
        target[:, WANTED] = wanted
        return replace(batch, inputs=(window, *batch.inputs[1:]), target=target)

    def _interpolated(
        self,
        batch: Batch,
        rows: Rows,
        is_changed: npt.NDArray[np.bool_],
        settings: Interpolation,
        draws: Draws,
    ) -> Batch:
        """Returns rows on their ways to similar ones."""
        assert self._similar is not None
        found = self._similar.candidates(self._data.targets(rows), settings.candidates, draws)
        numbers = self._data.training[found]
        near = self._data.batch(numbers.ravel())
        of_near = self._named(near)["numeric"].view(*numbers.shape, -1)
        own = self._named(batch)
        picked = nearest(own["numeric"], of_near, numbers == rows[:, None])
        places = torch.from_numpy(np.arange(len(rows)) * settings.candidates + picked)
        share = torch.from_numpy(np.where(is_changed, 1 - steps(draws), 1.0).astype(np.float32))
        other = {name: values[places] for name, values in self._named(near).items()}
        inputs = {name: between(values, other[name], share, draws) for name, values in own.items()}
        target = batch.target
        if target.is_floating_point():
            target = blended(target, near.target[places], share)
        return replace(batch, inputs=tuple(inputs.values()), target=target)

    def _named(self, batch: Batch) -> Inputs:
        return dict(zip(self._data.names, batch.inputs, strict=True))

    def _blendable(self, target: Tensor) -> Tensor:
        if target.is_floating_point():
            return target
        return shares_of_classes(target, self._data.preprocessing.target.outputs)


def _tokenizer(text: TextColumns | None) -> Tokenizer | None:
    if text is None:
        return None
    # Here: whoever has no texts does without the library.
    from common.models.tokenization import tokenizer_of  # noqa: PLC0415

    return tokenizer_of(text)


def _pixels(image: ImageColumn | None) -> Pixels | None:
    if image is None:
        return None
    return Pixels(torch.tensor(image.mean), torch.tensor(image.scale))
