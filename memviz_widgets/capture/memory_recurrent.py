"""The memories of nn.LSTM, nn.GRU and nn.RNN and of their cells, for the recorder.

In: a module and one call of it. Out: its states as they were returned, and those and the gates that will be recovered
when they are looked at. Both adapters only collect tensors and shapes: they run between the model's own operations.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from .cell_call import CELLS, CellRecovery, cell_mode, cell_tensors
from .fingerprint import plain_mark, read_samples
from .memory import MemoryTensor, RecoveredValue
from .recurrent import SequenceRecovery
from .recurrent_cells import KINDS, LETTERS, RecurrentError, working_dtype
from .sequence_call import SEQUENCES, SequenceCall, item_of, read_call
from .tensors import on_host, version_of

DIMS = ("batch", "time", "channel")
CELL_DIMS = ("batch", "channel")
NO_DATA = "steps after a sample's end: no data"
REVERSED = "runs from the last timestep to the first: what a step keeps is that of the next one"


class RecurrentAdapter:
    """Hidden and cell states and gates of nn.LSTM, nn.GRU and nn.RNN: every layer, direction and step.

    One per recording, since it remembers how far each module's sequence has come.
    """

    def __init__(self) -> None:
        self._ends = _Ends()

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by what it inherits from."""
        return issubclass(kind, SEQUENCES)

    def match(self, module: nn.Module) -> bool:
        """Whether it is one of them or inherits from one."""
        return isinstance(module, SEQUENCES)

    @staticmethod
    def weights_ahead(module: nn.Module) -> list[Tensor]:
        """What :meth:`read` will hand over as it is now. Parametrized weights are made by the call itself."""
        return [value for value in module._parameters.values() if value is not None]

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """A value per kind, layer and direction; one without a value, with the reason, where nothing is known."""
        try:
            call, given = read_call(module, args, kwargs, result)
        except RecurrentError as error:
            return [_unknown(str(error))]
        start = self._ends.start(module, call, given)
        return _series(call, given, start)


class CellAdapter:
    """Hidden and cell states and gates of nn.LSTMCell, nn.GRUCell and nn.RNNCell, a step per call."""

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by what it inherits from."""
        return issubclass(kind, CELLS)

    def match(self, module: nn.Module) -> bool:
        """Whether it is one of them or inherits from one."""
        return isinstance(module, CELLS)

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """The states that the call returned, and its gates; or the reason why they are not known."""
        try:
            given = cell_tensors(module, args, kwargs, result)
        except RecurrentError as error:
            return [_unknown(str(error))]
        return _step(cell_mode(module), given)


def _unknown(reason: str) -> MemoryTensor:
    return MemoryTensor("hidden", None, (), note=reason)


def _series(call: SequenceCall, given: dict[str, Tensor], start: int) -> Iterator[MemoryTensor]:
    """The values of one call of a sequence, layer by layer."""
    dtype = working_dtype(next(tensor for name, tensor in given.items() if name.startswith("weight_")).dtype)
    recovery = SequenceRecovery(call)
    uneven = "batch_sizes" in given and int(given["batch_sizes"][-1]) < call.batch
    for layer in range(call.layers):
        for reverse in call.directions:
            item = item_of(layer, reverse)
            note = "; ".join([REVERSED] * reverse + [NO_DATA] * uneven)
            for kind in KINDS[call.mode]:
                if layer >= call.known_layers:
                    yield MemoryTensor(kind, None, DIMS, item, item, f"not recovered: {call.dropout_reason}")
                    continue
                sizes = (call.batch, call.steps, call.widths[kind != "hidden"])
                value = RecoveredValue(recovery, (kind, item), given, sizes, 1, dtype)
                yield MemoryTensor(kind, value, DIMS, item, item, note, start=start)


def _step(mode: str, given: dict[str, Tensor]) -> Iterator[MemoryTensor]:
    """The values of one call of a cell."""
    for kind in KINDS[mode]:
        if kind in LETTERS:
            state = given[f"{LETTERS[kind]}_n"]
            yield MemoryTensor(kind, state[None] if state.dim() == 1 else state, CELL_DIMS)
    gates = [kind for kind in KINDS[mode] if kind not in LETTERS]
    if not gates:
        return
    recovery, weight, state = CellRecovery(mode), given["weight_ih"], given["h_n"]
    dtype, batch = working_dtype(weight.dtype), state.shape[0] if state.dim() == 2 else 1
    for kind in gates:
        value = RecoveredValue(recovery, (kind, ""), given, (batch, state.shape[-1]), -1, dtype)
        yield MemoryTensor(kind, value, CELL_DIMS)


class _Ends:
    """How far a module's sequence has come, so that a loop which calls it step by step is known as one sequence.

    A call goes on with the one before when it is given the states that that one returned. No tensor is held: the states
    are compared by their sampled elements, which is not waited for where they are the very tensors of an accelerator.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[list[_State], int]] = {}

    def start(self, module: nn.Module, call: SequenceCall, given: Mapping[str, Tensor]) -> int:
        """Position in its sequence of the first step of a call; 0 where it begins one.

        -1 for several directions, of which one runs against time, and for samples of several lengths, which end at
        several positions: their calls are sequences of their own.
        """
        if call.bidirectional or "batch_sizes" in given:
            return -1
        before, stop = self._known.get(id(module), ([], 0))
        states = _states(given, "0")
        goes_on = bool(states) and len(states) == len(before)
        start = stop if goes_on and all(map(_equal, before, states)) else 0
        self._known[id(module)] = ([_State(state) for state in _states(given, "n")], start + call.steps)
        return start


class _State:
    """A state that a call returned, by what it is known again."""

    def __init__(self, state: Tensor) -> None:
        self.tensor = weakref.ref(state)
        self.version = version_of(state)
        self.mark = plain_mark(state)


def _states(given: Mapping[str, Tensor], when: str) -> list[Tensor]:
    """The states before ("0") or after ("n") a call."""
    return [given[f"{letter}_{when}"] for letter in LETTERS.values() if f"{letter}_{when}" in given]


def _equal(before: _State, state: Tensor) -> bool:
    same = before.tensor() is state and before.version is not None and before.version == version_of(state)
    if same and not on_host(state):
        return True
    one, other = before.mark, plain_mark(state)
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        one, other = read_samples([one, other])
    return isinstance(one, bytes) and one == other
