"""The networks that test_ranks_*.py run on several ranks, and how they are spread over them.

In: nothing, or a mesh. Out: a transformer and a CNN with weights and inputs that are the same in every process.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SAMPLES = 4
"""In the batch of all ranks together."""


class Attention(nn.Module):
    """Four heads of 4; it counts those that it has from its queries, as tensor parallelism asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        batch, time, _ = x.shape
        q, k, v = (
            layer(x).view(batch, time, -1, 4).transpose(1, 2)  # (B, N, T, 4)
            for layer in (self.q, self.k, self.v)
        )
        read = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        result: Tensor = self.o(read.transpose(1, 2).reshape(batch, time, -1))
        return result


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.attn = Attention()
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class Transformer(nn.Module):
    """Embeddings, two blocks, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Linear(16, 20)

    def forward(self, ids: Tensor) -> Tensor:
        x: Tensor = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        result: Tensor = self.head(x)
        return result


class Pictures(nn.Module):
    """A CNN with a classifier of two layers, and an LSTM over the rows of its maps."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.lstm = nn.LSTM(12, 6, batch_first=True)
        self.wide, self.act, self.narrow = nn.Linear(18, 8), nn.ReLU(), nn.Linear(8, 4)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.features(pictures)  # (B, C, 3, 3)
        states, _ = self.lstm(maps.permute(0, 2, 1, 3).flatten(2))
        result: Tensor = self.narrow(self.act(self.wide(states.flatten(1))))
        return result


def transformer() -> tuple[Transformer, Tensor]:
    torch.manual_seed(0)
    return Transformer().eval(), torch.randint(0, 20, (SAMPLES, 6))


def pictures() -> tuple[Pictures, Tensor]:
    torch.manual_seed(1)
    return Pictures().eval(), torch.randn(SAMPLES, 1, 8, 8)


def sequence_parallel(network: Transformer, mesh: Any) -> nn.Module:
    """The other plan of the tutorial: between the blocks each rank has some of the tokens."""
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        PrepareModuleInput,
        RowwiseParallel,
        SequenceParallel,
        parallelize_module,
    )

    plan: dict[str, Any] = {
        "embed": RowwiseParallel(input_layouts=Replicate(), output_layouts=Shard(1)),
        "head": ColwiseParallel(input_layouts=Shard(1), output_layouts=Replicate()),
    }
    for block in (f"blocks.{number}." for number in range(len(network.blocks))):
        for name in ("norm1", "norm2"):
            plan[block + name] = SequenceParallel()
        for name in ("attn", "mlp"):
            plan[block + name] = PrepareModuleInput(input_layouts=Shard(1), desired_input_layouts=Replicate())
        for name in ("attn.q", "attn.k", "attn.v", "mlp.0"):
            plan[block + name] = ColwiseParallel()
        for name in ("attn.o", "mlp.2"):
            plan[block + name] = RowwiseParallel(output_layouts=Shard(1))
    return parallelize_module(network, mesh, plan)


def tensor_parallel(network: nn.Module, mesh: Any, *, local: bool = True) -> nn.Module:
    """The plan of torch's tutorial. ``local``: whether outputs are plain tensors; else those of heads are DTensors."""
    from torch.distributed.tensor import Replicate  # not before a process group needs it
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    plan: dict[str, Any] = {"wide": ColwiseParallel(), "narrow": RowwiseParallel()}
    if isinstance(network, Transformer):
        plan = {"embed": RowwiseParallel(input_layouts=Replicate()), "head": ColwiseParallel(use_local_output=local)}
        for number in range(len(network.blocks)):
            for name in ("attn.q", "attn.k", "attn.v", "mlp.0"):
                plan[f"blocks.{number}.{name}"] = ColwiseParallel()
            for name in ("attn.o", "mlp.2"):
                plan[f"blocks.{number}.{name}"] = RowwiseParallel()
    return parallelize_module(network, mesh, plan)
