"""The two networks for small pictures. Needs torch alone: a rival's environment imports it too."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn import functional

CLASSES = 10


class Block(nn.Module):
    """Two convolutions and what goes past them (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Makes a block that halves height and width where its stride is 2."""
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.past: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.past = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Returns features [rows, outputs, height, width]."""
        found = functional.relu(self.first_norm(self.first(features)))
        found = self.second_norm(self.second(found)) + self.past(features)
        return functional.relu(found)


class ResNet18(nn.Module):
    """For pictures of 32 x 32, of a quarter width where that is 16."""

    def __init__(self, width: int = 16) -> None:
        """Makes eight blocks in four stages."""
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        blocks, inputs = [], width
        for outputs, stride in ((width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)):
            blocks += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns scores [rows, classes]."""
        features: Tensor = self.blocks(self.stem(pictures))
        scores: Tensor = self.head(features.mean((2, 3)))
        return scores


def vgg(widths: tuple[int, ...] = (32, 64, 128, 128)) -> nn.Sequential:
    """Returns pairs of convolutions with pooling between them (Simonyan and Zisserman, 2015)."""
    layers: list[nn.Module] = []
    inputs = 3
    for stage, width in enumerate(widths):
        layers += [nn.MaxPool2d(2)] if stage else []
        for _ in range(2):
            layers += [
                nn.Conv2d(inputs, width, 3, 1, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES))


NETS: Mapping[str, Callable[[], nn.Module]] = {"ResNet": ResNet18, "VGG": vgg}
