"""How far a network's outputs are from those of its teacher."""

import torch
from torch import Tensor
from torch.nn import functional


def class_distances(outputs: Tensor, said: Tensor, temperature: float) -> Tensor:
    """Returns temperature^2 x KL(teacher, network) of each row, shape (rows,).

    The square keeps the size of gradients whatever the temperature.

    Args:
        outputs: The network's logits, shape (rows, classes).
        said: The teacher's.
        temperature: What both are divided by.

    Source: Hinton et al., Distilling the knowledge in a neural network (2015).
    """
    own = functional.log_softmax(outputs / temperature, dim=1)
    wanted = functional.log_softmax(said / temperature, dim=1)
    divergence = functional.kl_div(own, wanted, reduction="none", log_target=True)
    return temperature**2 * divergence.sum(dim=1)


def label_distances(outputs: Tensor, said: Tensor, temperature: float) -> Tensor:
    """Returns temperature^2 x the mean KL(teacher, network) over a row's labels, shape (rows,).

    Each label is a distribution of its own, with and without; see `class_distances`.

    Args:
        outputs: The network's logits, shape (rows, labels).
        said: The teacher's.
        temperature: What both are divided by.
    """
    wanted = torch.sigmoid(said / temperature)
    cross = functional.binary_cross_entropy_with_logits(
        outputs / temperature, wanted, reduction="none"
    )
    own = functional.binary_cross_entropy_with_logits(said / temperature, wanted, reduction="none")
    return temperature**2 * (cross - own).mean(dim=1)
