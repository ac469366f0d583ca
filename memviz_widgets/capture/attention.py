"""QueryKey: attention weights as a value that is computed when it is read.

In: what an attention call was given (query, key, masks, scale). Out: the weights, for the heads and queries asked for.

Formula: softmax(scale * q k^T + mask) over the keys, as in torch's documentation of scaled_dot_product_attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .derived import Derived
from .lazy import Index

Modifier = Callable[..., Tensor]
"""A score_mod (score, batch, head, query, key) or a mask_mod (batch, head, query, key) of flex_attention."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryKey(Derived):
    """Attention weights that are not there yet. A :class:`~memviz_widgets.capture.lazy.LazyValue`.

    Attributes:
        query: (B, N, Q, D). Sizes 1 of B and N stand for all.
        key: (B, Nk, K, D), where Nk divides N: neighbouring heads share a key (grouped-query attention).
        mask: Bool (True = may attend) or float (added to the scores), broadcastable to (B, N, Q, K). None = all.
        is_causal: Whether query i attends to keys 0 to i only, also where Q and K differ.
        scale: Factor of the scores.
        score_mod: Changes the scores before the masks.
        mask_mod: Says True where a query may attend.
        note: A sentence about the weights, such as "before dropout".
    """

    query: Tensor
    key: Tensor
    mask: Tensor | None
    is_causal: bool
    scale: float
    score_mod: Modifier | None = None
    mask_mod: Modifier | None = None
    note: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, N, Q, K)."""
        batch, heads = (_common(self.query.shape[axis], self.key.shape[axis]) for axis in (0, 1))
        return batch, heads, self.query.shape[2], self.key.shape[2]

    @property
    def dtype(self) -> torch.dtype:
        """float32; float64 where the model computes in it."""
        return torch.float64 if self.query.dtype is torch.float64 else torch.float32

    @property
    def device(self) -> torch.device:
        """That of the query."""
        return self.query.device

    def tensors(self) -> dict[str, Tensor]:
        """What must be copied to read the weights later."""
        tensors = {"query": self.query, "key": self.key}
        return tensors if self.mask is None else {**tensors, "mask": self.mask}

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> QueryKey:
        """The same with other tensors, named as in :meth:`tensors`. Without them it holds no memory, and no weights."""
        nothing = torch.empty(0, 0, 0, 0)
        query, key = (tensors.get(name, nothing) for name in ("query", "key"))
        return replace(self, query=query, key=key, mask=tensors.get("mask"))

    def read(self, index: Index) -> Tensor:
        """Weights of a part. A row that may attend to nothing is 0, as in torch's own result.

        Args:
            index: An int or a slice of step 1 for batch, head, query and key; an int drops its axis.

        Raises:
            IndexError: when the index has another length than 4, or an int is out of range.
        """
        if len(index) != 4:
            raise IndexError(f"the index has {len(index)} entries; attention weights have 4 axes.")
        spans = [span(entry, size) for entry, size in zip(index, self.shape, strict=True)]
        autocast = torch.autocast(self.query.device.type, enabled=False)
        with torch.inference_mode(False), torch.no_grad(), autocast:
            weights = self._weights(spans[:3])
        kept: Index = tuple(0 if isinstance(entry, int) else slice(None) for entry in index[:3])
        return weights[kept + index[3:]]

    def load(self) -> Tensor:
        """All weights, (B, N, Q, K)."""
        return self.read((slice(None),) * 4)

    def _weights(self, spans: list[range]) -> Tensor:
        """Weights of some batch items, heads and queries for all keys: a softmax needs all."""
        scores = self._scores(spans)
        weights = scores.softmax(-1)
        if scores.shape[-1]:
            weights.masked_fill_(scores.amax(-1, keepdim=True) == -math.inf, 0.0)
        return weights

    def _scores(self, spans: list[range]) -> Tensor:
        query = _cut(self.query, spans).to(self.dtype).mul(self.scale)
        key = self._key_of(spans).to(self.dtype)
        scores = query @ key.transpose(-1, -2)  # (B, N, Q, K)
        device = scores.device
        if self.score_mod is not None or self.mask_mod is not None:
            scores = self._modified(scores, [*spans, range(scores.shape[-1])])
        if self.is_causal:
            rows = torch.arange(spans[2].start, spans[2].stop, device=device)
            later = torch.arange(scores.shape[-1], device=device) > rows[:, None]
            scores = scores.masked_fill_(later, -math.inf)
        if self.mask is None:
            return scores
        mask = _cut(self.mask[(None,) * (4 - self.mask.dim())], spans)
        return scores.masked_fill_(~mask, -math.inf) if mask.dtype is torch.bool else scores.add_(mask.to(self.dtype))

    def _key_of(self, spans: list[range]) -> Tensor:
        """Keys of the heads asked for. Of few heads, few keys: the whole key is not repeated."""
        batch, heads, _ = spans
        together = self.shape[1] // max(self.key.shape[1], 1)
        if together == 1 or self.key.shape[1] == 1:
            return _cut(self.key, [batch, heads])
        chosen = torch.tensor([head // together for head in heads], dtype=torch.long, device=self.key.device)
        return _cut(self.key, [batch]).index_select(1, chosen)

    def _modified(self, scores: Tensor, spans: list[range]) -> Tensor:
        where = [torch.arange(each.start, each.stop, dtype=torch.int, device=scores.device) for each in spans]
        # Loaded by now: flex_attention itself cannot run without it.
        from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex  # noqa: PLC0415

        with TransformGetItemToIndex():  # lets a modifier index its own tensors by position, as flex_attention does
            if self.score_mod is not None:
                scores = _everywhere(self.score_mod, with_score=True)(scores, *where).to(self.dtype)
            if self.mask_mod is not None:
                scores = scores.masked_fill(~_everywhere(self.mask_mod, with_score=False)(*where), -math.inf)
        return scores


def span(entry: int | slice, size: int) -> range:
    """The positions that an entry of an index stands for.

    Raises:
        IndexError: when an int is out of range.
    """
    if isinstance(entry, slice):
        return range(size)[entry]
    first = range(size)[entry]
    return range(first, first + 1)


def _common(one: int, other: int) -> int:
    """The size that two broadcast sizes make."""
    return other if one == 1 else one


def _cut(tensor: Tensor, spans: list[range]) -> Tensor:
    """A part along the first axes; an axis of size 1 stands for all positions."""
    for axis, positions in enumerate(spans):
        size = len(positions)
        if tensor.shape[axis] == 1:
            tensor = tensor.narrow(axis, 0, min(size, 1))
        else:
            tensor = tensor.narrow(axis, positions.start, size)
    return tensor


def _everywhere(modifier: Modifier, *, with_score: bool) -> Callable[..., Any]:
    """A modifier, which takes one position, for all positions of (B, N, Q, K)."""
    score = (0,) if with_score else ()
    for axis in (3, 2, 1, 0):  # from the inside out
        where = tuple(0 if each == axis else None for each in range(4))
        modifier = torch.vmap(modifier, in_dims=(*score, *where))
    return modifier
