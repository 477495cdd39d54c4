"""Names of a network's layers, from its specification alone. Imports no torch."""

from collections.abc import Iterator

from common.networks.specification import (
    CnnNetwork,
    MlpNetwork,
    NetworkSpecification,
    ResNetNetwork,
)


def layer_names(specification: NetworkSpecification) -> tuple[str, ...]:
    """Returns the names of the layers whose widths are a network's own to choose.

    These are the modules of `common.networks.modules.build_network` with weights; normalisations
    are as wide as what they normalise. A linear network has none.

    Args:
        specification: Complete.
    """
    if specification.mlp is not None:
        return tuple(_mlp_layers(specification.mlp))
    if specification.cnn is not None:
        return tuple(_cnn_layers(specification.cnn))
    if specification.resnet is not None:
        return tuple(_resnet_layers(specification.resnet))
    return ()


def has_batch_norm(specification: NetworkSpecification) -> bool:
    """Returns whether a network has batch normalisation."""
    kinds = (specification.mlp, specification.cnn)
    return specification.resnet is not None or any(each and each.batch_norm for each in kinds)


def _mlp_layers(mlp: MlpNetwork) -> Iterator[str]:
    yield from (f"embeddings.{place}" for place in range(len(mlp.embedding_widths)))
    behind_each = 2 + mlp.batch_norm + (mlp.dropout > 0)
    yield from (f"layers.{place * behind_each}" for place in range(len(mlp.hidden_widths) + 1))


def _cnn_layers(cnn: CnnNetwork) -> Iterator[str]:
    within = ".0" if cnn.batch_norm else ""
    yield from (f"blocks.{2 * place}{within}" for place in range(len(cnn.blocks)))
    hidden = sum(width > 0 for width in cnn.head_widths)
    yield from (f"head.{2 * place}" for place in range(hidden))
    yield f"head.{2 * hidden + (cnn.dropout > 0)}"


def _resnet_layers(resnet: ResNetNetwork) -> Iterator[str]:
    yield "stem.conv"
    channels = resnet.stages[0].channels
    for place, stage in enumerate(resnet.stages):
        for number in range(stage.blocks):
            block = f"stages.{place}.{number}"
            yield f"{block}.conv1"
            yield f"{block}.conv2"
            if number == 0 and (place > 0 or channels != stage.channels):
                yield f"{block}.shortcut.conv"
        channels = stage.channels
    yield "head"
