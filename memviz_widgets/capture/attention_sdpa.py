"""What scaled_dot_product_attention and flex_attention were given, as a QueryKey.

In: the arguments of one call. Out: a QueryKey that holds the call's own tensors wherever it can: a mask that all layers
share is then one tensor for whoever copies it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from .attention import Modifier, QueryKey
from .tensors import NO_VALUES, dense_tensor, tensor_kind

_SDPA = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")
_FLEX = (
    "query",
    "key",
    "value",
    "score_mod",
    "block_mask",
    "scale",
    "kernel_options",
    "score_mod_other_buffers",
    "mask_mod_other_buffers",
)
FLEX_MODULE = "torch.nn.attention.flex_attention"


class UnreadableError(Exception):
    """Tensors without values that could be kept; the text says why. Never leaves the taps."""


def bound(names: Sequence[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name."""
    return {**dict(zip(names, args, strict=False)), **kwargs}


def sdpa_weights(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> QueryKey:
    """The weights of a call of ``scaled_dot_product_attention``."""
    call = bound(_SDPA, args, kwargs)
    query, key, is_causal = call["query"], call["key"], bool(call.get("is_causal"))
    mask: Any = call.get("attn_mask")
    if query.is_nested or key.is_nested:
        query, key, mask = padded_pair(query, key)
    query, key = readable(query), readable(key)
    if hasattr(mask, "_materialize"):  # CausalBias: read as a tensor, it has a wrong shape and no values
        is_causal = is_causal or mask.seq_len_q == mask.seq_len_kv or mask.variant.name == "UPPER_LEFT"
        mask = None if is_causal else mask._materialize(query.device)
    scale = call.get("scale")
    width = query.shape[-1]
    heads_first = bool(call.get("enable_gqa"))
    rank = max(query.dim(), key.dim())
    return QueryKey(
        rank_4(query, rank, heads_first=heads_first),
        rank_4(key, rank, heads_first=heads_first),
        None if mask is None else _mask_rank_4(readable(mask), query, heads_first=heads_first),
        is_causal,
        1 / math.sqrt(max(width, 1)) if scale is None else float(scale),
        note="before dropout" if call.get("dropout_p") else "",
    )


def flex_operator() -> object:
    """The operator behind flex_attention, or None when nobody has imported it (which takes a while)."""
    return getattr(sys.modules.get(FLEX_MODULE), "flex_attention_hop", None)


def flex_weights(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> QueryKey:
    """The weights of a call of flex_attention's operator."""
    call = bound(_FLEX, args, kwargs)
    flex = sys.modules[FLEX_MODULE]
    score_mod, mask_mod = call["score_mod"], call["block_mask"][-1]
    return QueryKey(
        readable(call["query"]),
        readable(call["key"]),
        None,
        is_causal=False,
        scale=float(call["scale"]),
        score_mod=_modifier(score_mod, getattr(flex, "_identity", None), call.get("score_mod_other_buffers")),
        mask_mod=_modifier(mask_mod, getattr(flex, "noop_mask", None), call.get("mask_mod_other_buffers")),
    )


def _modifier(function: Any, nothing: object, tensors: Sequence[Any] | None) -> Modifier | None:
    """None for the function that changes nothing. A compiled one takes the tensors it uses as further arguments."""
    if function is nothing or not tensors:
        return None if function is nothing else function
    return _with_tensors(function, tuple(tensors))


def _with_tensors(function: Callable[..., Tensor], tensors: tuple[Any, ...]) -> Modifier:
    return lambda *where: function(*where, *tensors)


def readable(tensor: Tensor) -> Tensor:
    """A plain tensor with the values of this one; itself, if it is one, also on the meta device.

    Raises:
        UnreadableError: when there are no values.
    """
    kind = tensor_kind(tensor)
    if kind in ("dense", "meta"):
        return tensor
    if kind in NO_VALUES:
        raise UnreadableError(NO_VALUES[kind])
    return dense_tensor(tensor, kind)


def rank_4(tensor: Tensor, rank: int, *, heads_first: bool = False) -> Tensor:
    """(..., rows, width) as (B, N, rows, width).

    Of three axes the first is the batch, or the heads where torch groups them (``heads_first``). Of more than four
    the last but two are the heads, and those before become one batch axis.
    """
    if rank == 4 == tensor.dim():
        return tensor  # itself and not a view: a KV cache may hold it too, and one value is kept once
    tensor = tensor[(None,) * (rank - tensor.dim())]
    if rank == 3:
        return tensor.unsqueeze(0 if heads_first else 1)
    return tensor[(None,) * (4 - rank)] if rank <= 4 else tensor.flatten(0, rank - 4)


def _mask_rank_4(mask: Tensor, query: Tensor, *, heads_first: bool) -> Tensor:
    """A mask broadcastable to the scores, for scores that were brought to rank 4."""
    rank = query.dim()
    if mask.dim() == 3 and rank == 3 and not heads_first:
        return mask.unsqueeze(1)
    if rank > 4 and mask.dim() > 3:
        lead = query.shape[: rank - 3]
        return mask[(None,) * (rank - mask.dim())].expand(*lead, -1, -1, -1).flatten(0, rank - 4)
    return mask


def padded_pair(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nested query and key, padded with zeros, and the mask that leaves the padding out: (B, 1, Q, K)."""
    padded_query, rows = _padded(query)
    padded_key, columns = (padded_query, rows) if key is query else _padded(key)
    return padded_query, padded_key, rows[:, None, :, None] & columns[:, None, None, :]


def _padded(nested: Tensor) -> tuple[Tensor, Tensor]:
    """(B, ..., L, D) from parts (..., l, D), and which of the L rows each part has: (B, L)."""
    parts = [part.detach() for part in nested.unbind()]
    longest = max((part.shape[-2] for part in parts), default=0)
    lengths = torch.tensor([part.shape[-2] for part in parts], device=nested.device)
    padded = torch.stack([pad(part, (0, 0, 0, longest - part.shape[-2])) for part in parts])
    return padded, torch.arange(longest, device=nested.device) < lengths[:, None]
