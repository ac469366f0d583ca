"""What torch's own modules define about their axes. Pure functions of types and shapes.

In: a module, the place in its result, shapes. Out: dims, or None where the type defines nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

Dims = tuple[str, ...]
SPACE: dict[int, Dims] = {1: ("time",), 2: ("height", "width"), 3: ("depth", "height", "width")}
"""Spatial dims of the 1d, 2d and 3d modules."""


class Seen(NamedTuple):
    """An input of a call: its shape and its dims, None when nobody knows."""

    shape: tuple[int, ...]
    dims: Dims | None


def channels_last(rank: int) -> Dims | None:
    """(batch, places..., channel): the order of Linear, Embedding and LayerNorm; None above five axes."""
    return {1: ("channel",), 2: ("batch", "channel")}.get(rank) or _around(rank, ("batch",), ("channel",))


def channels_first(rank: int) -> Dims | None:
    """(batch, channel, places...): the order of convolutions; None above five axes."""
    return {1: ("channel",), 2: ("batch", "channel")}.get(rank) or _around(rank, ("batch", "channel"), ())


def _around(rank: int, before: Dims, after: Dims) -> Dims | None:
    space = SPACE.get(rank - 2)
    return (*before, *space, *after) if space else None


def spatial_rank(module: nn.Module) -> int:
    """1, 2 or 3 for torch's 1d, 2d, 3d modules and classes derived from them, else 0."""
    kind: type = type(module)
    return _spatial_rank(kind)


@lru_cache(maxsize=256)
def _spatial_rank(kind: type) -> int:
    for base in kind.__mro__:
        digit = re.search(r"([123])d$", base.__name__) if base.__module__.startswith("torch.nn.") else None
        if digit:
            return int(digit[1])
    return 0


@lru_cache(maxsize=1024)
def dims_by_class(kind: type, rank: int) -> Dims | None:
    """Dims of a result that a module's class alone defines, whatever its inputs and settings are; else None."""
    size = _spatial_rank(kind)
    if issubclass(kind, (nn.RNNBase, nn.MultiheadAttention, *TRANSFORMERS, nn.Linear, nn.Bilinear, nn.Flatten)):
        return None
    dims: Dims | None = None
    if issubclass(kind, (nn.Embedding, nn.EmbeddingBag, nn.RNNCellBase)):
        dims = channels_last(rank)
    elif issubclass(kind, (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.Unfold)):
        dims = channels_first(rank)
    elif size and issubclass(kind, nn.modules.conv._ConvNd) and rank in (size + 1, size + 2):
        dims = ("batch", "channel", *SPACE[size])[-rank:] if rank == size + 2 else ("channel", *SPACE[size])
    return dims if dims is not None and len(dims) == rank else None


def dims_by_type(module: nn.Module, item: str, shape: tuple[int, ...], inputs: list[Seen]) -> Dims | None:
    """Dims that follow from the module's type, its settings and its inputs, or None; see dims_by_class before."""
    dims = _by_type(module, item, shape, inputs)
    return dims if dims is not None and len(dims) == len(shape) else None


def _by_type(module: nn.Module, item: str, shape: tuple[int, ...], inputs: list[Seen]) -> Dims | None:
    rank = len(shape)
    dims: Dims | None
    if isinstance(module, nn.RNNBase):
        dims = _recurrent(module, item, rank)
    elif isinstance(module, nn.MultiheadAttention):
        dims = _attention(module, item, rank, inputs)
    elif isinstance(module, TRANSFORMERS):
        dims = _sequence(_is_batch_first(module), rank)
    elif isinstance(module, (nn.Linear, nn.Bilinear)):
        dims = _projected(rank, inputs)
    elif isinstance(module, nn.Flatten):
        dims = _flattened(module, inputs)
    else:
        dims = _spatial(module, rank, inputs) or _by_name(module, item, shape)
    return dims


TRANSFORMERS = (
    nn.TransformerEncoderLayer,
    nn.TransformerDecoderLayer,
    nn.TransformerEncoder,
    nn.TransformerDecoder,
    nn.Transformer,
)


def _recurrent(module: nn.RNNBase, item: str, rank: int) -> Dims | None:
    """``output`` is item "0"; the last states are items "1" (GRU, RNN), "1.0" and "1.1" (LSTM)."""
    if item == "0.data":
        return ("time", "channel")
    if item == "0":
        return _sequence(module.batch_first, rank)
    return ("layer", "channel") if rank == 2 else ("layer", "batch", "channel")


def _sequence(batch_first: bool, rank: int) -> Dims | None:
    """(B, T, C) or (T, B, C), or (T, C) without a batch."""
    if rank == 2:
        return ("time", "channel")
    return ("batch", "time", "channel") if batch_first else ("time", "batch", "channel")


def _attention(module: nn.MultiheadAttention, item: str, rank: int, inputs: list[Seen]) -> Dims | None:
    """Output (item "0") and weights (item "1"): averaged over heads or not, with a batch or without."""
    if item == "0":
        return _sequence(module.batch_first, rank)
    batched = not inputs or len(inputs[0].shape) == 3
    heads = rank - 2 - batched
    return (*(("batch",) if batched else ()), *(("head",) if heads else ()), "query", "key")


def _is_batch_first(module: nn.Module) -> bool:
    """Whether a transformer puts the batch first; its attention layers know."""
    return any(part.batch_first for part in module.modules() if isinstance(part, nn.MultiheadAttention))


def _projected(rank: int, inputs: list[Seen]) -> Dims | None:
    """A Linear replaces the last axis by channels and leaves the others what they were."""
    known = inputs[0].dims if inputs else None
    if known and len(known) == rank and "channel" not in known[:-1]:
        return (*known[:-1], "channel")
    return channels_last(rank)


def _flattened(module: nn.Flatten, inputs: list[Seen]) -> Dims | None:
    """The merged axes are channels if channels are among them, else places one after another: time."""
    known = inputs[0].dims if inputs else None
    if not known:
        return None
    start, end = (axis % len(known) for axis in (module.start_dim, module.end_dim))
    merged = known[start : end + 1]
    name = merged[0] if len(merged) == 1 else "channel" if "channel" in merged else "time"
    dims = (*known[:start], name, *known[end + 1 :])
    return dims if len(set(dims)) == len(dims) else None


def _spatial(module: nn.Module, rank: int, inputs: list[Seen]) -> Dims | None:
    """1d, 2d and 3d modules that keep the meaning they find: pooling and padding."""
    size = spatial_rank(module)
    if not size or rank not in (size + 1, size + 2):
        return None
    known = inputs[0].dims if inputs else None
    if known and len(known) == rank:
        return known
    return ("batch", "channel", *SPACE[size])[-rank:] if rank == size + 2 else ("channel", *SPACE[size])


def _by_name(module: nn.Module, item: str, shape: tuple[int, ...]) -> Dims | None:
    """Conventions of model libraries: attention weights as a further item of a module, keys and values of a cache."""
    if len(shape) != 4 or not item:
        return None
    if item.rsplit(".", maxsplit=1)[-1] in ("keys", "values"):
        return ("batch", "head", "time", "channel")
    named = [part for part in item.split(".") if not part.isdigit()]
    if any(speaks_of_attention(part) for part in named) or (
        speaks_of_attention(type(module).__name__) and not named and item != "0"
    ):
        return ("batch", "head", "query", "key")
    return None


def speaks_of_attention(name: str) -> bool:
    """Whether the name of a class or of an item says attention, as model libraries write it."""
    return "attn" in name.lower() or "attention" in name.lower()


def weights_by_caller(module: nn.Module, caller: nn.Module | None, rank: int) -> Dims | None:
    """Weights that an attention module sends through a Softmax or a Dropout of its own; None for anything else.

    Asked last: a convolution's output that is known to be a picture stays one, whoever drops or normalises it.
    """
    if not isinstance(module, (nn.Softmax, nn.Dropout)) or not speaks_of_attention(type(caller).__name__):
        return None
    if rank == 4:
        return ("batch", "head", "query", "key")
    return ("batch", "query", "key") if rank == 3 and isinstance(module, nn.Softmax) else None


HEAD_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads")
"""Attributes in which attention modules keep their number of heads."""


def heads_by_caller(module: nn.Module, caller: nn.Module | None, shape: tuple[int, ...]) -> Dims | None:
    """Queries, keys and values on their way through a part of an attention module, which counts its heads.

    None where it says nothing of heads, where the heads may be on either side of the time, and for weights: what a
    Softmax or a Dropout gives, and what has as many channels as steps.
    """
    if len(shape) != 4 or caller is None or shape[1] == shape[2] or isinstance(module, (nn.Softmax, nn.Dropout)):
        return None
    counts = _head_counts(caller) if speaks_of_attention(type(caller).__name__) else ()
    if shape[1] in counts and shape[2] not in counts and shape[2] != shape[3]:
        return ("batch", "head", "time", "channel")
    if shape[2] in counts and shape[1] not in counts:
        return ("batch", "time", "head", "channel")
    return None


def _head_counts(module: nn.Module) -> set[int]:
    """Numbers of heads above 1 that an attention module keeps itself or in its ``config``."""
    own = vars(module)
    settings = getattr(own.get("config"), "__dict__", {})
    named = [own.get(name) for name in HEAD_COUNTS]
    named += [settings.get(name) for name in (*HEAD_COUNTS, "num_key_value_heads")]
    return {count for count in named if type(count) is int and count > 1}


def with_other_channels(shape: tuple[int, ...], inputs: list[Seen]) -> Dims | None:
    """Dims of the first input that differs in nothing but the number of channels; None when there is none."""
    for known_shape, known in inputs:
        if not known or len(known) != len(shape) or len(known_shape) != len(shape):
            continue
        differing = [dim for dim, now, then in zip(known, shape, known_shape, strict=True) if now != then]
        if differing == ["channel"]:
            return known
    return None


@lru_cache(maxsize=256)
def tells_inputs(kind: type) -> bool:
    """Whether a module's class says what its inputs are: see input_dims."""
    return issubclass(kind, (nn.RNNBase, nn.MultiheadAttention, *TRANSFORMERS))


def input_dims(module: nn.Module, position: int, shape: tuple[int, ...]) -> Dims | None:
    """Dims of an input that only the module's type tells: sequences of recurrent layers and transformers."""
    rank = len(shape)
    if isinstance(module, nn.RNNBase):
        dims = _sequence(module.batch_first, rank) if position == 0 else None
    elif isinstance(module, nn.MultiheadAttention):
        dims = _sequence(module.batch_first, rank) if position < 3 else None
    elif isinstance(module, TRANSFORMERS):
        targets = 1 if isinstance(module, (nn.TransformerEncoderLayer, nn.TransformerEncoder)) else 2
        dims = _sequence(_is_batch_first(module), rank) if position < targets else None
    else:
        dims = None
    return dims if dims is not None and len(dims) == rank else None


def pictures_turned(tensor: Tensor) -> Dims | None:
    """The dims of pictures whose channels were moved behind their places without a copy, as its strides tell."""
    if tensor.dim() != 4 or tensor.layout is not torch.strided or tensor.is_nested or 1 in tensor.shape[1:]:
        return None
    _, second, third, last = tensor.stride()
    return channels_last(4) if last > second > third > 0 else None


def dims_by_rank(module: nn.Module, shape: tuple[int, ...], batch_size: int | None) -> Dims:
    """The usual meaning of that many axes, when nothing else is known.

    Three axes are (batch, time, channel), four (batch, channel, height, width), five with depth. One axis is the batch
    when it is as long as the first axis of the model's input, else channels. Above five: axis0, axis1, ...
    """
    rank = len(shape)
    if rank == 1:
        return ("batch",) if shape[0] == batch_size else ("channel",)
    last = rank == 3 or isinstance(module, (nn.LayerNorm, getattr(nn, "RMSNorm", nn.LayerNorm)))
    single = isinstance(module, nn.LayerNorm) and len(module.normalized_shape) > 1
    dims = channels_last(rank) if last and not single else channels_first(rank)
    return dims if dims and rank else tuple(f"axis{axis}" for axis in range(rank))


def dims_by_shape(name: str, shape: tuple[int, ...]) -> Dims:
    """The usual meaning of the axes of a tensor without a module; the last word of its dotted name may tell."""
    words = [part for part in name.split(".") if part and not part.isdigit()]
    if len(shape) == 4 and words:
        if words[-1] in ("keys", "values"):
            return ("batch", "head", "time", "channel")
        if speaks_of_attention(words[-1]):
            return ("batch", "head", "query", "key")
    return dims_by_rank(nn.Identity(), shape, None)
