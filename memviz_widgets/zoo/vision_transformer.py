"""VisionTransformer: reads a digit that lies somewhere on a canvas (Dosovitskiy et al. 2020, arXiv 2010.11929).

In: canvases (B, 1, 24, 24), 0..1. Out: logits (B, classes).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .digits import digit_pictures

CANVAS = 24
"""Rows and columns of a canvas, px; a digit has 8."""
STEP = 2
"""Digits lie at rows and columns that are multiples of this, px."""
NOISE = 0.25
"""Brightest that the canvas is where no digit lies."""


class HeadsOfAttention(nn.Module):
    """Self-attention in which every token looks at all tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, N, T, d)
        read = functional.scaled_dot_product_attention(q, k, v)
        mixed: Tensor = self.out(read.transpose(1, 2).flatten(2))
        return mixed


class VisionBlock(nn.Module):
    """Attention and a network per token, each after a norm and added to what was there."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = HeadsOfAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = x + self.attention(self.norm1(x))
        mixed: Tensor = x + self.mlp(self.norm2(x))
        return mixed


class VisionTransformer(nn.Module):
    """A small vision transformer: 36 patches of 4 x 4 pixels and a class token, which has to find the digit.

    Args:
        width: of every token.
        heads: of each attention.
        layers: number of blocks.
        patch: rows and columns of a patch, px.
        classes: number of logits.
    """

    def __init__(self, width: int = 48, heads: int = 4, layers: int = 2, patch: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, patch, stride=patch)
        self.summary = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.places = nn.Parameter(torch.randn((CANVAS // patch) ** 2, width) * 0.1)
        self.blocks = nn.ModuleList(VisionBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, canvases: Tensor) -> Tensor:
        """(B, 1, 24, 24) -> (B, classes)."""
        patches = self.patches(canvases).flatten(2).transpose(1, 2) + self.places  # (B, 36, D)
        x = torch.cat([self.summary.expand(len(patches), -1, -1), patches], 1)  # (B, 37, D)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x[:, 0]))
        return logits


def digits_on_canvas(count: int, split: str, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Digits at random places of a canvas with noise around them.

    Args:
        count: B.
        split: "train" or "test", of :func:`digit_pictures`.
        generator: of the choice, the places and the noise.

    Returns:
        Canvases (B, 1, 24, 24), 0..1; digits (B,); top row and left column of each digit (B, 2), 0..16.

    Raises:
        MissingExtraError: without scikit-learn.
    """
    pictures, digits = digit_pictures(split)
    chosen = torch.randint(len(digits), (count,), generator=generator)
    corner = STEP * torch.randint((CANVAS - 8) // STEP + 1, (count, 2), generator=generator)
    canvases = torch.rand(count, 1, CANVAS, CANVAS, generator=generator) * NOISE
    for canvas, picture, (top, left) in zip(canvases, pictures[chosen], corner.tolist(), strict=True):
        part = canvas[:, top : top + 8, left : left + 8]
        torch.maximum(part, picture, out=part)
    return canvases, digits[chosen], corner
