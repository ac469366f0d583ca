"""Everything that a capture may leave changed, as one flat table: of a model, and of the process around it.

In: a model, before and after. Out: the names of the places that differ. Nothing here is shared with the package, which
has its own way to look at a model.
"""

from __future__ import annotations

import gc
import random
import signal
import sys
import threading
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy

from memviz_widgets import ActivationCache

State = dict[str, object]
"""Place, such as ``"0._forward_hooks"``, -> what compares equal when nothing changed there."""
Capture = Callable[..., ActivationCache]
"""``ActivationCache.capture`` with the model compared before and after."""

DEPTH = 6
"""Levels of a module's attributes that are opened."""
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_CONTAINERS = (dict, OrderedDict, list, tuple, deque)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_CLOSED = (nn.Module, type, types.ModuleType, *_FUNCTIONS, weakref.ref, threading.Thread, BaseException)
_NAMESPACES: tuple[Any, ...] = (
    torch,
    torch.Tensor,
    torch.overrides,
    torch.special,
    torch.linalg,
    torch._C._nn,
    functional,
    nn.Module,
    nn.modules.module,
    nn.modules.activation,
    nn.modules.transformer,
)
_BORROWED = (
    "scaled_dot_product_attention",
    "softmax",
    "has_torch_function",
    "multi_head_attention_forward",
    "flex_attention",
)
"""Functions that libraries import by name: each such name is compared too."""
_IMPORTED = "imported "
_PYTHONS_OWN = ("__warningregistry__", "__slotnames__")
"""Notes that warnings and copyreg leave in a namespace."""
_NOT_OPENED = ("_hf_hook",)
"""Attributes that are compared by identity: accelerate keeps books in its hooks in every forward."""


def _stance() -> str:
    """The stance of torch.compile, without loading the compiler."""
    compiler = sys.modules.get("torch._dynamo.eval_frame")
    return str(compiler._stance.stance) if compiler else "default"


SWITCHES: dict[str, Callable[[], object]] = {
    "grad mode": torch.is_grad_enabled,
    "inference mode": torch.is_inference_mode_enabled,
    "autocast": lambda: [torch.is_autocast_enabled(device) for device in ("cpu", "cuda")],
    "autocast dtype": lambda: [torch.get_autocast_dtype(device) for device in ("cpu", "cuda")],
    "autocast cache": torch.is_autocast_cache_enabled,
    "anomaly mode": torch.is_anomaly_enabled,
    "saved tensor hooks": vars(torch._C._autograd)["_saved_tensors_hooks_is_enabled"],
    "function modes": lambda: tuple(map(Same, torch.overrides._get_current_function_mode_stack())),
    "functions on": torch._C._is_torch_function_enabled,
    "dispatch modes": torch._C._len_torch_dispatch_stack,
    "functorch level": torch._C._functorch.maybe_current_level,
    "compiler stance": _stance,
    "default dtype": torch.get_default_dtype,
    "default device": torch.get_default_device,
    "threads of torch": lambda: (torch.get_num_threads(), torch.get_num_interop_threads()),
    "deterministic": lambda: (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    ),
    "matmul precision": torch.get_float32_matmul_precision,
    "mha fast path": torch.backends.mha.get_fastpath_enabled,
    "sdp kernels": lambda: (
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
        torch.backends.cuda.cudnn_sdp_enabled(),
    ),
    "tf32": lambda: (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
    "cudnn": lambda: (
        torch.backends.cudnn.enabled,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
    ),
    "mkldnn": lambda: (torch.backends.mkldnn.enabled, torch.backends.mkldnn.deterministic),
    "opt_einsum": lambda: torch.backends.opt_einsum.enabled,
    "quantized engine": lambda: torch.backends.quantized.engine,
    "torch generator": lambda: torch.get_rng_state().numpy().tobytes(),
    "cuda generators": lambda: (
        [state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_initialized() else None
    ),
    "python generator": random.getstate,
    "numpy generator": lambda: [repr(part) for part in np.random.get_state(legacy=False).values()],  # noqa: NPY002
    "recursion limit": sys.getrecursionlimit,
    "garbage collector": lambda: (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
    "threads": lambda: frozenset(threading.enumerate()),
    "interrupt": lambda: Same(signal.getsignal(signal.SIGINT)),
    "tracers": lambda: (Same(sys.gettrace()), Same(sys.getprofile())),
}
"""Name -> how it is read, for everything in the process that is not a name of a function."""


@dataclass(frozen=True, slots=True, eq=False)
class Same:
    """Equal when it is the same object; holds it, so that no other gets its id."""

    value: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def full_state(model: nn.Module) -> State:
    """The whole table, of the model and of the process."""
    state: State = {f"process: {name}": read() for name, read in SWITCHES.items()}
    for namespace in _NAMESPACES:
        for name, value in vars(namespace).items():
            if not isinstance(value, types.ModuleType) and name not in _PYTHONS_OWN:
                state[f"{namespace.__name__}.{name}"] = _token(value)
    for name, module in list(sys.modules.items()):
        names = getattr(module, "__dict__", {})  # whatever a library has put there
        state |= {f"{_IMPORTED}{name}.{word}": Same(names[word]) for word in _BORROWED if word in names}
    seen: set[int] = set()
    for name, value in vars(nn.modules.module).items():
        if name.startswith("_global"):  # hooks of all modules
            _open(value, f"process: {name}", state, seen, 0)
    # Not through named_parameters() and the like, which a class may override.
    for path, module in model.named_modules():
        place = path or "(model)"
        state[f"{place} class"] = type(module)
        state |= {f"{place} class.{name}": _token(value) for name, value in vars(type(module)).items()}
        _open(vars(module), place, state, seen, 0)
        if isinstance(module, torch.jit.ScriptModule):
            state |= {f"{place}.{name} bits": _bits(value) for name, value in module.state_dict().items()}
    return state


def changes(before: State, after: State) -> list[str]:
    """Places that differ. A module that was imported in between is no change."""
    gone = [place for place in before if place not in after or before[place] != after[place]]
    return gone + [place for place in after if place not in before and not place.startswith(_IMPORTED)]


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """After the block the model and the process are in full what they were, also when the block raises."""
    before = full_state(model)
    try:
        yield
    finally:
        changed = changes(before, full_state(model))
        assert not changed, f"the capture changed {changed}"


def _token(value: object) -> object:
    """Numbers and texts by value, everything else by identity."""
    return (type(value), repr(value)) if isinstance(value, _PLAIN) else Same(value)


def _open(value: object, place: str, state: State, seen: set[int], depth: int) -> None:
    """The value at a place, and all that is inside it."""
    state[place] = _token(value)
    if isinstance(value, (*_PLAIN, *_CLOSED)) or id(value) in seen or depth > DEPTH:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        _open_tensor(value, place, state, seen, depth)
        return
    inside: Any = getattr(value, "__dict__", {})
    if isinstance(value, dict):
        # Keys that are counted up in the process (hooks) must not make the places of two models differ.
        inside = {key if isinstance(key, str) else at: child for at, (key, child) in enumerate(value.items())}
        state[f"{place} keys"] = [_token(key) for key in value]
    elif isinstance(value, _CONTAINERS):
        inside = dict(enumerate(value))
        state[f"{place} length"] = len(inside)
    elif isinstance(value, (set, frozenset)):
        state[f"{place} members"] = frozenset(map(Same, value))
    for name, child in list(inside.items()):
        if name in _NOT_OPENED:
            state[f"{place}.{name}"] = Same(child)
            continue
        _open(child, f"{place}.{name}", state, seen, depth + 1)


def _open_tensor(tensor: Any, place: str, state: State, seen: set[int], depth: int) -> None:
    state[f"{place} bits"] = _bits(tensor)
    state[f"{place} flags"] = (type(tensor), tensor.requires_grad, tensor.is_leaf, Same(tensor.grad_fn))
    for name in ("_backward_hooks", "_post_accumulate_grad_hooks"):
        _open(getattr(tensor, name, None), f"{place}.{name}", state, seen, depth)
    lazy: bool = is_lazy(tensor)
    if isinstance(tensor, nn.Parameter) and not lazy and not tensor.is_inference():
        # Only of parameters: whoever puts a buffer back has written to it once more.
        state[f"{place} version"] = tensor._version
    if tensor.is_leaf:
        _open(tensor.grad, f"{place}.grad", state, seen, depth)


def _bits(tensor: Tensor) -> object:
    """The exact contents, as bytes; the shape only, where there are none."""
    if is_lazy(tensor):
        return None
    shape = (tuple(tensor.shape), tensor.dtype) if not tensor.is_nested else ()
    if tensor.device.type == "meta":
        return shape
    if tensor.is_nested:
        return [_bits(part) for part in tensor.detach().unbind()]
    if tensor.is_quantized:
        return _bits(tensor.int_repr())
    plain = tensor.detach() if tensor.layout is torch.strided else tensor.detach().to_dense()
    flat = plain.resolve_conj().resolve_neg().contiguous().reshape(-1)
    return (shape, flat.view(torch.uint8).cpu().numpy().tobytes() if flat.numel() else b"")
