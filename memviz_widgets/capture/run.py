"""One forward with hooks, and the model as it was before; or a recording of whatever the user runs meanwhile.

In: model, input, a sink for records. Out: the model's output, or ForwardError; the Trace of what happened; a Replay.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import DimsError, ForwardError
from .anchors import Anchors
from .attached import attached
from .dims import DimsGuide, parse_dims
from .dims_rules import Dims
from .drafts import Sink
from .gathered_weights import GatheredWeights
from .hooks import Recorder
from .inputs import arguments, batch_size, check_model, entry_point
from .layer_names import check_patterns, choose_layers
from .memory_adapters import adapters_of
from .pages import let_heap_keep
from .parameters import WeightMarks
from .placement import ranks_of
from .progress import Progress
from .replay import Replay
from .run_context import cheap_collections, deeper_stack, python_module, uncompiled
from .saved_inputs import Held, Hold
from .state import RandomKeeper, kept_state
from .trace import Modules, Site, Trace, is_wrapper, survey, walk
from .what_if import WhatIf


@dataclass(frozen=True, slots=True)
class Holder:
    """Where inputs are kept for replay: keep a copy of a tensor, and give it up.

    ``ahead``: told of tensors that will be recorded when the call that begins has ended.
    """

    hold: Hold
    release: Callable[[Held], None]
    ahead: Callable[[list[Tensor]], None] | None = None


class Session:
    """The hooks of one recording, from ``begin`` to ``end``.

    Args:
        model: Any nn.Module.
        sink: Called inside the hooks with (draft of a record, live value or None).
        layers: Pattern or patterns of module paths to record, None = all.
        dims: Pattern of path or ``path[item]`` -> names of the axes; the first that matches counts.
        trace: Filled with what the calls tell about the model.
        holder: Keeps inputs for replay; None for a recording that will not be replayed.
        loop: Whether every outermost call is saved by itself: the user's loop instead of one forward.
        what_if: What is changed by hand on the way; None changes nothing.
        priced: Whether the sink gets tensors of the meta device too, which have a size and no values.

    Raises:
        ModelError, LayersError, DimsError: about the arguments.
    """

    def __init__(
        self,
        model: nn.Module,
        sink: Sink,
        *,
        layers: object = None,
        dims: Mapping[str, object] | None = None,
        trace: Trace,
        holder: Holder | None = None,
        loop: bool = False,
        what_if: WhatIf | None = None,
        priced: bool = False,
    ) -> None:
        self.model = check_model(model)
        self.layers = layers
        self.dims = dims
        self.trace = trace
        self.modules = walk(model)
        self.sites = survey(model, trace, self.modules)
        self.weights: WeightMarks | None = None
        self.ranks = ranks_of(self.modules)
        if self.ranks is not None and self.ranks.collective:
            holder = None  # one rank that runs a part of the model again would wait for the others for ever
        self.chosen = choose_layers(layers, trace.names)
        self.guide = DimsGuide(read_dims(dims, trace))
        self.what_if = what_if
        # A change of one call of a module would come at another one in a block that runs alone.
        whole = what_if is not None and what_if.counts_calls
        self.anchors = (
            Anchors(self.modules, holder.hold, holder.release, loop=loop, blocks=not whole) if holder else None
        )
        memories = adapters_of(self.sites, trace)
        if what_if is not None:
            memories = what_if.adapters(self.sites, memories, adapters_of(self.sites, Trace()))
        self.replay = (
            Replay(self.modules, self.sites, self.chosen, self.anchors, memories, what_if) if self.anchors else None
        )
        # A loop of the user's own has no known length, and may have a bar of its own.
        self._progress = None if loop else Progress(len(trace.callable_paths))
        self._gathered = GatheredWeights(self.modules if self.ranks is not None else [], memories)
        self.recorder = Recorder(
            self.sites,
            sink,
            self.guide,
            trace,
            self.chosen,
            anchors=self.anchors,
            outermost=loop,
            progress=self._progress,
            memories=self._gathered.adapters,
            ranks=self.ranks,
            priced=priced,
            ahead=holder.ahead if holder is not None and self.ranks is None else None,
        )
        self._stack = ExitStack()

    def begin(self) -> None:
        """Attach."""
        let_heap_keep()
        with ExitStack() as stack:
            if self._progress is not None:
                stack.callback(self._progress.close)
            if self.what_if is not None:
                stack.enter_context(self.what_if.attached(self.sites, self.recorder))
            stack.enter_context(attached(self.sites, self.recorder, self.trace))
            if self.ranks is not None:
                stack.enter_context(self.ranks.attached())
                stack.enter_context(self._gathered.attached())
            stack.enter_context(uncompiled(self.modules))
            stack.enter_context(deeper_stack())
            self._stack = stack.pop_all()

    def end(self) -> None:
        """Detach; nothing of the recording stays on the model. A second time does nothing."""
        self._stack.close()
        self.trace.remark_weights()
        self.modules = walk(self.model)
        remark_new_modules(self.modules, self.sites, self.trace)


def run(session: Session, x: object, call: Callable[[Any], Any] | None = None) -> None:
    """Run the session's model once in the caller's grad and training mode, and give it back as it was.

    Args:
        session: Not begun yet.
        x: Tensor, tuple (positional arguments) or mapping (keywords).
        call: Runs the model instead of ``model(x)``; x is then None.

    Raises:
        InputError: about the arguments, before the forward.
        DimsError: after the forward, when an override has the wrong number of names for its tensor.
        ForwardError: from the forward's own error, with the module that raised and the module that finished last.
    """
    inner = python_module(session.model)
    forward = entry_point(inner, x, call)
    session.guide.batch_size = batch_size(x)
    generators = RandomKeeper()
    if session.anchors:
        args, kwargs = ((), {}) if call else arguments(x)
        session.anchors.begin_outermost(None if call else inner, args, kwargs, 0, forward if call else None, generators)
    with cheap_collections(), kept_state(session.modules, session.trace, generators) as weights:
        session.begin()
        try:
            forward()
        except Exception as error:
            raise ForwardError(forward_text(error, session.recorder)) from error
        finally:
            session.end()
    session.weights = weights.marks()
    remark_exported(session.model, session.trace)
    if session.guide.misfit:
        raise DimsError(session.guide.misfit)


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


def remark_exported(model: nn.Module, trace: Trace) -> None:
    """A graph of torch.export calls no module, though it was made of some; say how to have them."""
    graph: Any = getattr(model, "graph", None)
    is_graph = isinstance(graph, getattr(sys.modules.get("torch.fx"), "Graph", ()))
    if not is_graph or trace.fired - {"", "_guards_fn"}:
        return
    if any("nn_module_stack" in node.meta for node in graph.nodes):
        trace.remark(
            "this model is a graph of torch.export, whose modules are not called; "
            "torch.export.unflatten(program) makes a model that calls them"
        )


def remark_new_modules(modules: Modules, sites: list[Site], trace: Trace) -> None:
    """Modules that a forward builds while it runs had no hooks; say so."""
    known = {id(site.module) for site in sites}
    for name, module in modules:
        if id(module) not in known and not isinstance(module, torch.jit.ScriptModule) and not is_wrapper(module):
            trace.remark(f"the module {name!r} was made during the forward, too late for a record; capture again")
