"""A memory changed between two calls of its module: slots, states, entries of a cache.

In: a call with its result, the adapter that reads the memory, edits by (kind, item). Out: the result with the changed
memory, where the module returns it; where the module keeps it, the changed memory stands there.
A change comes at the end of a call: what the call itself computed stays, the next call finds another memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import EditError
from .memory import MemoryAdapter, MemoryTensor
from .outputs import leaves, tensors_of
from .recurrent_cells import Key
from .what_if_edits import Edit
from .what_if_places import exchanged


def carried(
    adapter: MemoryAdapter,
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    result: Any,
    edits: Mapping[Key, list[Edit]],
    label: str,
    owner: nn.Module | None = None,
) -> tuple[Any, set[Key]]:
    """The result of a call with the edited memory in it, and which parts of the memory were edited.

    Args:
        adapter: Knows the memory of the module.
        module, args, kwargs, result: Of the call.
        edits: By (kind, item).
        label: What is edited, for errors.
        owner: Whose memory is edited, where that is not the module that was called.

    Raises:
        EditError: when the part is not carried on from this call to the next one, or an edit does not fit.
    """
    made: set[Key] = set()
    for found in list(adapter.read(module, args, kwargs, result)):
        if owner is not None and found.owner is not owner:
            continue
        for edit in edits.get((found.kind, found.item), ()):
            made.add((found.kind, found.item))
            value = _editable(found, label)
            with torch.no_grad():
                edited = edit.apply(value, found.dims, label)
                places = [leaf.item for leaf in leaves(result) if leaf.tensor is value]
                for place in places:
                    result = exchanged(result, place, edited, label)
                if not _written(value, edited, [module, found.owner], args, kwargs, result) and not places:
                    raise EditError(
                        f"{label!r} cannot be edited: this call does not carry it on to the next one, neither in its "
                        "result nor in the module. Edit the part that is carried, such as the memory or a state."
                    )
    return result, made


def _editable(found: MemoryTensor, label: str) -> Tensor:
    if not isinstance(found.value, Tensor):
        raise EditError(
            f"{label!r} is computed from other values when it is looked at, so nothing goes on from it; edit an output "
            "or the part of the memory that it comes from."
        )
    return found.value


def _written(
    value: Tensor,
    edited: Tensor,
    owners: list[nn.Module | None],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    result: Any,
) -> bool:
    """Write to a memory that the module keeps, or of which the result has a view; never to the caller's tensors."""
    memory = value.untyped_storage().data_ptr()
    if any(_shares(each, memory) for each in (*tensors_of(args), *tensors_of(dict(kwargs)))):
        return False
    if not any(_shares(each, memory) for each in (*_kept_by(owners), *tensors_of(result))):
        return False
    value.data.copy_(edited)
    return True


def _shares(tensor: Tensor, memory: int) -> bool:
    try:
        return tensor.untyped_storage().data_ptr() == memory
    except (RuntimeError, NotImplementedError):
        return False


def _kept_by(owners: list[nn.Module | None]) -> Iterator[Tensor]:
    """Tensors in buffers and attributes of modules, without weights."""
    for owner in owners:
        for part in owner.modules() if owner is not None else ():
            yield from (value for value in part._buffers.values() if value is not None)
            for name, value in vars(part).items():
                if not name.startswith("_") or name.strip("_") not in _OWN:
                    yield from tensors_of(value)


_OWN = frozenset(name.strip("_") for name in vars(nn.Module()))
"""What nn.Module itself keeps: parameters, parts, hooks."""
