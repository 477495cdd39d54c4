"""Residual networks as torch modules; see `common.networks.kinds.resnet`."""

from collections import OrderedDict

from torch import Tensor, nn

from common.networks.kinds.base import NetworkInput
from common.networks.kinds.resnet import ResNetNetwork, ResNetStage
from common.networks.torch_kinds.base import State, TorchKind, renumbered, widths


class ResNetModel(nn.Module):
    """A stem, stages of residual blocks, global average pooling, a linear layer.

    Names of parameters tell the place in the specification: `stages.1.0.conv1.weight` is of the
    first block of the second stage.
    """

    def __init__(self, resnet: ResNetNetwork, network_input: NetworkInput, outputs: int) -> None:
        """Makes the layers with fresh weights."""
        super().__init__()
        channels = resnet.stages[0].channels
        make_stem = _large_stem if resnet.stem == "large" else _small_stem
        self.stem = make_stem(network_input.image_shape[0], channels)
        stages: list[nn.Module] = []
        for index, stage in enumerate(resnet.stages):
            stages.append(_stage(stage, channels, stride=1 if index == 0 else 2))
            channels = stage.channels
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(resnet.dropout)
        self.head = nn.Linear(channels, outputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns [rows, outputs]; see `common.networks.modules.build_network`."""
        (image,) = inputs
        features = self.pool(self.stages(self.stem(image))).flatten(1)
        output: Tensor = self.head(self.dropout(features))
        return output


class ResidualBlock(nn.Module):
    """A basic block: two convolutions of 3 x 3, added to what went in.

    Where the block changes the sides or the number of channels, what went in takes a shortcut of a
    1 x 1 convolution (the paper's option B).
    """

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int) -> None:
        """Makes the layers.

        Args:
            inputs: Channels that go in.
            inner: Channels between the convolutions.
            outputs: Channels that come out.
            stride: Of the first convolution and the shortcut.
        """
        super().__init__()
        self.conv1 = _convolution(inputs, inner, 3, stride)
        self.norm1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = _convolution(inner, outputs, 3)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = _named(
                conv=_convolution(inputs, outputs, 1, stride), norm=nn.BatchNorm2d(outputs)
            )
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """Takes and returns [rows, channels, height, width]."""
        inner = self.relu1(self.norm1(self.conv1(features)))
        residual = self.norm2(self.conv2(inner))
        output: Tensor = self.relu2(residual + self.shortcut(features))
        return output


def _stage(stage: ResNetStage, inputs: int, stride: int) -> nn.Sequential:
    first, *others = stage.inner_channels
    channels = stage.channels
    return nn.Sequential(
        ResidualBlock(inputs, first, channels, stride),
        *(ResidualBlock(channels, inner, channels, 1) for inner in others),
    )


def _small_stem(inputs: int, channels: int) -> nn.Sequential:
    return _named(
        conv=_convolution(inputs, channels, 3),
        norm=nn.BatchNorm2d(channels),
        relu=nn.ReLU(inplace=True),
    )


def _large_stem(inputs: int, channels: int) -> nn.Sequential:
    return _named(
        conv=_convolution(inputs, channels, 7, stride=2),
        norm=nn.BatchNorm2d(channels),
        relu=nn.ReLU(inplace=True),
        pool=nn.MaxPool2d(3, stride=2, padding=1),
    )


def _named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Returns a convolution with weights as of He et al. (2015); the bias is batch norm's."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def resized_resnet(resnet: ResNetNetwork, state: State) -> tuple[ResNetNetwork, State]:
    """See `TorchKind.resized`."""
    state = renumbered(state, r"stages\.\d+\.")
    stages = []
    for place in range(len(resnet.stages)):
        prefix = f"stages.{place}."
        inner = widths(state, prefix, 4, "conv1.weight")
        [*_, channels] = widths(state, prefix, 4, "conv2.weight")
        stages.append(
            ResNetStage(blocks=len(inner), channels=channels, inner_channels=tuple(inner))
        )
    return resnet.model_copy(update={"stages": tuple(stages)}), state


KIND = TorchKind(ResNetModel, resized_resnet)
