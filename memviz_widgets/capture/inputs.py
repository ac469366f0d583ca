"""From what the user gave to one call of the model.

In: model, ``x``, ``call``. Out: a function without arguments that runs the forward; or an error about the arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..errors import InputError, ModelError
from .trace import is_traced_root

EXPECTED = (
    "expected a tensor, a tuple of positional arguments, or a mapping of keywords. "
    "Write (value,) to pass one other object, or call=lambda m: m(...) for any other way to run the model."
)


def check_model(model: object) -> nn.Module:
    """The model, if hooks can be put on it.

    Raises:
        ModelError: for a class, a function, a TorchScript module, or anything that is no nn.Module.
    """
    if isinstance(model, torch.jit.ScriptModule) and not is_traced_root(model):
        raise ModelError(
            f"the model is a TorchScript module ({getattr(model, 'original_name', type(model).__name__)}), which takes "
            "no hooks; expected a Python nn.Module. Capture the module from before torch.jit.script or torch.jit.trace."
        )
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise ModelError(f"the model is the class {model.__name__}; expected an instance. Write {model.__name__}(...).")
    raise ModelError(f"the model is a {type(model).__name__}; expected a torch.nn.Module. Wrap it in one.")


def entry_point(model: nn.Module, x: object, call: object) -> Callable[[], Any]:
    """The forward as a function without arguments.

    Args:
        model: The model.
        x: Tensor, tuple (positional), mapping (keywords), or None when ``call`` is given.
        call: A function of the model that runs it, or None.

    Raises:
        InputError: when x is something else, or both or neither are given.
    """
    if call is None:
        args, kwargs = arguments(x)
        return lambda: model(*args, **kwargs)
    if not callable(call):
        raise InputError(
            f"call= is a {type(call).__name__}; expected a function of the model, such as lambda m: m.encode(x)."
        )
    if x is not None:
        raise InputError(
            "both x and call= were given; call= runs the model by itself. Pass x=None and use it inside call."
        )
    function = call
    return lambda: function(model)


def arguments(x: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments that ``x`` stands for.

    Raises:
        InputError: when x is no tensor, tuple or mapping, or a mapping with keys that are no names.
    """
    if isinstance(x, (Tensor, PackedSequence)):
        return (x,), {}
    if isinstance(x, tuple):
        return tuple(x), {}
    if isinstance(x, Mapping):
        odd = [key for key in x if not isinstance(key, str)]
        if odd:
            raise InputError(
                f"x is a mapping with the key {odd[0]!r}; expected keyword names. Use str keys, or a tuple."
            )
        return (), dict(x)
    if isinstance(x, list):
        raise InputError(f"x is a list of {len(x)}; {EXPECTED}")
    if type(x).__module__ == "numpy":
        raise InputError(f"x is a numpy {type(x).__name__}; expected a tensor. Write torch.from_numpy(x).")
    raise InputError(f"x is {'None' if x is None else f'a {type(x).__name__}'}; {EXPECTED}")


def batch_size(x: object) -> int | None:
    """Length of the first axis of the first tensor of two or more axes in x, or the samples of a PackedSequence."""
    single = isinstance(x, (Tensor, PackedSequence))  # a PackedSequence is a tuple as well
    values = [x] if single else list(x.values()) if isinstance(x, Mapping) else x
    for value in values if isinstance(values, (list, tuple)) else ():
        if isinstance(value, PackedSequence):
            return int(value.batch_sizes[0])
        if isinstance(value, Tensor) and not value.is_nested and value.dim() > 1:
            return int(value.shape[0])
    return None
