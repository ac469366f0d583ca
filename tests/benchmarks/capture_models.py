"""The models that the capture benchmark runs, with random weights, and what a capture of each may cost.

In: nothing but installed packages. Out: a :class:`Case` per name: (model in eval mode, input), budget, target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..real_models import resnet50

TARGET_LOOK = 0.05
"""Looking at a layer that is not kept, in forwards."""


@dataclass(frozen=True, slots=True)
class Case:
    """One model of the benchmark.

    Attributes:
        title: What the table is headed with.
        make: Gives the model and its only input.
        target: A capture may take this many plain forwards; None asks nothing.
        budget: What our captures get.
    """

    title: str
    make: Callable[[], tuple[nn.Module, Tensor]]
    target: float | None
    budget: str = "64 MiB"


def gpt2() -> tuple[nn.Module, Tensor]:
    """GPT-2 small with its language head, 124 M parameters, and 256 tokens (1, 256)."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model: nn.Module = GPT2LMHeadModel(GPT2Config()).train(False)
    return model, torch.randint(0, 50257, (1, 256))


def bert() -> tuple[nn.Module, Tensor]:
    """BERT-base and 128 tokens (1, 128)."""
    from transformers import BertConfig, BertModel

    model: nn.Module = BertModel(BertConfig()).train(False)
    return model, torch.randint(0, 30522, (1, 128))


class SequenceLabels(nn.Module):
    """Two layers of LSTM with 512 units and a linear head at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(512, 512, num_layers=2, batch_first=True)
        self.head = nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Any:
        """(B, T, 512) to (B, T, 10)."""
        return self.head(self.lstm(x)[0])


def lstm() -> tuple[nn.Module, Tensor]:
    """The LSTM and one sequence of 500 steps."""
    return SequenceLabels().eval(), torch.randn(1, 500, 512)


def tiny() -> tuple[nn.Module, Tensor]:
    """Eight small linear blocks: for a test of the benchmark itself."""
    blocks = [nn.Sequential(nn.Linear(64, 64), nn.ReLU()) for _ in range(8)]
    return nn.Sequential(*blocks).eval(), torch.randn(32, 64)


CASES = {
    "resnet50": Case("ResNet-50, picture 1 x 3 x 224 x 224", resnet50, 1.7),
    "gpt2": Case("GPT-2 small, 256 tokens", gpt2, 1.15),
    "bert": Case("BERT-base, 128 tokens", bert, 1.2),
    "lstm": Case("LSTM 2 x 512, 500 steps", lstm, 1.05),
    # Records 128 KiB: half of them are not kept.
    "tiny": Case("Tiny, for the test of this benchmark", tiny, None, "64 KiB"),
}
