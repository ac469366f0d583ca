"""What a capture of a decoder costs, by kind of record: arithmetic from its sizes alone.

In: sizes of a network as Llama 3 70B has them, tokens, ranks of tensor parallelism. Out: records and bytes, exactly;
``scale_network`` compares them with estimates of that very network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

SPILL_CHUNK_BYTES = 1 << 20
"""Of a value on disk: see docs/format.md."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """Sizes of a network of blocks: attention with shared keys, then a gated pair of layers.

    Attributes:
        layers: Blocks.
        width: Of the residual stream.
        heads, kv_heads: Of queries, and of keys and values.
        head_width: Of one of them.
        inner: Width between the gated layers.
        vocabulary: Width of the logits.
        itemsize: Bytes of an element: 2 for bfloat16.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    inner: int
    vocabulary: int
    itemsize: int = 2

    @property
    def parameters(self) -> int:
        """Number of weights."""
        attention = 2 * self.width * self.head_width * (self.heads + self.kv_heads)
        block = attention + 3 * self.width * self.inner + 2 * self.width
        return self.layers * block + 2 * self.vocabulary * self.width + self.width


LLAMA_70B = Decoder(80, 8192, 64, 8, 128, 28672, 128256)
TOKENS = 4096


class Price(NamedTuple):
    """What the records of one kind cost: how many there are, and bytes of the values that no record before has."""

    records: int
    nbytes: int

    def plus(self, other: Price) -> Price:
        """Of both."""
        return Price(self.records + other.records, self.nbytes + other.nbytes)


def by_kind(net: Decoder, tokens: int, parallel: int = 1) -> dict[str, Price]:
    """Kind of record -> what a capture of one forward costs, on one rank.

    Args:
        net: The network.
        tokens: Of the one sequence.
        parallel: Ranks over which heads, the inner width and the vocabulary are split (tensor parallelism); what the
            ranks sum up (the outputs of ``o_proj`` and ``down_proj``) and the norms are whole on each.
    """
    wide = tokens * net.width * net.itemsize
    queries, keys = (tokens * heads * net.head_width * net.itemsize // parallel for heads in (net.heads, net.kv_heads))
    inner = tokens * net.inner * net.itemsize // parallel
    rotary = 2 * tokens * net.head_width * net.itemsize
    block = {
        "block outputs (the residual stream)": Price(1, wide),
        "norms of the blocks": Price(2, 2 * wide),
        "`q_proj`, `k_proj`, `v_proj`": Price(3, queries + 2 * keys),
        "`o_proj`": Price(1, wide),
        "`gate_proj`, `up_proj`": Price(2, 2 * inner),
        "`act_fn`": Price(1, inner),
        "`down_proj`": Price(1, wide),
        "attention, as query and key": Price(1, queries + keys),
        "KV cache: values (its keys are those above)": Price(2, keys),
    }
    logits = tokens * net.vocabulary * net.itemsize // parallel
    return {
        **{kind: Price(net.layers * each.records, net.layers * each.nbytes) for kind, each in block.items()},
        "embedding, rotary table, last norm": Price(4, 2 * wide + rotary),
        "logits": Price(1, logits),
        # self_attn and mlp return what o_proj and down_proj returned; the model's result holds the cache, twice.
        "the same tensors under other names": Price(2 * net.layers + 2 + 4 * net.layers, 0),
    }


def total(prices: dict[str, Price]) -> Price:
    """All kinds together."""
    return reduce(Price.plus, prices.values())


def attention_bytes(net: Decoder, tokens: int) -> tuple[int, int]:
    """Bytes of all attention weights in float32, as which they are computed, and of those of one head."""
    head = tokens * tokens * 4
    return net.layers * net.heads * head, head


CHOICES = {
    '`["model.layers.?", "model.layers.??"]`': ("block outputs (the residual stream)",),
    '`["*.self_attn"]`': ("`o_proj`", "attention, as query and key", "KV cache: values (its keys are those above)"),
    '`["*_proj", "lm_head"]`': (
        "`q_proj`, `k_proj`, `v_proj`",
        "`o_proj`",
        "`gate_proj`, `up_proj`",
        "`down_proj`",
        "logits",
    ),
    '`["lm_head"]`': ("logits",),
    "all": (),
}
"""layers= -> the kinds of which a capture keeps the values; () for all."""
NO_ARRAYS = ("attention, as query and key", "KV cache: values (its keys are those above)")
"""Kinds that no recorded data set has: it keeps outputs."""


def chosen(net: Decoder, tokens: int, choice: str) -> Price:
    """What a capture with these ``layers=`` costs. Of names for the same tensor one is chosen at a time here."""
    prices = by_kind(net, tokens)
    return total({kind: prices[kind] for kind in CHOICES[choice] or prices})


def input_bytes(net: Decoder, tokens: int, choice: str) -> int:
    """Bytes of inputs that a capture saves besides: of blocks, of ``mlp`` in each, of the head.

    From them values are computed again. An input that is the value of a record is kept once.
    """
    wide = tokens * net.width * net.itemsize
    embedded, blocks, normed, head = wide, (net.layers - 1) * wide, net.layers * wide, wide
    rotary, numbers = 2 * tokens * net.head_width * net.itemsize, 2 * tokens * 8
    recorded = CHOICES[choice] or by_kind(net, tokens)
    saved = {
        "block outputs (the residual stream)": blocks,
        "norms of the blocks": normed,
        "embedding, rotary table, last norm": embedded + rotary,
    }
    return numbers + head + sum(nbytes for kind, nbytes in saved.items() if kind not in recorded)


def reduced_bytes(net: Decoder, choice: str) -> int:
    """Bytes that a recorded data set keeps of one sample with ``reduce="mean"`` over its tokens: a token's worth."""
    kinds = [kind for kind in CHOICES[choice] if kind not in NO_ARRAYS]
    return sum(by_kind(net, 1)[kind].nbytes for kind in kinds)


class Rank(NamedTuple):
    """What ranks write: how many there are, bytes on the fullest one, bytes of all."""

    ranks: int
    most: int
    together: int


def spread(net: Decoder, tokens: int, parallel: int, stages: int) -> Rank:
    """Tensor parallelism within each stage of a pipeline: blocks are dealt out evenly, the last stage has the logits.

    Every stage makes the rotary table for itself.
    """
    wide, rotary = tokens * net.width * net.itemsize, 2 * tokens * net.head_width * net.itemsize
    share = by_kind(replace(net, layers=net.layers // stages), tokens, parallel)
    last = total(share).nbytes - (wide if stages > 1 else 0)  # the embedding is with the first stage
    everything = total(by_kind(net, tokens, parallel)).nbytes + (stages - 1) * rotary
    return Rank(parallel * stages, last, parallel * everything)


def spill_files(net: Decoder, tokens: int) -> int:
    """Chunks, a file each, when everything is spilled: pictures of tokens x channels, in pieces of at most 1 MiB."""

    def pieces(rows: int, columns: int) -> int:
        room = max(1, SPILL_CHUNK_BYTES // net.itemsize)
        if columns > room:
            raise ValueError(f"{columns} columns do not fit in a chunk; this arithmetic is of those that do.")
        parts = math.ceil(rows / min(rows, room // columns))
        return math.ceil(rows / math.ceil(rows / parts))

    wide, inner, keys = (pieces(tokens, columns) for columns in (net.width, net.inner, net.kv_heads * net.head_width))
    queries = pieces(tokens, net.heads * net.head_width)
    # Of four axes the picture is that of a head, and several heads share a chunk when they fit.
    heads = [
        math.ceil(count / max(1, min(count, SPILL_CHUNK_BYTES // (tokens * net.head_width * net.itemsize))))
        for count in (net.heads, net.kv_heads)
    ]
    block = 5 * wide + 3 * inner + queries + 2 * keys + heads[0] + 2 * heads[1]
    return net.layers * block + 2 * wide + 2 * pieces(tokens, net.head_width) + pieces(tokens, net.vocabulary)
