"""An attention call made again with its weights changed.

In: a call that the taps know, and the edits of its weights (B, N, Q, K). Out: what it returns with them, and the
weights.

To scale or zero whole rows (heads, queries, samples) is to do that to what the attention gives for them. These edits
equal a head that is scaled or zeroed by hand, bit for bit: what scaled_dot_product_attention returns is multiplied,
and of nn.MultiheadAttention the head's columns of ``out_proj.weight``. Other edits (keys, set, replace, functions)
change the weights between softmax and product, in the plain formula softmax(scores) v.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import multi_head_attention_forward

from ..errors import EditError
from .attention_mha import _FORWARD, _FUSED, forward_weights, fused_weights
from .attention_sdpa import _SDPA, bound, rank_4, sdpa_weights
from .what_if_edits import Edit

DIMS = ("batch", "head", "query", "key")
_ROWS = ("batch", "head", "query", "channel")
_PADDING = 1
"""The mask_type of a mask (batch, key)."""
_FUSED_CALL = torch._native_multi_head_attention
_SDPA_CALLS = (
    torch._C._nn.scaled_dot_product_attention,
    torch.ops.aten.scaled_dot_product_attention,
    torch.ops.aten.scaled_dot_product_attention.default,
)


class EditedWeights:
    """The edits of one attention.

    Args:
        edits: Applied one after another.
        label: What is edited, for errors.
    """

    def __init__(self, edits: Sequence[Edit], label: str) -> None:
        self.label = label
        self._edits = edits
        self._is_used = False

    @property
    def scales_rows(self) -> bool:
        """Whether all of them multiply whole rows."""
        return all(edit.scales_rows for edit in self._edits)

    @property
    def scales_heads(self) -> bool:
        """Whether all of them multiply whole heads."""
        return self.scales_rows and all(edit.places.keys() <= {"head"} for edit in self._edits)

    def apply(self, weights: Tensor, dims: Sequence[str] = DIMS) -> Tensor:
        """The changed weights, or another tensor of such axes."""
        for edit in self._edits:
            weights = edit.apply(weights, dims, self.label)
        return weights

    def operands(self, args: Sequence[Any], weights: Tensor, place: tuple[int, bool] | None) -> list[Any]:
        """The arguments of a product with the changed weights.

        Args:
            args: As they are.
            weights: (B, N, Q, K).
            place: Which of the arguments has the elements of the weights, in other axes, and whether keys come before
                queries in it; None when that is not known.
        """
        operands = list(args)
        rows = None if place is None else args[place[0]].mT if place[1] else args[place[0]]
        if place is None or rows is None or rows.numel() != weights.numel():
            raise EditError(
                f"{self.label!r} cannot be edited: its weights as they are shown are not multiplied by a plain matmul. "
                "Edit the output of the module instead."
            )
        changed = self.apply(rows.reshape(weights.shape)).reshape(rows.shape)
        operands[place[0]] = changed.mT if place[1] else changed
        return operands

    def unused(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Make a call that is no attention."""
        self._is_used = False
        return func(*args, **kwargs)

    @contextmanager
    def followed(self) -> Iterator[None]:
        """While an attention is made: afterwards it is known whether that was done with these edits, or why not."""
        self._is_used = True
        try:
            yield
        except EditError as error:
            self.failed(error)
            raise
        if self._is_used:
            self.used()

    def used(self) -> None:
        """An attention was made with them."""

    def failed(self, error: EditError) -> None:
        """It could not be made."""


def called_with(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], edit: EditedWeights
) -> tuple[Any, Tensor]:
    """What an attention call of torch returns with edited weights, and these weights.

    Raises:
        EditError: for a call whose weights cannot be changed that way.
    """
    if func in _SDPA_CALLS:
        return _sdpa(func, args, kwargs, edit)
    if func is multi_head_attention_forward:
        weights = edit.apply(forward_weights(args, kwargs).load())
        return _forward(bound(_FORWARD, args, kwargs), edit), weights
    if func is _FUSED_CALL:
        weights = edit.apply(fused_weights(args, kwargs).load())
        return _fused(bound(_FUSED, args, kwargs), edit), weights
    raise EditError(
        f"the weights of {edit.label!r} cannot be edited: flex_attention makes them inside its kernel. Edit the output "
        "of the module instead."
    )


def _sdpa(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], edit: EditedWeights
) -> tuple[Tensor, Tensor]:
    weights = edit.apply(sdpa_weights(args, kwargs).load())  # (B, N, Q, K)
    call = bound(_SDPA, args, kwargs)
    heads_first = bool(call.get("enable_gqa"))
    if edit.scales_rows:
        result = func(*args, **kwargs)
        rows = rank_4(result, max(4, result.dim()) if result.dim() != 3 else 3, heads_first=heads_first)
        return edit.apply(rows, _ROWS).reshape(result.shape), weights
    if call.get("dropout_p"):
        raise EditError(f"{edit.label!r} has dropout, which only zero() and scale() of heads can keep; model.eval().")
    return _product(weights, call["query"], call["value"], heads_first=heads_first), weights


def _product(weights: Tensor, query: Tensor, value: Tensor, *, heads_first: bool = False) -> Tensor:
    """weights v, of the shape that scaled_dot_product_attention gives it."""
    values = rank_4(value, max(query.dim(), value.dim()), heads_first=heads_first)  # (B, Nv, K, D)
    if values.shape[1] not in (1, weights.shape[1]):
        values = values.repeat_interleave(weights.shape[1] // values.shape[1], 1)
    result = weights.to(values.dtype) @ values
    return result.reshape(*query.shape[:-1], value.shape[-1])


def _forward(call: dict[str, Any], edit: EditedWeights) -> Any:
    """A call of ``F.multi_head_attention_forward``."""
    if edit.scales_heads:
        weight = _scaled_columns(call["out_proj_weight"], call["num_heads"], edit)
        return multi_head_attention_forward(**{**call, "out_proj_weight": weight})
    with _inside(edit, call["num_heads"]):
        return multi_head_attention_forward(**call)


def _fused(call: dict[str, Any], edit: EditedWeights) -> Any:
    """A call of the fused kernel, or the call of the other function that gives the same to rounding."""
    if edit.scales_heads:
        call = {**call, "out_proj_weight": _scaled_columns(call["out_proj_weight"], call["num_heads"], edit)}
        return _FUSED_CALL(*(call[name] for name in _FUSED if name in call))
    mask, is_padding = call.get("mask"), call.get("mask_type") == _PADDING
    if mask is not None and mask.dim() == 4:
        mask = mask.flatten(0, 1)  # (B * N, Q, K)
    sequences = {name: call[name].transpose(0, 1) for name in ("query", "key", "value")}
    names = ("num_heads", "in_proj_weight", "in_proj_bias", "out_proj_weight", "out_proj_bias")
    options: dict[str, Any] = {name: call[name] for name in names}
    options.update(bias_k=None, bias_v=None, add_zero_attn=False, dropout_p=0.0, training=False)
    options.update(key_padding_mask=mask if is_padding else None, attn_mask=None if is_padding else mask)
    options.update(need_weights=call.get("need_weights", True))
    options.update(average_attn_weights=call.get("average_attn_weights", True))
    output, weights = _forward({**sequences, "embed_dim_to_check": call["embed_dim"], **options}, edit)
    return output.transpose(0, 1), weights


def _scaled_columns(weight: Tensor, heads: int, edit: EditedWeights) -> Tensor:
    """``out_proj.weight`` (E, N * D) with the columns of the edited heads multiplied."""
    columns = weight.detach().unflatten(1, (heads, -1))
    return edit.apply(columns, ("channel", "head", "width")).flatten(1)


@contextmanager
def _inside(edit: EditedWeights, heads: int) -> Iterator[None]:
    """While ``F.multi_head_attention_forward`` runs in this thread, its weights are edited where they are made."""
    own_sdpa, own_softmax, thread = functional.scaled_dot_product_attention, functional.softmax, threading.get_ident()

    def attention(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != thread:
            return own_sdpa(*args, **kwargs)
        return _sdpa(own_sdpa, args, kwargs, edit)[0]

    def softmax(scores: Tensor, *args: Any, **kwargs: Any) -> Any:
        weights = own_softmax(scores, *args, **kwargs)
        if threading.get_ident() != thread:
            return weights
        return edit.apply(weights.unflatten(0, (-1, heads))).flatten(0, 1)  # (B * N, Q, K)

    names: Any = functional  # of which the types say that they are these very functions
    names.scaled_dot_product_attention, names.softmax = attention, softmax
    try:
        yield
    finally:
        names.scaled_dot_product_attention, names.softmax = own_sdpa, own_softmax
