"""Models with slots, of our own writing: they have the names and attributes of packages that are not on an index.

In: sizes. Out: a neural Turing machine (as pytorch-ntm lays it out), a modern Hopfield core (hflayers), a memory of
weights (titans-pytorch), a memory network whose hops are modules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import handle_torch_function, has_torch_function


class NTMMemory(nn.Module):
    """Slots (B, N, M). It has no forward, and keeps what it held before the last write if ``keeps``."""

    def __init__(self, slots: int, width: int, keeps: bool = True) -> None:
        super().__init__()
        self.N, self.M, self.keeps = slots, width, keeps
        self.memory: Tensor | None = None
        self.mem_bias: Tensor
        self.register_buffer("mem_bias", torch.rand(slots, width) - 0.5)

    def size(self) -> tuple[int, int]:
        return self.N, self.M

    def reset(self, batch: int) -> None:
        self.memory = self.mem_bias.repeat(batch, 1, 1)

    def held(self) -> Tensor:
        assert self.memory is not None
        return self.memory

    def read(self, weights: Tensor) -> Tensor:
        return torch.einsum("bn,bnm->bm", weights, self.held())

    def write(self, weights: Tensor, erase: Tensor, add: Tensor) -> None:
        before = self.held()
        if self.keeps:
            self.prev_mem = before
        self.memory = before * (1 - weights[:, :, None] * erase[:, None]) + weights[:, :, None] * add[:, None]


class _Head(nn.Module):
    """Addresses slots by content."""

    def __init__(self, memory: NTMMemory) -> None:
        super().__init__()
        self.memory = memory

    def address(self, key: Tensor) -> Tensor:
        return (torch.einsum("bm,bnm->bn", key, self.memory.held()) * 3).softmax(-1)


class NTMReadHead(_Head):
    """Returns what it reads and its weights."""

    def __init__(self, memory: NTMMemory, controller: int) -> None:
        super().__init__(memory)
        self.read_lengths = [memory.M, 1]
        self.fc_read = nn.Linear(controller, sum(self.read_lengths))

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.address(self.fc_read(embeddings)[:, : self.memory.M])
        return self.memory.read(weights), weights


class NTMWriteHead(_Head):
    """Returns its weights; ``act`` is what it makes of the add vector."""

    def __init__(self, memory: NTMMemory, controller: int, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__(memory)
        self.write_lengths = [memory.M, 1, memory.M, memory.M]
        self.fc_write = nn.Linear(controller, sum(self.write_lengths))
        self.act = act

    def forward(self, embeddings: Tensor) -> Tensor:
        key, _, erase, add = self.fc_write(embeddings).split(self.write_lengths, 1)
        weights = self.address(key)
        self.memory.write(weights, erase.sigmoid(), self.act(add))
        return weights


class NTM(nn.Module):
    """One step per call; ``heads`` run in the order in which they are given.

    Args:
        order: "r" and "w" for heads that read and write.
        act: Of the add vectors.
        keeps: Whether the memory keeps what it held before.
    """

    def __init__(self, order: str = "rw", act: Callable[[Tensor], Tensor] = torch.clone, keeps: bool = True) -> None:
        super().__init__()
        self.memory = NTMMemory(7, 5, keeps)
        self.controller = nn.Linear(4, 9)
        made = [NTMReadHead(self.memory, 9) if does == "r" else NTMWriteHead(self.memory, 9, act) for does in order]
        self.heads = nn.ModuleList(made)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4) -> (B, reads * 5)."""
        embeddings = self.controller(x).tanh()
        results = [head(embeddings) for head in self.heads]
        return torch.cat([result[0] for result in results if isinstance(result, tuple)], 1)


class Loops(nn.Module):
    """Makes all steps of an NTM in one call."""

    def __init__(self, ntm: NTM) -> None:
        super().__init__()
        self.ntm = ntm

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 4) -> (B, T, reads * 5)."""
        self.ntm.memory.reset(len(x))
        return torch.stack([self.ntm(step) for step in x.unbind(1)], 1)


def retrieve(query: Tensor, key: Tensor, weight: Tensor, beta: float, updates: int, eps: float) -> Tensor:
    """Hopfield retrieval, one head: (Q, B, E), (S, B, E), (3D, E) -> (Q, B, D); ends at a move of ``eps``.

    As torch's own functions do, it lets a function mode have it whole, so that a mode does not see into it.
    """
    tensors = (query, key, weight)
    if has_torch_function(tensors):
        result: Tensor = handle_torch_function(retrieve, tensors, query, key, weight, beta, updates, eps)
        return result
    q, k, v = (part.transpose(0, 1) for part in _projected(query, key, weight))
    shares = (beta * q @ k.transpose(1, 2)).softmax(-1)
    for _ in range(updates):
        before, shares = shares, (beta * (shares @ k) @ k.transpose(1, 2)).softmax(-1)
        if (shares - before).norm(dim=(1, 2)).max() <= eps:
            break
    return (shares @ v).transpose(0, 1)


def _projected(query: Tensor, key: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    first, second, third = weight.chunk(3)
    return query @ first.T, key @ second.T, key @ third.T


class HopfieldCore(nn.Module):
    """The plain case of the package's core: one head, no bias, no output layer."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.dropout = 1, width, dropout
        self.query_as_static = self.key_as_static = self.value_as_static = self.value_as_connected = False
        self.add_zero_attn = self.normalize_pattern = False
        self.normalize_pattern_eps = 1e-5
        self.bias_k = self.bias_v = self.in_proj_bias = self.out_proj = None
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width))

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scaling: float,
        update_steps_max: int,
        update_steps_eps: float,
    ) -> tuple[Tensor, None]:
        options = (scaling, update_steps_max, update_steps_eps)
        return retrieve(query, key, self.in_proj_weight, *options), None


class Hopfield(nn.Module):
    """Patterns (B, S, E) that are associated with each other."""

    def __init__(
        self, width: int, beta: float = 2.0, updates: int = 0, dropout: float = 0.0, eps: float = 1e-4
    ) -> None:
        super().__init__()
        self.association_core = HopfieldCore(width, dropout)
        self.options = {"scaling": beta, "update_steps_max": updates, "update_steps_eps": eps}

    def forward(self, x: Tensor) -> Tensor:
        rows = x.transpose(0, 1)
        out: Tensor = self.association_core(rows, rows, rows, **self.options)[0]
        return out.transpose(0, 1)


class NeuralMemState(NamedTuple):
    """What a memory of weights holds after a call: ``updates`` name a weight (B * N, 1 + chunks, ...)."""

    seq_index: int
    weights: dict[str, Tensor]
    updates: dict[str, Tensor]


class NeuralMemory(nn.Module):
    """A memory of weights: each chunk of the input moves them."""

    def __init__(self, heads: int, width: int, chunk: int) -> None:
        super().__init__()
        self.heads, self.store_chunk_size = heads, chunk
        self.memory_model = nn.Linear(width, width)

    def forward(self, x: Tensor, return_surprises: bool = False) -> tuple[Any, ...]:
        """(B, T, D) -> (B, T, D), state, maybe the surprises (B, N, T)."""
        start = self.memory_model.weight.detach()
        chunks = x.detach().unflatten(1, (-1, self.store_chunk_size)).mean(2)  # (B, chunks, D)
        moves = torch.einsum("bci,bcj->bcij", chunks, chunks).cumsum(1).repeat_interleave(self.heads, 0)
        updates = torch.cat([torch.zeros_like(moves[:, :1]), moves], 1) + start
        state = NeuralMemState(x.shape[1], {"weight": start}, {"weight": updates})
        surprise = x.detach().norm(dim=-1)[:, None].repeat(1, self.heads, 1)
        return (x, state, (surprise, surprise / 2)) if return_surprises else (x, state)


class Hop(nn.Module):
    """One query reads a memory."""

    def forward(self, state: Tensor, memory: Tensor) -> Tensor:
        """(B, D), (B, S, D) -> (B, D)."""
        shares = torch.einsum("bd,bsd->bs", state, memory).softmax(-1)
        return state + functional.linear(torch.bmm(shares[:, None], memory)[:, 0], torch.eye(memory.shape[-1]))


class Hops(nn.Module):
    """A memory network with a module per hop."""

    def __init__(self, hops: int) -> None:
        super().__init__()
        self.hops = nn.ModuleList(Hop() for _ in range(hops))

    def forward(self, state: Tensor, memory: Tensor) -> Tensor:
        for hop in self.hops:
            state = hop(state, memory)
        return state
