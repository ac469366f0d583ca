"""Checkpoints of a model: read from files, and fitted to it before anything is loaded.

In: a state_dict, a module or a path. Out: a state_dict with exactly the keys of the model; or CheckpointError. Of a
file only tensors and plain containers are read: nothing in it is run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, MissingExtraError

State = Mapping[str, Any]

WRAPPED = ("state_dict", "model_state_dict", "model")
"""Entries in which trainers keep a model's state_dict beside the optimizer's."""
PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before the names of the model that they wrap."""
MOST_NAMED = 3
"""Keys that an error names of each sort."""


def state_of(given: object, name: str) -> State:
    """The state_dict that a checkpoint is, or that is in its file.

    Args:
        given: A state_dict, an nn.Module, or a path of ``torch.save`` or of safetensors.
        name: What the checkpoint is called, for errors.

    Raises:
        CheckpointError: when it is something else, or cannot be read.
        MissingExtraError: for a .safetensors file without safetensors.
    """
    if isinstance(given, nn.Module):
        return given.state_dict()
    if isinstance(given, (str, os.PathLike)):
        given = _read(Path(given), name)
    if isinstance(given, Mapping):
        return given
    raise CheckpointError(
        f"checkpoint {name!r} is a {type(given).__name__}; expected a state_dict, or the path of a .pt or .safetensors "
        "file with one."
    )


def fitted(state: State, model: nn.Module, name: str) -> dict[str, Any]:
    """The entries of a checkpoint under the model's own keys; a tensor that the model has twice may be there once.

    Raises:
        CheckpointError: when keys are missing, unexpected or of another shape; it names them.
    """
    own = model.state_dict()
    found = _named_as(own, _unwrapped(own, state))
    for key, twin in _twins(own).items():
        if key not in found and twin in found:
            found[key] = found[twin]
    faults = [
        _listed("missing", [key for key in own if key not in found]),
        _listed("unexpected", [key for key in found if key not in own]),
        _listed("of another shape", _misshapen(own, found)),
    ]
    if any(faults):
        raise CheckpointError(
            f"checkpoint {name!r} does not fit this {type(model).__name__}: {'; '.join(filter(None, faults))}. "
            "Give checkpoints of this very model."
        )
    return found


def shares_memory(state: State, model: nn.Module) -> bool:
    """Whether a state_dict is that of the live model: its tensors change when other weights are loaded."""
    own = {_place(value) for value in model.state_dict().values() if isinstance(value, Tensor) and value.numel()}
    return any(isinstance(value, Tensor) and value.numel() and _place(value) in own for value in state.values())


def _read(path: Path, name: str) -> object:
    where = f"checkpoint {name!r} ({str(path)!r})"
    if not path.is_file():
        raise CheckpointError(f"{where} is no file; expected one of torch.save(model.state_dict(), path).")
    try:
        if path.suffix == ".safetensors":
            return _safetensors()(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except MissingExtraError:
        raise
    except Exception as error:  # torch and safetensors each have errors of their own for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{where} could not be read: {reason} Expected torch.save(model.state_dict(), path) or .safetensors; "
            "whole pickled models are not opened, since that runs code."
        ) from error


def _safetensors() -> Any:
    try:
        from safetensors.torch import load_file  # noqa: PLC0415  # optional
    except ImportError:
        raise MissingExtraError(
            "a .safetensors checkpoint needs safetensors, which is not installed; "
            'pip install "memviz_widgets[notebooks]" or pip install safetensors.'
        ) from None
    return load_file


def _unwrapped(own: State, state: State) -> State:
    """The model's part of what a trainer saved."""
    if set(own) & set(state):
        return state
    inner = (state[entry] for entry in WRAPPED if isinstance(state.get(entry), Mapping))
    return next(inner, state)


def _named_as(own: State, state: State) -> dict[str, Any]:
    """The entries, without a wrapper's prefix that all names have and the model's have not."""
    for prefix in PREFIXES:
        if state and all(key.startswith(prefix) for key in state) and not any(key.startswith(prefix) for key in own):
            return {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


def _twins(own: State) -> dict[str, str]:
    """Key -> another key of the same tensor, which a file may hold once for both."""
    places: dict[object, list[str]] = {}
    for key, value in own.items():
        if isinstance(value, Tensor) and value.numel():
            places.setdefault((_place(value), tuple(value.shape), value.stride()), []).append(key)
    return {key: other for keys in places.values() for key in keys for other in keys if other != key}


def _place(value: Tensor) -> tuple[str, int]:
    return str(value.device), value.data_ptr()


def _misshapen(own: State, found: State) -> list[str]:
    texts = []
    for key, value in found.items():
        expected = own.get(key)
        if isinstance(expected, Tensor):
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            if shape != tuple(expected.shape):
                texts.append(f"{key!r} is {shape} and in the model {tuple(expected.shape)}")
    return texts


def _listed(what: str, keys: Iterable[str]) -> str:
    """ "missing 'a', 'b', 'c' and 2 more"; "" when there are none."""
    given = list(keys)
    shown = ", ".join(key if " " in key else repr(key) for key in given[:MOST_NAMED])
    more = f" and {len(given) - MOST_NAMED} more" if len(given) > MOST_NAMED else ""
    return f"{what}: {shown}{more}" if given else ""
