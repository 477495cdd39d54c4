"""Small networks of many kinds, each with what makes it hard to prune."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ROWS = 3
CLASSES = 5


class Residual(nn.Module):
    """Channels that a sum ties together, with a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.first, self.second = _block(16, 16), _block(16, 32, 2)
        self.shortcut = nn.Sequential(nn.Conv2d(16, 32, 1, 2, bias=False), nn.BatchNorm2d(32))
        self.head = nn.Linear(32, CLASSES)

    def forward(self, image: Tensor) -> Any:
        found = functional.relu(self.stem(image))
        found = functional.relu(found + self.first(found))
        found = functional.relu(self.shortcut(found) + self.second(found))
        return self.head(found.mean((2, 3)))


def _block(width: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
        nn.Conv2d(out, out, 3, padding=1, bias=False),
        nn.BatchNorm2d(out),
    )


def vgg() -> nn.Module:
    """Convolutions in a row, flattened into a head."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 24, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(96, 32),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(32, CLASSES),
    )


def depthwise() -> nn.Module:
    """A filter for each channel, between pointwise ones."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 1),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.BatchNorm2d(16),
        nn.Hardswish(),
        nn.Conv2d(16, 24, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, CLASSES),
    )


def grouped() -> nn.Module:
    """Convolutions in groups that are normalised in the same groups."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.GroupNorm(8, 32),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1, groups=4),
        nn.GroupNorm(8, 32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, CLASSES),
    )


class Concatenation(nn.Module):
    """Layers that see all before them, as in a dense net."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(12 + 8 * n), nn.ReLU(), nn.Conv2d(12 + 8 * n, 8, 3, padding=1)
            )
            for n in range(3)
        )
        self.head = nn.Linear(36, CLASSES)

    def forward(self, image: Tensor) -> Any:
        found = self.stem(image)
        for layer in self.layers:
            found = torch.cat([found, layer(found)], dim=1)
        return self.head(found.mean((2, 3)))


class UNet(nn.Module):
    """Down and up again, with a connection across."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.joined = nn.Sequential(nn.Conv2d(16, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, image: Tensor) -> Any:
        high = self.down(image)
        low = self.up(self.deep(functional.max_pool2d(high, 2)))
        return self.head(self.joined(torch.cat([high, low], 1)))


class Gates(nn.Module):
    """Squeeze and excite, then a gate of half the channels for the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.squeeze, self.excite = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1)
        self.wide = nn.Conv2d(16, 32, 1)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, image: Tensor) -> Any:
        found = self.stem(image)
        gate = functional.relu(self.squeeze(functional.adaptive_avg_pool2d(found, 1)))
        found = found * torch.sigmoid(self.excite(gate))
        values, gate = self.wide(found).chunk(2, dim=1)
        return self.head((values * torch.sigmoid(gate)).mean((2, 3)))


class ChannelShuffle(nn.Module):
    """Grouped convolutions between which channels change their groups."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.first = nn.Conv2d(16, 16, 1, groups=2)
        self.second = nn.Conv2d(16, 16, 3, padding=1, groups=2)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, image: Tensor) -> Any:
        found = functional.relu(self.first(functional.relu(self.stem(image))))
        rows, channels, height, width = found.shape
        found = found.view(rows, 2, channels // 2, height, width).transpose(1, 2)
        found = functional.relu(self.second(found.reshape(rows, channels, height, width)))
        return self.head(found.mean((2, 3)))


def convolution_1d() -> nn.Module:
    """A series, convolved and flattened."""
    return nn.Sequential(
        nn.Conv1d(4, 16, 3, padding=1),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(16, 12, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12 * 8, CLASSES),
    )


class HardCodedView(nn.Module):
    """A shape in numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.head = nn.Linear(16 * 16, CLASSES)

    def forward(self, image: Tensor) -> Any:
        found = functional.avg_pool2d(functional.relu(self.conv(image)), 2)
        return self.head(found.view(-1, 16 * 4 * 4))


class Recurrent(nn.Module):
    """The last state of a recurrent network."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, CLASSES)

    def forward(self, series: Tensor) -> Any:
        found, _ = self.layer(series)
        return self.head(found[:, -1])


class Encoder(nn.Module):
    """torch's own transformer."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 48, batch_first=True)
        self.start = nn.Linear(6, 32)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, series: Tensor) -> Any:
        return self.head(self.encoder(self.start(series)).mean(1))


class FusedAttention(nn.Module):
    """Queries, keys and values by one matrix, with shapes in numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.norm = nn.Linear(6, 32), nn.LayerNorm(32)
        self.fused, self.out = nn.Linear(32, 96), nn.Linear(32, 32)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, series: Tensor) -> Any:
        found = self.start(series)
        rows, steps, _ = found.shape
        fused = self.fused(self.norm(found)).reshape(rows, steps, 3, 4, 8).permute(2, 0, 3, 1, 4)
        query, key, value = fused.unbind(0)
        weights = (query @ key.transpose(-2, -1) * 8**-0.5).softmax(-1)
        mixed = (weights @ value).transpose(1, 2).reshape(rows, steps, 32)
        return self.head((found + self.out(mixed)).mean(1))


def embedding_bag() -> nn.Module:
    """Words in a bag, then layers."""
    return nn.Sequential(
        nn.EmbeddingBag(40, 16, mode="mean"),
        nn.Linear(16, 24),
        nn.BatchNorm1d(24),
        nn.ReLU(),
        nn.Linear(24, CLASSES),
    )


class TabularEmbeddings(nn.Module):
    """Columns of categories beside numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(size, 6) for size in (4, 7))
        self.layers = nn.Sequential(nn.Linear(15, 20), nn.GELU(), nn.Linear(20, CLASSES))

    def forward(self, numbers: Tensor, codes: Tensor) -> Any:
        found = [layer(codes[:, at]) for at, layer in enumerate(self.embeddings)]
        return self.layers(torch.cat([*found, numbers], 1))


class SharedLayer(nn.Module):
    """The same layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.shared = nn.Linear(10, 24), nn.Linear(24, 24)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, numbers: Tensor) -> Any:
        found = torch.tanh(self.start(numbers))
        found = torch.tanh(self.shared(found))
        return self.head(torch.tanh(self.shared(found)))


class TiedEmbedding(nn.Module):
    """Words go in and come out by the same matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.layer = nn.Embedding(30, 16), nn.Linear(16, 16)
        self.out = nn.Linear(16, 30, bias=False)
        self.out.weight = self.words.weight

    def forward(self, codes: Tensor) -> Any:
        return self.out(functional.gelu(self.layer(self.words(codes))))


class DynamicFlow(nn.Module):
    """What it does depends on what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.head = nn.Linear(10, 16), nn.Linear(16, CLASSES)

    def forward(self, numbers: Tensor) -> Any:
        found = functional.relu(self.start(numbers))
        if found.sum() > 1:
            found = found * 2
        return self.head(found)


class BareParameters(nn.Module):
    """Weights without a layer around them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(10, 16) / 3)
        self.scale, self.shift = nn.Parameter(torch.rand(16) + 0.5), nn.Parameter(torch.zeros(16))
        self.head = nn.Linear(16, CLASSES)

    def forward(self, numbers: Tensor) -> Any:
        return self.head(functional.silu(numbers @ self.weight) * self.scale + self.shift)


Inputs = tuple[Tensor, ...]


def image(side: int = 8) -> Inputs:
    return (torch.randn(ROWS, 3, side, side),)


def series(width: int = 6, steps: int = 7) -> Inputs:
    return (torch.randn(ROWS, steps, width),)


def words(size: int) -> Inputs:
    return (torch.randint(0, size, (ROWS, 6)),)


def numbers() -> Inputs:
    return (torch.randn(ROWS, 10),)


def columns() -> Inputs:
    return torch.randn(ROWS, 3), torch.randint(0, 4, (ROWS, 2))


def convolved_series() -> Inputs:
    return (torch.randn(ROWS, 4, 16),)


ARCHITECTURES: Mapping[str, tuple[Callable[[], nn.Module], Callable[[], Inputs]]] = {
    "residual": (Residual, image),
    "vgg": (vgg, image),
    "depthwise": (depthwise, image),
    "grouped_with_group_norm": (grouped, image),
    "concatenation": (Concatenation, image),
    "u_net": (UNet, image),
    "gates": (Gates, image),
    "channel_shuffle": (ChannelShuffle, image),
    "convolution_1d": (convolution_1d, convolved_series),
    "hard_coded_view": (HardCodedView, image),
    "lstm": (lambda: Recurrent(nn.LSTM(6, 16, batch_first=True), 16), series),
    "lstm_of_two_layers": (lambda: Recurrent(nn.LSTM(6, 16, 2, batch_first=True), 16), series),
    "bidirectional_lstm": (
        lambda: Recurrent(nn.LSTM(6, 12, batch_first=True, bidirectional=True), 24),
        series,
    ),
    "gru": (lambda: Recurrent(nn.GRU(6, 16, batch_first=True), 16), series),
    "transformer_encoder": (Encoder, series),
    "fused_attention": (FusedAttention, series),
    "embedding_bag": (embedding_bag, lambda: words(40)),
    "tabular_embeddings": (TabularEmbeddings, columns),
    "shared_layer": (SharedLayer, numbers),
    "tied_embedding": (TiedEmbedding, lambda: words(30)),
    "dynamic_control_flow": (DynamicFlow, numbers),
    "bare_parameters": (BareParameters, numbers),
}
"""A network and an example of what it takes in, by name."""

FOLLOWED = [name for name in ARCHITECTURES if name != "dynamic_control_flow"]
"""Those whose operations do not depend on values."""
