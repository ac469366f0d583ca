"""The model as it was: everything that a forward may change, saved before and put back after.

In: the modules of a model. Out: a context that restores, module by module, attributes, hooks, training flags, buffers,
and besides them grads and the random generators. Not undone: writes to parameters (the Trace says so, and then nothing
is undone, so that weights and flags stay a pair) and changes inside objects of the user's own classes that a module
holds.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .attributes import AttributeKeeper
from .grads import GradKeeper
from .kept_tensors import TensorKeeper
from .parameters import ParameterWatch
from .sharded_weights import ShardedWeights
from .trace import Modules, Trace


@contextmanager
def kept_state(modules: Modules, trace: Trace, generators: RandomKeeper | None = None) -> Iterator[ParameterWatch]:
    """Save, run the block, put everything back; also after KeyboardInterrupt. The block gets the watch on the weights.

    Args:
        modules: All modules of the model: ``walk(model)``.
        trace: Gets the remarks about what could not be put back.
        generators: The random generators as they are; None to ask for them here.
    """
    named = named_parameters(modules)
    sharded = ShardedWeights(modules)
    attributes = AttributeKeeper(modules, sharded)
    tensors = TensorKeeper(modules, attributes, {id(value) for _, value in named})
    parameters = ParameterWatch(named, tensors.kept)
    grads = GradKeeper(named)
    generators = generators or RandomKeeper()
    try:
        yield parameters
    finally:
        generators.restore()
        grads.restore(trace)
        sharded.restore()
        _put_back(attributes, tensors, parameters.written(), trace)


def named_parameters(modules: Modules) -> list[tuple[str, nn.Parameter]]:
    """Every parameter once, as ``model.named_parameters()`` gives them."""
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for path, module in modules:
        for name, value in module._parameters.items():
            if value is not None and id(value) not in found:
                found[id(value)] = (f"{path}.{name}" if path else name, value)
    return list(found.values())


def _put_back(attributes: AttributeKeeper, tensors: TensorKeeper, written: list[str], trace: Trace) -> None:
    """Restore flags always; attributes and tensors unless the forward wrote to weights that they may belong to."""
    attributes.restore_flags()
    if written:
        trace.remark(
            f"the forward wrote to the parameter {written[0]!r} (one of {len(written)}), which is not undone; "
            "buffers and attributes are left as the forward made them, since they may belong to the new weights"
        )
        return
    attributes.restore()
    tensors.restore(trace)


class RandomKeeper:
    """States of the random generators: torch on the CPU and on accelerators in use, Python, numpy."""

    def __init__(self, *, torch_only: bool = False) -> None:
        self._torch = torch.get_rng_state()
        # Asking a device that was never used would initialise it, which takes memory and seconds.
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        self._python = None if torch_only else random.getstate()
        numpy = None if torch_only else sys.modules.get("numpy")
        self._numpy: Any = numpy.random.get_state() if numpy else None

    def restore(self) -> None:
        """Put the states back."""
        torch.set_rng_state(self._torch)
        if self._cuda is not None:
            torch.cuda.set_rng_state_all(self._cuda)
        if self._python is not None:
            random.setstate(self._python)
        if self._numpy is not None:
            sys.modules["numpy"].random.set_state(self._numpy)
