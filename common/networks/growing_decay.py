"""Decay of chosen weights that grows from step to step."""

import torch
from torch import Tensor


class GrowingDecay:
    """Multiplies weights by a little less after each step; a function of the step alone.

    Nothing of it is part of a commit, and all workers do the same.

    Source: Wang et al., Neural pruning via growing regularization (ICLR 2021).
    """

    def __init__(self, strengths: Tensor, steps: int) -> None:
        """Begins at 0.

        Args:
            strengths: Of each weight at the end, at least 0.
            steps: Optimiser steps until then.
        """
        self._strengths = strengths
        self._steps = steps

    def apply(self, parameters: Tensor, step: int, rate: float) -> None:
        """Decays weights after a step.

        Args:
            parameters: Changed in place; the shape of the strengths.
            step: Steps that are done, from 1.
            rate: Learning rate of the step.
        """
        share = step / self._steps
        with torch.no_grad():
            parameters.mul_((1 - rate * share * self._strengths).clamp_(min=0))
