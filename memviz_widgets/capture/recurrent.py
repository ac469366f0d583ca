"""Every state and gate of nn.LSTM, nn.GRU and nn.RNN, which return only the last layer's and the last step's.

In: the module, and arguments and result of one call of it. Out: hidden and cell states and gates of all layers,
directions and steps, with the residual. The hidden states of the last layer are the output; those of a lower layer come
from torch's own kernel with that layer's weights. With them no recurrence is left but that of an LSTM's cell state,
which is elementwise: so errors do not grow with time, also in a chaotic network.

Time: two products of (T B) rows per layer, and for an LSTM T elementwise steps of some microseconds; linear in T.
Memory: (G + states) T B values of each layer, which are returned, and the outputs of the lower layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .cell_call import cell_series, recover_cell
from .recurrent_cells import (
    KINDS,
    Key,
    Recovered,
    RecurrentError,
    Series,
    advance,
    difference,
    own_class,
    rounding_note,
    undisturbed,
)
from .recurrent_windows import Checkpoints, Windows, scanned, shifted
from .sequence_call import SEQUENCES, CallTensors, SequenceCall, item_of, padded, read_call

__all__ = [
    "Key",
    "Recovered",
    "RecurrentError",
    "SequenceRecovery",
    "Series",
    "cell_series",
    "recover",
    "recover_cell",
    "recurrent_series",
]

ROWS_AT_ONCE = 1024
"""Steps of samples, whose gates are computed together."""


def recurrent_series(module: nn.Module) -> list[Series]:
    """What an nn.LSTM, nn.GRU or nn.RNN has, without computing; [] for any other module. Layer by layer.

    Raises:
        RecurrentError: when it is one, but computes something of its own.
    """
    if own_class(module, SEQUENCES) is None:
        return []
    rnn: Any = module
    return [
        Series(kind, item_of(layer, reverse), layer, reverse)
        for layer in range(rnn.num_layers)
        for reverse in ((False, True) if rnn.bidirectional else (False,))
        for kind in KINDS[rnn.mode]
    ]


def recover(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> Recovered:
    """Every state and gate of one call: (B, T, C) each; see :class:`Recovered`.

    Neither calls nor changes the module, its inputs or the random generators. The weights are those of the module's
    last call, so recover before the next one, and with the flags (training, dropout) of the call. A call under autocast
    is recovered without it, so its residual is that of a half precision.

    Args:
        module: nn.LSTM, nn.GRU or nn.RNN.
        args: Positional arguments of the call: input (T, B, I), (B, T, I) with batch_first, (T, I) or packed; maybe hx.
        kwargs: Its keyword arguments.
        result: What the call returned: (output, h_n), of an LSTM (output, (h_n, c_n)).

    Returns:
        All of :func:`recurrent_series`; of a call with dropout between its layers, the first layer and a note.

    Raises:
        RecurrentError: when the module is none of these or computes something of its own, when the tensors have no
            values, or when the result is not of the form that torch gives it.
    """
    call, given = read_call(module, args, kwargs, result)
    return SequenceRecovery(call).compute(given)


@dataclass(frozen=True, slots=True, eq=False)
class SequenceRecovery:
    """Computes the states and gates of one call. A :class:`~memviz_widgets.capture.memory.Recovery`.

    Attributes:
        call: What is known of the call without its values.
        kept: The states at some steps, made by the first window of a long sequence: a thousandth of the values.
    """

    call: SequenceCall
    kept: Checkpoints = field(default_factory=Checkpoints)

    def compute(self, given: Mapping[str, Tensor]) -> Recovered:
        """All states and gates, (B, T, C) each, from the tensors of :func:`read_call` or copies of them."""
        with undisturbed(given["input"].device):
            return _Work(self.call, given).recovered()

    def window(self, given: Mapping[str, Tensor], key: Key, start: int, stop: int) -> Tensor:
        """Steps ``start .. stop - 1`` of one of them, (B, stop - start, C), in memory of some thousand steps.

        The first window of a cell state or of a lower layer takes about as long as ``compute``. Of a packed call all is
        computed each time.
        """
        if "batch_sizes" in given:
            return self.compute(given).values[key][:, start:stop]
        with undisturbed(given["input"].device):
            return Windows(CallTensors(self.call, given), self.call, self.kept).window(key, start, stop)

    def residual(self, given: Mapping[str, Tensor]) -> float:
        """The residual that ``compute`` gives, in memory of some thousand steps."""
        if "batch_sizes" in given:
            return self.compute(given).residual
        with undisturbed(given["input"].device):
            return Windows(CallTensors(self.call, given), self.call, self.kept).residual()


class _Work:
    """The recovery of one call, layer by layer. Sequences are (T, B, C), states (B, C) by kind."""

    def __init__(self, call: SequenceCall, given: Mapping[str, Tensor]) -> None:
        self._call = call
        self._tensors = CallTensors(call, given)
        self._found = Recovered({}, {}, (), 0.0, "")

    def recovered(self) -> Recovered:
        """All that is certain of the call."""
        call, tensors, residual = self._call, self._tensors, 0.0
        inputs = tensors.inputs
        for layer in range(call.known_layers):
            output = tensors.output if layer == call.layers - 1 else tensors.layer_output(layer, inputs)
            residual = max(residual, self._layer(layer, padded(inputs), padded(output)))
            inputs = output
        masked = f"Only layer 0 is recovered: {call.dropout_reason}" if call.dropout else ""
        note = " ".join(filter(None, (rounding_note(tensors.after["hidden"].dtype), masked)))
        return replace(self._found, lengths=tensors.lengths, residual=residual, note=note)

    def _layer(self, layer: int, inputs: Tensor, output: Tensor) -> float:
        """Recover a layer from its inputs (T, B, I) and its output (T, B, directions * P); the residual."""
        tensors, residuals = self._tensors, []
        for reverse, hidden in zip(self._call.directions, output.chunk(len(self._call.directions), -1), strict=True):
            item, before = item_of(layer, reverse), tensors.start(layer, reverse)
            values, residual = self._side(item, reverse, inputs, hidden, before)
            residuals.append(residual)
            for kind, state in tensors.end(layer, reverse).items():
                residuals.append(difference(self._last(values[kind], reverse), state))
            self._found.initial.update(((kind, item), state) for kind, state in before.items())
            self._found.values.update(((kind, item), value) for kind, value in values.items())
        return max(residuals)

    def _side(
        self, item: str, reverse: bool, inputs: Tensor, hidden: Tensor, before: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], float]:
        """States and gates of one direction, (B, T, C) each, NaN after a sample's end; and the residual.

        Some steps at a time: what is computed in between then stays in the processor's caches.
        """
        call, tensors, values, residual = self._call, self._tensors, self._empty(inputs.device), 0.0
        weights, states = tensors.weights(item), dict(before)
        at_once = max(1, ROWS_AT_ONCE // max(1, call.batch))
        blocks = range(0, call.steps, at_once)
        for first in reversed(blocks) if reverse else blocks:
            block = slice(first, first + at_once)
            past = None if tensors.past is None else tensors.past[block]
            seen = hidden[block].to(tensors.dtype)
            if past is not None:  # the reverse direction starts at a sample's own end, from the initial state
                seen = torch.where(past, before["hidden"], seen)
            previous = shifted(seen, states["hidden"], reverse=reverse)
            scan = partial(_scanned, cell=states.get("cell", seen), past=past, reverse=reverse)
            found = advance(call.mode, inputs[block].to(tensors.dtype), previous, weights, scan)
            end = 0 if reverse else -1
            states = {kind: (seen if kind == "hidden" else found[kind])[end].clone() for kind in states}
            if past is not None:
                seen = seen.masked_fill(past, math.nan)
                found = {kind: value.masked_fill_(past, math.nan) for kind, value in found.items()}
            residual = max(residual, difference(found["hidden"], seen))
            found["hidden"] = seen
            for kind, value in found.items():
                values[kind][:, block].copy_(value.transpose(0, 1))
        return values, residual

    def _empty(self, device: torch.device) -> dict[str, Tensor]:
        """Room for the values of one direction, (B, T, C) each."""
        call = self._call
        return {
            kind: torch.empty(
                call.batch, call.steps, call.widths[kind != "hidden"], dtype=self._tensors.dtype, device=device
            )
            for kind in KINDS[call.mode]
        }

    def _last(self, values: Tensor, reverse: bool) -> Tensor:
        """What a state (B, T, C) is after the last step of a direction: (B, C)."""
        if reverse or self._tensors.past is None:
            return values[:, 0 if reverse else -1]
        lengths = torch.tensor(self._tensors.lengths)
        return values[torch.arange(len(lengths)), lengths - 1]


def _scanned(keep: Tensor, write: Tensor, cell: Tensor, past: Tensor | None, *, reverse: bool) -> Tensor:
    """The cell state after each step, (T, B, C); nothing happens after a sample's end."""
    if past is not None:
        keep.masked_fill_(past, 1.0)
        write.masked_fill_(past, 0.0)
    return scanned(keep, write, cell, reverse=reverse)
