"""A call of a recurrent module run again with some of its gates and states changed by hand.

In: a call of nn.LSTM, nn.GRU, nn.RNN or one of their cells with its result, and edits of its values. Out: the result
that it has with these edits, and all its states and gates.

What no edit can have reached stays bit for bit: the steps before the first edited one (after it, of a reverse
direction), and layers below. From there on it runs step by step in Python, which agrees with torch's kernel to rounding
(1e-7 in float32), as torch's kernels agree among themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..errors import EditError
from .cell_call import cell_mode, cell_tensors
from .memory import MemoryAdapter, MemoryTensor
from .recurrent import SequenceRecovery
from .recurrent_cells import KINDS, LETTERS, WEIGHT_NAMES, Key, Weights, undisturbed, working_dtype
from .sequence_call import SEQUENCES, CallTensors, SequenceCall, item_of, padded, read_call
from .what_if_edits import Edit
from .what_if_steps import changed_step

DIMS = ("batch", "time", "channel")
STEP_DIMS = ("batch", "channel")
Edits = Mapping[Key, list[Edit]]


def rerun(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any, edits: Edits, label: str
) -> tuple[Any, dict[Key, Tensor]]:
    """The result of one call with edits of its gates and states, and all of these by (kind, item).

    Args:
        module: nn.LSTM, nn.GRU, nn.RNN, or a cell.
        args, kwargs, result: Of the call.
        edits: By (kind, item). Of a cell without the axis time: one call is one step.
        label: What is edited, for errors.

    Raises:
        EditError: when an edit does not fit, or dropout between the layers drew masks.
        RecurrentError: when the call cannot be read.
    """
    if isinstance(module, SEQUENCES):
        call, given = read_call(module, args, kwargs, result)
        if call.dropout:
            raise EditError(f"{label!r} cannot be run step by step: {call.dropout_reason}")
        with undisturbed(given["input"].device):
            work = _Sequence(call, given, edits, label)
            work.run()
            return work.result(result), work.values
    given = cell_tensors(module, args, kwargs, result)
    with undisturbed(given["input"].device):
        return _cell(cell_mode(module), given, edits, label)


class EditedMemory:
    """A recurrent adapter that shows the values of the call that was run again, in place of those it recovers.

    Attributes:
        values: Of the call that is about to be read; empty for one without edits.
    """

    def __init__(self, adapter: MemoryAdapter) -> None:
        self.values: dict[Key, Tensor] = {}
        self._adapter = adapter

    def match(self, module: nn.Module) -> bool:
        """As the adapter's."""
        return self._adapter.match(module)

    def read(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """What the adapter finds, with the values that are known."""
        values, self.values = self.values, {}
        for found in self._adapter.read(module, args, kwargs, result):
            value = values.get((found.kind, found.item))
            yield found if value is None or found.value is None else found._replace(value=value)


class _Sequence:
    """One call of nn.LSTM, nn.GRU or nn.RNN, layer by layer. Values are (B, T, C), sequences (T, B, C)."""

    def __init__(self, call: SequenceCall, given: Mapping[str, Tensor], edits: Edits, label: str) -> None:
        self._call = call
        self._tensors = CallTensors(call, given)
        self._label = label
        recovered = SequenceRecovery(call).compute(given)
        self.values = {key: value.clone() for key, value in recovered.values.items()}
        self._edits = {key: self._by_step(key, each) for key, each in edits.items()}
        self._output = padded(self._tensors.output).clone()
        self._touched: dict[tuple[int, bool], None] = {}
        """Layers and directions that were run again."""

    def _by_step(self, key: Key, edits: list[Edit]) -> dict[int, list[Edit]]:
        found: dict[int, list[Edit]] = {}
        for edit in edits:
            for step, change in edit.by_step(DIMS, tuple(self.values[key].shape), self._label).items():
                found.setdefault(step, []).append(change)
        return found

    def run(self) -> None:
        """Run what the edits reach."""
        call = self._call
        inputs, reached = padded(self._tensors.inputs).to(self._tensors.dtype), frozenset[int]()
        for layer in range(call.layers):
            hidden, after = [], frozenset[int]()
            for reverse in call.directions:
                after |= self._direction(layer, reverse, inputs, reached)
                hidden.append(self.values["hidden", item_of(layer, reverse)].transpose(0, 1))  # (T, B, P)
            inputs, reached = torch.cat(hidden, -1).nan_to_num(0.0) if self._packed else torch.cat(hidden, -1), after
        steps = sorted(reached)
        self._output[steps] = inputs[steps].to(self._output.dtype)

    @property
    def _packed(self) -> bool:
        return self._tensors.past is not None

    def _direction(self, layer: int, reverse: bool, inputs: Tensor, reached: frozenset[int]) -> frozenset[int]:
        """Run one direction from the first step that differs; the steps that may differ now."""
        item, last = item_of(layer, reverse), self._call.steps - 1
        edited = {step for (_, its), steps in self._edits.items() if its == item for step in steps}
        different = reached | edited
        if not different:
            return frozenset()
        self._touched[layer, reverse] = None
        order = range(max(different), -1, -1) if reverse else range(min(different), last + 1)
        states, weights = self._before(layer, reverse, order[0]), self._tensors.weights(item)
        for step in order:
            found = changed_step(self._call.mode, inputs[step], states, weights, self._change(item, step))
            past = None if self._tensors.past is None else self._tensors.past[step]
            for kind, value in found.items():
                self.values[kind, item][:, step] = value if past is None else value.masked_fill(past, math.nan)
            states = {
                kind: found[kind] if past is None else torch.where(past, state, found[kind])
                for kind, state in states.items()
            }
        return frozenset(order)

    def _before(self, layer: int, reverse: bool, step: int) -> dict[str, Tensor]:
        """The states before a step of a direction."""
        start, item = self._tensors.start(layer, reverse), item_of(layer, reverse)
        previous = step + 1 if reverse else step - 1
        if not 0 <= previous < self._call.steps:
            return start
        found = {kind: self.values[kind, item][:, previous] for kind in start}
        if self._tensors.past is None:
            return found
        past = self._tensors.past[previous]
        return {kind: torch.where(past, start[kind], value) for kind, value in found.items()}

    def _change(self, item: str, step: int) -> Any:
        def change(kind: str, value: Tensor) -> Tensor:
            for edit in self._edits.get((kind, item), {}).get(step, ()):
                value = edit.apply(value, STEP_DIMS, self._label)
            return value

        return change

    def result(self, result: Any) -> Any:
        """What the call returns, of the form of what it returned."""
        output, states = result
        tuple_like = isinstance(states, (tuple, list))
        kinds = [kind for kind in KINDS[self._call.mode] if kind in LETTERS]
        new = [self._last(kind, old) for kind, old in zip(kinds, states if tuple_like else [states], strict=True)]
        return self._of_form(output), tuple(new) if tuple_like else new[0]

    def _last(self, kind: str, old: Tensor) -> Tensor:
        """States after the last step, (L * directions, B, C): the call's own where nothing was run again."""
        made = old.detach().clone()
        rows = made[:, None] if made.dim() == 2 else made
        lengths = torch.tensor(self._tensors.lengths)
        for layer, reverse in self._touched:
            value = self.values[kind, item_of(layer, reverse)]  # (B, T, C)
            ends = value[:, 0] if reverse else value[torch.arange(len(lengths)), lengths - 1]
            rows[layer * len(self._call.directions) + reverse] = ends.to(rows.dtype)
        return made

    def _of_form(self, output: Any) -> Any:
        """The new output, packed or with the axes of the old one."""
        if isinstance(output, PackedSequence):
            ordered = self._output if output.sorted_indices is None else self._output[:, output.sorted_indices]
            sizes = output.batch_sizes.tolist()
            return output._replace(data=torch.cat([ordered[step, :size] for step, size in enumerate(sizes)]))
        if output.dim() == 2:
            return self._output[:, 0]
        return self._output.transpose(0, 1) if self._call.batch_first else self._output


def _cell(mode: str, given: Mapping[str, Tensor], edits: Edits, label: str) -> tuple[Any, dict[Key, Tensor]]:
    """One call of a cell with edits."""
    tensors = {name: tensor.detach() for name, tensor in given.items()}
    dtype = working_dtype(tensors["weight_ih"].dtype)
    found = (tensors.get(name) for name in WEIGHT_NAMES)
    weights = Weights._make(None if weight is None else weight.to(dtype) for weight in found)
    inputs = torch.atleast_2d(tensors["input"].to(dtype))  # (B, I)
    states = {}
    for kind in (kind for kind in KINDS[mode] if kind in LETTERS):
        before = tensors.get(f"{LETTERS[kind]}_0")
        zeros = inputs.new_zeros(len(inputs), weights.hh.shape[1])
        states[kind] = zeros if before is None else torch.atleast_2d(before.to(dtype))

    def change(kind: str, value: Tensor) -> Tensor:
        for edit in edits.get((kind, ""), ()):
            value = edit.apply(value, STEP_DIMS, label)
        return value

    values = changed_step(mode, inputs, states, weights, change)
    new = tuple(_state(values[kind], tensors[f"{LETTERS[kind]}_n"]) for kind in states)
    return new if len(new) > 1 else new[0], {(kind, ""): value for kind, value in _gates(values)}


def _gates(values: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Without the states, which are those of the result."""
    yield from ((kind, value) for kind, value in values.items() if kind not in LETTERS)


def _state(value: Tensor, old: Tensor) -> Tensor:
    """A state (B, C) of the form and dtype that the call returned."""
    return value.to(old.dtype).reshape(old.shape)
