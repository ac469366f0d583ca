"""Origin: what is needed to run a recorded forward once more with a change, without holding the model.

In: the session of a forward that has ended. Out: its inputs, what surrounded it, and whether the model is still the one
that ran. The model is held weakly: a cache that holds everything keeps no model alive.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from .fingerprint import checksum, plain_mark, read_samples
from .kept_tensors import flat, grouped, is_renormed, written_tensors
from .parameters import ParameterWatch, WeightMarks
from .run import Session
from .saved_inputs import NotSaveableError, SavedInputs
from .state import RandomKeeper, named_parameters
from .surroundings import Surroundings
from .tensors import tensor_kind
from .trace import Modules, walk


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """A forward that can be run again.

    Attributes:
        inputs: Its saved arguments; None when they were not kept, or the model was run by ``call``.
        call: Ran the model; None when it was called with ``inputs``, or when ``call`` holds a model.
        layers, dims: As given to the capture.
    """

    inputs: SavedInputs | None
    call: Callable[[Any], Any] | None
    layers: object
    dims: Mapping[str, object] | None
    _model: weakref.ref[nn.Module]
    _flags: tuple[bool, ...]
    _weights: WeightMarks | None
    _buffers: tuple[bytes, ...]
    _surroundings: Surroundings | None

    @property
    def model(self) -> nn.Module | None:
        """The model, or None when nobody has it any more."""
        return self._model()

    def within(self, free_bytes: int) -> Origin:
        """The same without inputs that keep a tensor of the caller's alive, or take more than this many bytes."""
        kept = self.inputs
        if kept is None or not (kept.has_live or kept.copied_bytes > free_bytes):
            return self
        return replace(self, inputs=None)

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """A copy or a pickle of a cache has no model to go back to: None."""
        return type(None), ()

    def unchanged(self, model: nn.Module) -> bool:
        """Whether a model is the one that ran, with the weights and buffers that it had."""
        if model is not self._model():
            return False
        modules = walk(model)
        return _weight_marks(modules) == self._weights and _buffer_marks(modules) == self._buffers

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Args and kwargs made anew; None when they were not kept."""
        try:
            return None if self.inputs is None else self.inputs.rebuild()
        except NotSaveableError:
            return None

    @contextmanager
    def restored(self, model: nn.Module) -> Iterator[None]:
        """The modes, training flags and random numbers of the forward around a block, and then those of now."""
        generators, flags = RandomKeeper(), [(module, module.training) for _, module in walk(model)]
        try:
            with ExitStack() as stack:
                if model is self._model() and len(flags) == len(self._flags):
                    for (module, now), then in zip(flags, self._flags, strict=True):
                        if now != then:
                            module.training = then
                if self._surroundings is not None:
                    stack.enter_context(self._surroundings.restored())
                yield
        finally:
            for module, flag in flags:
                if module.training != flag:
                    module.training = flag
            generators.restore()


def origin_of(session: Session, call: Callable[[Any], Any] | None) -> Origin:
    """What the session's forward started from. Before the session's saved inputs are given up."""
    model = session.model
    anchor = session.anchors.keep_outermost() if session.anchors else None
    return Origin(
        anchor.inputs if anchor is not None else None,
        None if call is None or _holds_module(call) else call,
        session.layers,
        session.dims,
        weakref.ref(model),
        tuple(module.training for _, module in session.modules),
        session.weights,
        _buffer_marks(session.modules),
        anchor.surroundings if anchor is not None else None,
    )


def _weight_marks(modules: Modules) -> WeightMarks:
    renormed = {id(module.weight) for _, module in modules if is_renormed(module)}
    return ParameterWatch(named_parameters(modules), renormed).marks()


def _buffer_marks(modules: Modules) -> tuple[bytes, ...]:
    """What tells of a write to what a forward may write to and a capture puts back: its versions say nothing."""
    small, others = grouped(value for _, _, value in written_tensors(modules))
    marks = [_sample(value) for value in others]
    far = read_samples([mark for mark in marks if isinstance(mark, Tensor)])
    sums = [checksum(flat(each)).to_bytes(4, "big") for each in small]
    return (*sums, *(far.pop(0) if isinstance(mark, Tensor) else mark for mark in marks))


def _sample(value: Tensor) -> bytes | Tensor:
    """The samples of one tensor; on an accelerator not read yet."""
    try:
        if tensor_kind(value) != "dense":
            return b""
        return plain_mark(value)
    except (RuntimeError, NotImplementedError, TypeError, ValueError):  # lazy, or a dtype that cannot be sampled
        return b""


def _holds_module(call: Callable[[Any], Any]) -> bool:
    """Whether a function holds a module, which a cache must not keep alive."""
    cells = [cell.cell_contents for cell in getattr(call, "__closure__", None) or () if _is_filled(cell)]
    held = (*cells, *(getattr(call, "__defaults__", None) or ()), getattr(call, "__self__", None))
    return isinstance(call, nn.Module) or any(isinstance(each, nn.Module) for each in held)


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
