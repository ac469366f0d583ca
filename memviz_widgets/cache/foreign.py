"""Other sources: tensors that another tool captured become records, as if a capture had made them.

In: named tensors or arrays, or attention weights per layer. Out: (record without stats, tensor) pairs, not copied yet.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..capture.dims import parse_dims
from ..capture.dims_rules import Dims, dims_by_shape
from ..capture.layer_names import matches
from ..capture.outputs import MAX_DEPTH, Leaf, leaves
from ..capture.tensors import NO_VALUES, look
from ..errors import DimsError, InputError, nearest_hint
from ..records import Draft

Found = list[tuple[Draft, Tensor | None]]
"""Records with their live tensors; None where there are no values to read."""

_ATTENTION: Dims = ("batch", "head", "query", "key")
_NO_WEIGHTS = (
    "expected a tensor (batch, head, query, key) per layer. Models of transformers return them with "
    "output_attentions=True when they are loaded with attn_implementation='eager'."
)


def records_from_tensors(tensors: Mapping[str, Any], dims: Mapping[str, object] | str | None = None) -> Found:
    """A record per tensor, in the order of the mapping.

    Args:
        tensors: Name -> tensor, array, or nest of them: dict, list, tuple, dataclass.
        dims: Names of the axes: one text for all tensors, or pattern of name (``"enc.*"``, ``"enc.*[1]"``) -> text,
            the first that matches counts. What it does not name is guessed by name and shape.

    Raises:
        InputError: when there is nothing to show, or an array has a dtype that torch does not know.
        DimsError: when dims does not fit.
    """
    _check_tensors(tensors)
    patterns = _read_dims(dims, tensors)
    found: Found = []
    for path, value in tensors.items():
        inside = list(leaves(_arrays_as_tensors(value, path)))
        first = next((leaf.item for leaf in inside if leaf.tensor is not None), None)
        if first is None:
            raise InputError(
                f"{path!r} is a {type(value).__name__} with no tensor or array in it; give one, or a nest."
            )
        for leaf in inside:
            names = _dims_of(patterns, path, leaf, must_fit=leaf.item == first)
            found.append(_record(len(found), path, leaf, names, type(value).__name__))
    return found


def records_from_attentions(attentions: Sequence[Any], tokens: Any = None) -> Found:
    """A record of kind "attention" per layer, at the paths "layer.0", "layer.1", ...

    Args:
        attentions: Weights per layer, (batch, head, query, key) or (head, query, key); None for a layer without.
            Or, as ``generate`` returns them, a sequence of those per step.
        tokens: Texts of the keys, or a list of them per sample; checked against the weights.

    Raises:
        InputError: when the weights have other axes, there are none, or tokens are more or fewer than keys.
    """
    found: Found = []
    for step, layers in enumerate(_steps(attentions)):
        for position, weights in enumerate(layers):
            if weights is not None:
                label = f"attentions[{step}][{position}]" if layers is not attentions else f"attentions[{position}]"
                leaf = Leaf("", _attention_weights(weights, label))
                name = type(weights).__name__
                found.append(_record(len(found), f"layer.{position}", leaf, _ATTENTION, name, "attention", step))
    if not found:
        raise InputError(f"attentions holds no tensor; {_NO_WEIGHTS}")
    _check_tokens(tokens, max(record.shape[3] for record, _ in found))
    return found


def _record(
    index: int, path: str, leaf: Leaf, dims: Dims, given: str, kind: str = "output", step: int = 0
) -> tuple[Draft, Tensor | None]:
    """The record of one tensor; ``given``: class name of what the user gave, in the place of a module's."""
    sight = None if leaf.tensor is None else look(leaf.tensor)
    record = Draft(
        index=index,
        path=path,
        module_type=given,
        call=0,
        kind=kind,
        item=leaf.item,
        dims=dims,
        shape=sight.shape if sight else (),
        dtype=sight.dtype if sight else "",
        device=sight.device if sight else "",
        nbytes=sight.nbytes if sight else 0,
        note="; ".join(text for text in (leaf.note, sight.note if sight else "") if text),
        step=step,
    )
    return record, None if sight is None or sight.kind in NO_VALUES else leaf.tensor


def _check_tensors(tensors: object) -> None:
    if not isinstance(tensors, Mapping):
        raise InputError(f"tensors is a {type(tensors).__name__}; expected a mapping of names to tensors or arrays.")
    if not tensors:
        raise InputError("tensors is empty; give at least one tensor or array with a name.")
    for name in tensors:
        if not isinstance(name, str):
            raise InputError(f"tensors has the key {name!r}; names must be text: write {str(name)!r}.")


def _arrays_as_tensors(value: object, label: str, depth: int = 0) -> object:
    """The same nest with a tensor in the place of each array. Other objects stay, for :func:`leaves` to open."""
    if isinstance(value, (np.ndarray, np.generic)):
        return _tensor_of(value, label)
    if depth > MAX_DEPTH:
        return value
    if isinstance(value, Mapping):
        return {key: _arrays_as_tensors(child, f"{label}[{key!r}]", depth + 1) for key, child in value.items()}
    if isinstance(value, (tuple, list)):
        inside = [_arrays_as_tensors(child, f"{label}[{place}]", depth + 1) for place, child in enumerate(value)]
        return type(value)._make(inside) if hasattr(value, "_make") else inside
    return value


def _tensor_of(given: np.ndarray[Any, Any] | np.generic, label: str) -> Tensor:
    """The array as a tensor on the same memory where torch can; it is read only."""
    if isinstance(given, np.ma.MaskedArray):
        raise InputError(f"{label!r} is a masked array, and a tensor has no mask; give {label}.filled(...).")
    array = np.asarray(given)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array)
    # bfloat16 and float8 arrays (ml_dtypes, as jax has them) are of no kind that numpy knows, and named as in torch.
    dtype = getattr(torch, array.dtype.name, None) if array.dtype.kind == "V" else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the array may be read-only; nobody writes to the tensor
            if isinstance(dtype, torch.dtype):
                return torch.from_numpy(array.view(f"u{array.itemsize}")).view(dtype)
            return torch.from_numpy(array)
    except TypeError:
        raise InputError(
            f"{label!r} is an array of {array.dtype}, which torch does not have; "
            "convert it, as with .astype('float32')."
        ) from None


def _read_dims(dims: object, names: Iterable[str]) -> dict[str, Dims]:
    """Pattern -> names of the axes."""
    if dims is None:
        return {}
    patterns = dims if isinstance(dims, Mapping) else {"*": dims}
    read = {}
    for pattern, text in patterns.items():
        place = f"dims[{pattern!r}]" if patterns is dims else "dims"
        if not isinstance(pattern, str) or not _names_any(pattern, names):
            raise DimsError(
                f"dims: no tensor is named {pattern!r}{nearest_hint(str(pattern), names)}. "
                "Names are the keys of tensors; * is a wildcard."
            )
        try:
            read[pattern] = parse_dims(text)
        except ValueError as error:
            raise DimsError(f"{place} is {text!r}: {error}.") from None
    return read


def _names_any(pattern: str, names: Iterable[str]) -> bool:
    module = pattern.rpartition("[")[0] if pattern.endswith("]") else pattern
    return any(matches(pattern, name) or matches(module, name) for name in names)


def _dims_of(patterns: Mapping[str, Dims], path: str, leaf: Leaf, *, must_fit: bool) -> Dims:
    """Names of the axes of one tensor. A pattern for a whole entry need fit its first tensor only."""
    if leaf.tensor is None:
        return ()
    shape = look(leaf.tensor).shape
    for pattern, names in patterns.items():
        with_item = matches(pattern, path, leaf.item)
        if not with_item and not matches(pattern, path):
            continue
        if len(names) == len(shape):
            return names
        if must_fit or with_item:
            label = f"{path}[{leaf.item}]" if leaf.item else path
            raise DimsError(
                f"dims gives {len(names)} names ({' '.join(names)}) for {pattern!r}, but {label!r} has {len(shape)} "
                f"axes {shape}. Give {len(shape)} names for it: dims={{{label!r}: '...'}}."
            )
    return dims_by_shape(f"{path}.{leaf.item}", shape)


def _steps(attentions: object) -> Iterator[Sequence[Any]]:
    """The layers of each step; of the only one when no layer is itself a sequence."""
    if attentions is None or not isinstance(attentions, (tuple, list)):
        what = f"one tensor of shape {tuple(attentions.shape)}" if isinstance(attentions, Tensor) else repr(attentions)
        raise InputError(f"attentions is {what:.80}; {_NO_WEIGHTS}")
    if not any(isinstance(entry, (tuple, list)) for entry in attentions):
        yield attentions
        return
    for step, entry in enumerate(attentions):
        if not isinstance(entry, (tuple, list)):
            raise InputError(
                f"attentions[{step}] is a {type(entry).__name__} among sequences; "
                "expected tensors, one per layer, or a sequence of them per step."
            )
        yield entry


def _attention_weights(weights: object, label: str) -> Tensor:
    """The weights as a tensor (B, N, Q, K)."""
    tensor = _tensor_of(weights, label) if isinstance(weights, np.ndarray) else weights
    if not isinstance(tensor, Tensor):
        raise InputError(f"{label} is a {type(tensor).__name__}; {_NO_WEIGHTS}")
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(0)  # (N, Q, K) -> (1, N, Q, K)
    if tensor.dim() != 4:
        raise InputError(
            f"{label} has shape {tuple(tensor.shape)}; expected 4 axes (batch, head, query, key), or 3 without a batch."
        )
    return tensor


def _check_tokens(tokens: Any, keys: int) -> None:
    """Refuse tokens that are more or fewer than the keys (of the last step, where each step adds some)."""
    if tokens is None:
        return
    if isinstance(tokens, str) or not hasattr(tokens, "__len__"):
        raise InputError(f"tokens is {tokens!r:.80}; expected a list with the text of each of the {keys} keys.")
    rows = tokens if len(tokens) and all(isinstance(row, (tuple, list)) for row in tokens) else [tokens]
    for row in rows:
        if len(row) != keys:
            raise InputError(f"tokens has {len(row)} texts, but the attention is over {keys} keys; give one per key.")
