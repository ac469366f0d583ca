"""DigitsCNN: three convolutions that read 8 x 8 pictures of handwritten digits.

In: pictures (B, 1, 8, 8), 0..1. Out: logits (B, 10).
"""

from __future__ import annotations

from torch import Tensor, nn


class DigitsCNN(nn.Module):
    """A plain convolutional network (LeCun et al. 1998, "Gradient-based learning applied to document recognition").

    Args:
        channels: of the three convolutions.
        classes: number of logits.
    """

    def __init__(self, channels: tuple[int, int, int] = (8, 16, 32), classes: int = 10) -> None:
        super().__init__()
        first, second, third = channels
        self.conv1 = nn.Conv2d(1, first, 3, padding=1)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.conv3 = nn.Conv2d(second, third, 3, padding=1)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.pool1, self.pool2 = nn.MaxPool2d(2), nn.MaxPool2d(2)
        self.head = nn.Linear(third * 4, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 1, 8, 8) -> (B, classes)."""
        x = self.pool1(self.relu1(self.conv1(pictures)))  # (B, 8, 4, 4)
        x = self.pool2(self.relu2(self.conv2(x)))  # (B, 16, 2, 2)
        x = self.relu3(self.conv3(x))  # (B, 32, 2, 2)
        logits: Tensor = self.head(x.flatten(1))
        return logits
