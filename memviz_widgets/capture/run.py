"""One forward with hooks, and the model as it was before.

In: model, input, a sink for records. Out: the model's output, or ForwardError; the Trace of what happened.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from ..errors import DimsError, ForwardError
from .dims import DimsGuide, parse_dims
from .dims_rules import Dims
from .hooks import Recorder, Sink, attached
from .inputs import batch_size, check_model, entry_point
from .layer_names import check_patterns, choose_layers
from .state import kept_state
from .trace import COMPILED_PREFIX, Site, Trace, is_compiled_wrapper, survey


def run(
    model: nn.Module,
    x: object,
    sink: Sink,
    *,
    layers: object = None,
    dims: Mapping[str, object] | None = None,
    call: Callable[[Any], Any] | None = None,
    trace: Trace | None = None,
) -> Any:
    """Run the model once in the caller's grad and training mode; each tensor that a module returns goes to ``sink``.

    Args:
        model: Any nn.Module; it comes back as it was, whatever happens.
        x: Tensor, tuple (positional arguments) or mapping (keywords).
        sink: Called inside the hooks with (record without stats, live tensor or None).
        layers: Pattern or patterns of module paths to record, None = all.
        dims: Pattern of path or ``path[item]`` -> names of the axes; the first that matches counts.
        call: Runs the model instead of ``model(x)``; x is then None.
        trace: Filled with what the forward told about the model.

    Returns:
        What the forward returned.

    Raises:
        ModelError, InputError, LayersError, DimsError: about the arguments, before the forward.
        DimsError: after the forward, when an override has the wrong number of names for its tensor.
        ForwardError: from the forward's own error, with the module that raised and the module that finished last.
    """
    trace = Trace() if trace is None else trace
    forward = entry_point(python_module(check_model(model)), x, call)
    sites = survey(model, trace)
    chosen = choose_layers(layers, trace.names)
    guide = DimsGuide(read_dims(dims, trace), batch_size(x))
    recorder = Recorder(sites, sink, guide, trace, chosen)
    with kept_state(model, trace), attached(sites, recorder, trace), uncompiled(model), deeper_stack():
        try:
            output = forward()
        except Exception as error:
            raise ForwardError(forward_text(error, recorder)) from error
    remark_new_modules(model, sites, trace)
    if guide.misfit:
        raise DimsError(guide.misfit)
    return output


@contextmanager
def deeper_stack() -> Iterator[None]:
    """Room for the frame that hooks add to each nested call: a recursion that fits without hooks fits with them."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(2 * limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def read_dims(dims: object, trace: Trace) -> dict[str, Dims]:
    """The overrides with their names parsed.

    Raises:
        DimsError: when ``dims`` is no mapping, a pattern matches no module, or names are malformed.
    """
    if dims is None:
        return {}
    if not isinstance(dims, Mapping):
        raise DimsError(
            f"dims= is a {type(dims).__name__}; expected a mapping such as {{'encoder.*': 'batch time channel'}}."
        )
    check_patterns(dims, trace.names)
    return {pattern: _read_names(pattern, names) for pattern, names in dims.items()}


def _read_names(pattern: str, names: object) -> Dims:
    try:
        return parse_dims(names)
    except ValueError as error:
        raise DimsError(f"dims[{pattern!r}] is {names!r}: {error}.") from None


def forward_text(error: Exception, recorder: Recorder) -> str:
    """Where the forward stopped, in one paragraph."""
    place = recorder.failed_in(error)
    raised = f"in {place}" if place else "outside of every module call"
    last = (
        f"the module that finished last is {recorder.last_finished}"
        if recorder.last_finished
        else "no module had finished"
    )
    return (
        f"the forward raised {type(error).__name__}: {error}\n"
        f"Raised {raised}; {last}. {recorder.count} records made before it are in error.cache."
    )


def remark_new_modules(model: nn.Module, sites: list[Site], trace: Trace) -> None:
    """Modules that a forward builds while it runs had no hooks; say so."""
    known = {id(site.module) for site in sites}
    for name, module in model.named_modules():
        hookable = not isinstance(module, torch.jit.ScriptModule) and not is_compiled_wrapper(module)
        if hookable and id(module) not in known:
            trace.remark(f"the module {name!r} was made during the forward, too late for a record; capture again")


def python_module(model: nn.Module) -> nn.Module:
    """The module inside torch.compile's wrapper, for torch before 2.6, where no stance makes the wrapper run it."""
    if hasattr(torch.compiler, "set_stance") or not is_compiled_wrapper(model):
        return model
    inner: nn.Module = model._modules[COMPILED_PREFIX]  # type: ignore[assignment]
    return inner


def uncompiled(model: nn.Module) -> AbstractContextManager[Any]:
    """Compiled code ignores hooks that came after its compilation; this makes torch run the Python code for the call.

    Nothing is recompiled afterwards. Loading the compiler takes seconds, so a process that never did is left alone.
    """
    compiled = any(is_compiled_wrapper(part) or getattr(part, "_compiled_call_impl", None) for part in model.modules())
    if not compiled and "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance = getattr(torch.compiler, "set_stance", None)
    context: AbstractContextManager[Any] = stance("force_eager") if stance else nullcontext()
    return context
