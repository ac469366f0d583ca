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


FUSED = {"chunk": 4, "numbers": 4, "axis": 4, "slice": 4, "one chunk": 2, "one axis": 2, "one eager": 2}
"""How a layer takes queries, keys and values from one projection, and its heads: of two ranks one or two each."""


class Fused(nn.Module):
    """Attention with one projection for queries, keys and values.

    Attributes:
        heads: Of this process.
    """

    def __init__(self, style: str, heads: int) -> None:
        super().__init__()
        self.style, self.heads, self.width = style.removeprefix("one "), heads, 16 // heads
        self.qkv, self.o = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.taken(self.qkv(x))  # (B, N, T, D)
        if self.style in ("eager", "numbers"):
            scores = (q @ k.transpose(-2, -1) / self.width**0.5).masked_fill(~mask, -1e9)
            read = scores.softmax(-1) @ v
        else:
            read = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        result: Tensor = self.o(read.transpose(1, 2).reshape(*x.shape[:2], -1))
        return result

    def taken(self, qkv: Tensor) -> Any:
        batch, time, size = qkv.shape
        if self.style == "axis":
            return qkv.reshape(batch, time, 3, self.heads, self.width).permute(2, 0, 3, 1, 4).unbind(0)
        size //= 3
        parts = qkv.chunk(3, -1)
        if self.style == "slice":
            parts = (qkv[..., :size], qkv[..., size : 2 * size], qkv[..., 2 * size :])
        heads = self.heads if self.style == "numbers" else -1
        return [each.view(batch, time, heads, self.width).transpose(1, 2) for each in parts]


class FusedNetwork(nn.Module):
    """Each way once; some tokens are masked, by the plain input."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({style: Fused(style, heads) for style, heads in FUSED.items()})

    def forward(self, x: Tensor) -> Tensor:
        mask = x[:, None, None, :, 0] > -1
        for layer in self.layers.values():
            x = x + layer(x, mask)
        return x


def fused() -> tuple[FusedNetwork, Tensor]:
    torch.manual_seed(3)
    return FusedNetwork().eval(), torch.randn(SAMPLES, 6, 16)


def fused_tensor_parallel(network: FusedNetwork, mesh: Any) -> nn.Module:
    """Whole heads on each rank: the rows of each projection are put in the order of the ranks before they are cut."""
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    plan: dict[str, Any] = {}
    for style, layer in network.layers.items():
        plan |= {f"layers.{style}.qkv": ColwiseParallel(), f"layers.{style}.o": RowwiseParallel()}
        assert isinstance(layer, Fused)
        layer.heads //= mesh.size()
        for value in (layer.qkv.weight, layer.qkv.bias):
            value.data = value.data.unflatten(0, (3, mesh.size(), -1)).transpose(0, 1).flatten(0, 2).contiguous()
    return parallelize_module(network, mesh, plan)


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
