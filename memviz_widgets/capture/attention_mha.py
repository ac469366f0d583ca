"""What multi-head attention was given, as a QueryKey: its inputs projected with the weights of the call.

In: the arguments of ``F.multi_head_attention_forward``, or of the fused kernel that nn.MultiheadAttention runs instead.
Both have the weights as arguments, so no parameter is read here (reading one may have effects, or give an empty shard).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, multi_head_attention_forward, pad

from .attention import QueryKey
from .attention_sdpa import bound, padded_pair, readable

_FORWARD = tuple(inspect.signature(multi_head_attention_forward).parameters)
_FUSED = (
    "query",
    "key",
    "value",
    "embed_dim",
    "num_heads",
    "in_proj_weight",
    "in_proj_bias",
    "out_proj_weight",
    "out_proj_bias",
    "mask",
    "need_weights",
    "average_attn_weights",
    "mask_type",
)
_PADDING = 1
"""The mask_type of a mask (batch, key)."""


def forward_weights(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> QueryKey:
    """The weights of a call of ``F.multi_head_attention_forward``."""
    call = bound(_FORWARD, args, kwargs)
    query, key = readable(call["query"]), readable(call["key"])
    padding = call.get("key_padding_mask")
    if query.dim() == 2:  # (L, E), not batched
        query, key = query.unsqueeze(1), key.unsqueeze(1)
        padding = None if padding is None else padding.unsqueeze(0)
    with torch.no_grad():
        rows, columns = _projected(query, key, call)  # (L, B, E), (S, B, E)
        rows, columns, added = _with_heads(rows, columns, call)  # (B, N, Q, D), (B, N, K, D)
        is_causal, mask = _mask(call, padding, rows, added)
    return QueryKey(
        rows,
        columns,
        mask,
        is_causal,
        1 / math.sqrt(rows.shape[-1]),
        note="before dropout" if call["dropout_p"] and call.get("training", True) else "",
    )


def _projected(query: Tensor, key: Tensor, call: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    width = call["embed_dim_to_check"]
    bias = call.get("in_proj_bias")
    query_bias, key_bias = (None, None) if bias is None else (bias[:width], bias[width : 2 * width])
    if call.get("use_separate_proj_weight"):
        query_weight, key_weight = call["q_proj_weight"], call["k_proj_weight"]
    else:
        weight = call["in_proj_weight"]
        query_weight, key_weight = weight[:width], weight[width : 2 * width]
    static = call.get("static_k") is not None
    return linear(query, query_weight, query_bias), key if static else linear(key, key_weight, key_bias)


def _with_heads(query: Tensor, key: Tensor, call: Mapping[str, Any]) -> tuple[Tensor, Tensor, int]:
    """Query and key as (B, N, rows, D), and how many keys were added behind those of the call."""
    heads, batch = call["num_heads"], query.shape[1]
    added = 0
    if call.get("bias_k") is not None:
        key = torch.cat([key, call["bias_k"].to(key.dtype).repeat(1, batch, 1)])
        added += 1
    query, static = _heads_apart(query, heads), call.get("static_k")
    key = _heads_apart(key, heads) if static is None else static.unflatten(0, (batch, heads))
    if call.get("add_zero_attn"):
        key = torch.cat([key, key.new_zeros(batch, heads, 1, key.shape[-1])], dim=2)
        added += 1
    return query, key, added


def _heads_apart(tensor: Tensor, heads: int) -> Tensor:
    """(L, B, E) as (B, N, L, D)."""
    apart: Tensor = tensor.unflatten(-1, (heads, -1))
    return apart.permute(1, 2, 0, 3)


def _mask(call: Mapping[str, Any], padding: Tensor | None, query: Tensor, added: int) -> tuple[bool, Tensor | None]:
    """Whether the call is causal by torch's rule, and what its masks say together. All may attend to added keys."""
    mask = call.get("attn_mask")
    if call.get("is_causal") and padding is None and not call.get("need_weights", True):
        return True, None  # torch takes the hint for the mask
    if mask is not None and mask.dim() == 3:
        mask = mask.unflatten(0, query.shape[:2])
    if padding is not None:
        padding = padding[:, None, None, :]
    masks = [pad(each, (0, added)) if added else each for each in (mask, padding) if each is not None]
    return False, _together(masks, query.dtype)


def _together(masks: list[Tensor], dtype: torch.dtype) -> Tensor | None:
    """Masks of multi-head attention (True = may not attend; numbers are added) as one of ours (True = may attend)."""
    if not masks:
        return None
    if all(mask.dtype is torch.bool for mask in masks):
        return ~(masks[0] | masks[-1])
    numbers = [
        torch.zeros_like(mask, dtype=dtype).masked_fill(mask, -math.inf) if mask.dtype is torch.bool else mask
        for mask in masks
    ]
    return numbers[0] if len(numbers) == 1 else numbers[0] + numbers[1]


def fused_weights(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> QueryKey:
    """The weights of a call of ``torch._native_multi_head_attention``: self-attention, batch first, maybe nested."""
    call = bound(_FUSED, args, kwargs)
    query, mask, heads = call["query"], call.get("mask"), call["num_heads"]
    allowed = None
    if query.is_nested:
        query, _, allowed = padded_pair(query, query)
    elif mask is not None:
        allowed = ~mask.to(torch.bool)  # -inf or True = may not attend
        allowed = allowed[:, None, None, :] if mask.dim() == 2 and call.get("mask_type") == _PADDING else allowed
    width = call["embed_dim"]
    weight, bias = call["in_proj_weight"], call["in_proj_bias"]
    with torch.no_grad():
        rows, columns = (
            linear(readable(query), weight[start : start + width], bias[start : start + width])
            .unflatten(-1, (heads, -1))
            .transpose(1, 2)
            for start in (0, width)
        )  # (B, N, L, D)
    return QueryKey(rows, columns, allowed, is_causal=False, scale=1 / math.sqrt(rows.shape[-1]))
