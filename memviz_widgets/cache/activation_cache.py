"""ActivationCache: the records of one forward, and their values as far as the budget goes.

In: model and input, or a sink's records. Out: names, records, copies of values, and exact prices of what is not held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from .. import capture as capturing
from ..errors import ClosedError, ForwardError, NotKeptError, UnknownRecordError, nearest_hint
from ..records import TensorRecord
from .budget import format_bytes, parse_budget
from .values import ValueStore


class ActivationCache:
    """What a model computed for one input: a record per tensor that a module returned, and its values.

    Make one with :meth:`capture`. ``cache["conv1"]`` is the output of the first call; iterating gives names.
    Values are copies that never change; the cache holds no module and no tensor of the model.

    Attributes:
        tokens: Token texts given to capture, or None.
        image: Picture given to capture, or None.
        opaque: Path -> a sentence, for modules that take no hooks (TorchScript).
        never_called: Paths of modules with a forward that did not run.
        remarks: Sentences about what could not be recorded or put back.
    """

    def __init__(self, budget: object = "1 GiB", *, tokens: Any = None, image: Any = None) -> None:
        self._values = ValueStore(parse_budget(budget))
        self._records: tuple[TensorRecord, ...] = ()
        self._trace = capturing.Trace()
        self._closed = False
        self.tokens = tokens
        self.image = image

    @classmethod
    def capture(
        cls,
        model: nn.Module,
        x: object = None,
        *,
        tokens: Any = None,
        image: Any = None,
        layers: object = None,
        dims: Mapping[str, object] | None = None,
        budget: object = "1 GiB",
        call: Callable[[Any], Any] | None = None,
    ) -> ActivationCache:
        """Run the model once, in its own mode and the caller's grad mode, and keep what its modules return.

        Args:
            model: Any nn.Module. It comes back as it was: flags, buffers, grads, hooks, random generators.
            x: Tensor, tuple of positional arguments, or mapping of keywords.
            tokens: Texts of the input tokens, for views.
            image: The input picture, for views.
            layers: Module paths or patterns (``"layer1.*"``) to record; None records all.
            dims: Pattern -> names of axes, over the inferred ones: ``{"encoder.*": "batch time channel"}``.
            budget: Bytes that values may occupy, as text or int. What goes over it keeps shape and statistics only.
            call: Runs the model in another way: ``lambda m: m.generate(ids)``; x is then None.

        Raises:
            ModelError, InputError, LayersError, DimsError, BudgetError: about the arguments.
            ForwardError: when the forward raised; its ``cache`` holds what was recorded before.
        """
        cache = cls(budget, tokens=tokens, image=image)
        try:
            capturing.run(model, x, cache._values.add, layers=layers, dims=dims, call=call, trace=cache._trace)
        except ForwardError as error:
            cache._records = cache._values.finish()
            error.cache = cache
            raise
        cache._records = cache._values.finish()
        return cache

    @property
    def records(self) -> tuple[TensorRecord, ...]:
        """All records in the order in which modules finished."""
        return self._records

    @property
    def budget_bytes(self) -> int:
        """Bytes that values may occupy."""
        return self._values.budget_bytes

    @property
    def held_bytes(self) -> int:
        """Bytes of the values that are held, each once however many names it has."""
        return self._values.held_bytes

    @property
    def recorded_bytes(self) -> int:
        """Bytes of all recorded values, held or not, each once: the budget that would keep everything."""
        return self._values.recorded_bytes

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    @property
    def opaque(self) -> dict[str, str]:
        """Path -> a sentence, for modules that take no hooks."""
        return dict(self._trace.opaque)

    @property
    def never_called(self) -> tuple[str, ...]:
        """Paths of modules with a forward that did not run."""
        return self._trace.never_called

    @property
    def remarks(self) -> tuple[str, ...]:
        """What could not be recorded or put back, a sentence each."""
        return tuple(self._trace.remarks)

    def names(self) -> tuple[str, ...]:
        """Paths of the recorded modules, in execution order, each once."""
        return tuple(dict.fromkeys(record.path for record in self._records))

    def __len__(self) -> int:
        return len(self.names())

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and any(
            record.path == self._trace.names.get(path, path) for record in self._records
        )

    def __getitem__(self, path: str) -> Tensor:
        """A copy of the first tensor that the module's first call returned."""
        return self.get(path)

    def get(self, path: str, kind: str = "output", call: int = 0, item: str | None = None) -> Tensor:
        """A copy of one recorded value.

        Args:
            path: Module path, any of its names if it is registered under several; "" is the model.
            kind: "output".
            call: Which call of the module, 0 = the one entered first.
            item: Place in the result ("0", "1.0", "logits"); None is the first tensor of the result.

        Raises:
            ClosedError: after :meth:`close`.
            UnknownRecordError: when there is no such record; it names the nearest or those that exist.
            NotKeptError: when the values were not kept; it says how to get them.
        """
        self._check_open()
        # Like clone(), but an expanded tensor stays small.
        return capturing.snapshot(self.value(self.find(path, kind, call, item)))

    def find(self, path: str, kind: str = "output", call: int = 0, item: str | None = None) -> TensorRecord:
        """The record that :meth:`get` would read. Raises UnknownRecordError."""
        found = self._of_path(path)
        found = _narrow(found, "kind", kind, f"{path!r} has no kind")
        found = _narrow(found, "call", call, f"{path!r} has no call")
        if item is None:
            # A note about an item that is no tensor must not hide the tensor after it.
            return next((record for record in found if record.dtype), found[0])
        return _narrow(found, "item", str(item), f"call {call} of {path!r} has no item")[0]

    def _of_path(self, path: str) -> list[TensorRecord]:
        """Records of a module, or the error that says why there are none."""
        known = self._trace.names.get(path, path)
        found = [record for record in self._records if record.path == known]
        if found:
            return found
        names = self.names()
        if known in self._trace.opaque:
            raise UnknownRecordError(
                f"no record {path!r}: {self._trace.opaque[known]}. List records with cache.names()."
            )
        if known in self._trace.types:
            ran = known in self._trace.fired
            why = "it ran, but layers= left it out or it returned no tensor" if ran else "this module did not run"
            raise UnknownRecordError(f"no record {path!r}: {why}. List records with cache.names().")
        raise UnknownRecordError(
            f"no record {path!r} ({len(names)} recorded){nearest_hint(str(path), names)}. List them with cache.names()."
        )

    def value(self, record: TensorRecord) -> Tensor:
        """The held tensor itself, without a copy: for drawing, never to be handed to users or written to.

        Raises:
            ClosedError: after :meth:`close`.
            NotKeptError: when the values were not kept.
        """
        self._check_open()
        value = self._values.get(record.index)
        if value is None:
            raise NotKeptError(f"{record.label!r} (call {record.call}) has no values here: {record.note}")
        return value

    def value_or_none(self, record: TensorRecord) -> Tensor | None:
        """The held tensor without a copy, or None when it was not kept or the cache is closed."""
        return None if self._closed else self._values.get(record.index)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("this cache was closed and its values are gone; records remain. Capture again.")

    def close(self) -> None:
        """Free all values. Records stay readable; asking for a value raises ClosedError."""
        self._values.clear()
        self._closed = True

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{format_bytes(self.held_bytes)} of {format_bytes(self.budget_bytes)}"
        lost = sum(not record.kept for record in self._records)
        missing = f", {lost} not kept" if lost else ""
        return f"<ActivationCache: {len(self)} modules, {len(self._records)} records{missing}, {state}>"


def _narrow(records: list[TensorRecord], field: str, wanted: object, complaint: str) -> list[TensorRecord]:
    """Records whose field has the wanted value, or an error that lists the values there are."""
    found = [record for record in records if getattr(record, field) == wanted]
    if found:
        return found
    there = list(dict.fromkeys(getattr(record, field) for record in records))
    shown = ", ".join(repr(value) for value in there[:12]) + (", ..." if len(there) > 12 else "")
    raise UnknownRecordError(f"{complaint} {wanted!r}; there is {shown}. See cache.records.")
