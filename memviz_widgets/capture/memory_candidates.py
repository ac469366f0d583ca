"""Candidates: tensors of a model that look like memories, for models that no adapter knows.

In: a model and one way to run it. Out: proposals, each with its reason in a sentence; the user picks one, which makes
an adapter. A proposal is a guess: it is never recorded by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import ReferenceType, ref

from torch import Tensor, nn

from ..errors import DimsError, ForwardError
from .dims import parse_dims
from .inputs import check_model, entry_point
from .memory import MemoryTensor
from .memory_adapters import adapters_of
from .memory_kv import CacheAdapter
from .memory_likeness import likeness, remembered
from .memory_sweep import OUTPUT, Series, Sweep, held_by
from .outputs import leaves
from .run_context import cheap_collections, deeper_stack, python_module, uncompiled
from .state import kept_state
from .trace import Trace, survey, walk

KINDS = {"slots": "memory", "weights over slots": "read_weights", "link": "link", "vector": "hidden"}
"""What a candidate looks like -> the part of a memory that its adapter records it as, unless told otherwise."""
_DIMS = {
    "slots": {3: "batch slot width", 4: "batch head slot width"},
    "weights over slots": {1: "slot", 2: "batch slot", 3: "batch head slot"},
    "link": {2: "slot to", 3: "batch slot to", 4: "batch head slot to"},
    "vector": {1: "channel", 2: "batch channel", 3: "batch head channel"},
}
_ORDER = tuple(KINDS)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tensor that looks like a memory. Made by :func:`memory_candidates`.

    Attributes:
        path: Path of the module that holds or returns it; "" is the model itself.
        name: Its attribute in that module, "memory", "state.usage"; or "output", "output.1" for a result.
        shape: Size per axis.
        looks_like: "slots", "weights over slots", "link" or "vector": a guess.
        reason: Why it is proposed, one sentence.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    looks_like: str
    reason: str
    owner: Callable[[], nn.Module | None] = field(repr=False, compare=False)
    clock: Callable[[], nn.Module | None] = field(repr=False, compare=False)

    @property
    def label(self) -> str:
        """The tensor as a reader names it: "ntm.memory: slots (2, 16, 12)"."""
        sizes = ", ".join(map(str, self.shape))
        return f"{'.'.join(filter(None, (self.path, self.name)))}: {self.looks_like} ({sizes})"

    def adapter(self, kind: str = "", dims: object = None) -> CandidateAdapter:
        """An adapter that reads exactly this tensor, of this model, after each call: for ``mv.register_memory``.

        Args:
            kind: The part that it plays, "memory", "read_weights", "hidden", ...; "" for that which it looks like.
            dims: A name per axis, such as "batch slot width"; None for those of what it looks like.

        Raises:
            DimsError: when there are not as many names as axes.
        """
        return CandidateAdapter(()).also(self, kind, dims)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A candidate and what it is recorded as."""

    candidate: Candidate
    kind: str
    dims: tuple[str, ...]


class CandidateAdapter:
    """Reads tensors that the user picked from the candidates. A :class:`~memviz_widgets.capture.memory.MemoryAdapter`.

    Args:
        readings: What it reads; see :meth:`Candidate.adapter`.
    """

    def __init__(self, readings: tuple[_Reading, ...]) -> None:
        self._readings = readings

    def also(self, candidate: Candidate, kind: str = "", dims: object = None) -> CandidateAdapter:
        """An adapter that reads one more; arguments as of :meth:`Candidate.adapter`. A module has one adapter."""
        names = _checked_dims(candidate, dims)
        reading = _Reading(candidate, kind or KINDS[candidate.looks_like], names)
        return CandidateAdapter((*self._readings, reading))

    def match(self, module: nn.Module) -> bool:
        """Whether this is the module after whose calls one of the tensors is read."""
        return any(reading.candidate.clock() is module for reading in self._readings)

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """The tensors as they are now; one that is not there any more as a record that says so."""
        for candidate, kind, dims in ((each.candidate, each.kind, each.dims) for each in self._readings):
            owner = candidate.owner()
            if candidate.clock() is not module or owner is None:
                continue
            tensor = _find(candidate.name, owner, result)
            if tensor is None or tensor.dim() != len(dims):
                state = "not there" if tensor is None else f"of {tensor.dim()} axes"
                note = f"{candidate.name!r} is {state} after this call"
                yield MemoryTensor(kind, None, (), item=candidate.name, owner=owner, note=note)
            else:
                yield MemoryTensor(kind, tensor, dims, item=candidate.name, owner=owner, note="picked by the user")


def memory_candidates(
    model: nn.Module, x: object = None, *, call: Callable[[Any], Any] | None = None
) -> list[Candidate]:
    """Tensors that look like memories, found by running the model once and looking at what changes from call to call.

    A memory shows only where something is called at least three times: a module that is stepped through a sequence in
    the model's forward, or by ``call``. The model comes back as it was. Modules whose memory is known, and KV caches,
    are left out, as are counters, running statistics, shift registers and copies of another candidate.

    Args:
        model: Any nn.Module.
        x: Tensor, tuple (positional arguments) or mapping (keywords).
        call: Runs the model instead, for a loop of one's own: ``lambda m: [m(step) for step in sequence]``.

    Returns:
        The candidates, slots first; empty when nothing looks like a memory.

    Raises:
        ModelError, InputError: about the arguments.
        ForwardError: from the model's own error.
    """
    trace = Trace()
    sites = survey(check_model(model), trace)
    adapters = adapters_of(sites, trace)
    known = frozenset(each for each, adapter in adapters.items() if not isinstance(adapter, CacheAdapter))
    forward = entry_point(python_module(model), x, call)
    sweep, modules = Sweep(sites, known), walk(model)
    with cheap_collections(), kept_state(modules, trace), uncompiled(modules), deeper_stack(), sweep.attached():
        try:
            forward()
        except Exception as error:
            raise ForwardError(f"the forward raised {type(error).__name__}: {error}") from error
    found = [_candidate(series) for series in remembered(sweep)]
    return sorted(found, key=lambda each: _ORDER.index(each.looks_like))


REGISTER = "mv.register_memory(mv.memory_candidates(model, x)[0].adapter())"
"""How a candidate becomes a memory of the next recording."""


def proposal_text(candidates: Sequence[Candidate]) -> str:
    """What to show a user whose model has no known memory: the candidates, and how to pick one."""
    if not candidates:
        return "No tensor of this model looks like a memory."
    lines = [f"  [{place}] {each.label}. {each.reason}" for place, each in enumerate(candidates)]
    one = len(candidates) == 1
    head = "1 tensor looks like a memory:" if one else f"{len(candidates)} tensors look like memories:"
    pick = "If it is one" if one else "Pick one"
    return "\n".join([head, *lines, f"{pick}: {REGISTER}"])


def _candidate(series: Series) -> Candidate:
    looks_like, why = likeness(series)
    calls = f"{series.changed} of {series.count - 1} calls of {series.clock_path or '(model)'!r} changed it"
    back = f", and {series.given_back} were given what the call before returned" if series.is_output else ""
    owner: ReferenceType[nn.Module] = ref(series.owner)
    return Candidate(
        series.path, series.name, series.shape, looks_like, f"{why}; {calls}{back}.", owner, ref(series.clock)
    )


def _checked_dims(candidate: Candidate, dims: object) -> tuple[str, ...]:
    rank = len(candidate.shape)
    text = _DIMS[candidate.looks_like].get(rank, "") if dims is None else dims
    try:
        names = parse_dims(text) if text else ()
    except ValueError as error:
        raise DimsError(f"dims is {dims!r}: {error}.") from None
    if len(names) != rank:
        got = f"{len(names)} names" if names else "no names"
        raise DimsError(
            f"{candidate.label} has {rank} axes, and dims gives {got}; write a name per axis, "
            "such as dims='batch slot width'."
        )
    return names


def _find(name: str, owner: nn.Module, result: Any) -> Tensor | None:
    """The tensor of that name, in the result of the call or in the module that holds it."""
    if name == OUTPUT or name.startswith(OUTPUT + "."):
        item = name.removeprefix(OUTPUT).removeprefix(".")
        return next((leaf.tensor for leaf in leaves(result) if leaf.item == item), None)
    return next((tensor for found, tensor in held_by(owner) if found == name), None)
