"""Every state and gate of nn.LSTM, nn.GRU and nn.RNN, which return only the last layer's and the last step's.

In: the module, and arguments and result of one call of it. Out: hidden and cell states and gates of all layers,
directions and steps, with the residual. The hidden states of the last layer are the output; those of a lower layer come
from torch's own kernel with that layer's weights. With them no recurrence is left but that of an LSTM's cell state,
which is elementwise: so errors do not grow with time, also in a chaotic network.

Time: two products of (T B) rows per layer, and for an LSTM T elementwise steps of some microseconds; linear in T.
Memory while computing: one layer's gates twice; what is returned: (G + states) T B values of each layer.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from .attention_sdpa import bound
from .recurrent_cells import (
    KINDS,
    WEIGHT_NAMES,
    Key,
    Recovered,
    RecurrentError,
    Series,
    Weights,
    advance,
    cell_series,
    difference,
    own_class,
    plain,
    recover_cell,
    rounding_note,
    undisturbed,
    working_dtype,
)

__all__ = [
    "Key",
    "Recovered",
    "RecurrentError",
    "Series",
    "cell_series",
    "keep_and_write",
    "recover",
    "recover_cell",
    "recurrent_series",
]

SEQUENCES: tuple[type[nn.Module], ...] = (nn.LSTM, nn.GRU, nn.RNN)
_KERNELS: dict[str, Callable[..., Any]] = {
    "LSTM": torch.lstm,
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
}


def recurrent_series(module: nn.Module) -> list[Series]:
    """What an nn.LSTM, nn.GRU or nn.RNN has, without computing; [] for any other module. Layer by layer.

    Raises:
        RecurrentError: when it is one, but computes something of its own.
    """
    if own_class(module, SEQUENCES) is None:
        return []
    rnn: Any = module
    return [
        Series(kind, _item(layer, reverse), layer, reverse)
        for layer in range(rnn.num_layers)
        for reverse in _directions(rnn)
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
    if own_class(module, SEQUENCES) is None:
        raise RecurrentError(f"got {type(module).__name__}; expected nn.LSTM, nn.GRU or nn.RNN.")
    rnn: Any = module
    call = bound(("input", "hx"), args, kwargs)
    given = call.get("input")
    device = plain(given.data if isinstance(given, PackedSequence) else given, "input").device
    with undisturbed(device):
        return _Work(rnn, given, call.get("hx"), result).recovered()


def keep_and_write(kind: str, values: Mapping[Key, Tensor], item: str = "") -> tuple[Tensor, Tensor]:
    """What each step keeps of a memory and what it writes: ``content_t = keep_t * content_{t-1} + write_t``.

    For the cell state of an LSTM, keep is f and write is i * g. For the hidden state of a GRU, keep is z and write is
    (1 - z) * n. In the reverse direction t-1 is the step of the next input.

    Args:
        kind: The memory: "cell" or "hidden".
        values: Of :class:`Recovered`; the item's gates are enough.
        item: Layer and direction, "" for a cell.

    Returns:
        keep, in [0, 1], and write, in [-1, 1]: each of the shape of the gates. Holds to rounding for a cell state, to
        the residual for the hidden state of a GRU.

    Raises:
        RecurrentError: when no gate says what the memory keeps.
    """
    if kind == "cell" and ("gate.f", item) in values:
        return values["gate.f", item], values["gate.i", item] * values["gate.g", item]
    if kind == "hidden" and ("gate.z", item) in values:
        keep, new = values["gate.z", item], values["gate.n", item]
        return keep, (1 - keep) * new
    raise RecurrentError(
        f"no gate says what {kind!r} of {item!r} keeps; expected the cell of an LSTM or the hidden state of a GRU. "
        "For other states, ask gradients."
    )


class _Work:
    """The recovery of one call, layer by layer. Sequences are (T, B, C), states (L * directions, B, C) by kind."""

    def __init__(self, rnn: Any, inputs: Any, hx: Any, result: Any) -> None:
        if not isinstance(result, tuple) or len(result) != 2:
            raise RecurrentError(f"the call returned {type(result).__name__}; expected a pair: output and last states.")
        self._rnn = rnn
        self._weights = _weights(rnn)
        self._kept_dtype = next(iter(self._weights.values())).dtype
        self._dtype = working_dtype(self._kept_dtype)
        self._inputs = _sequence(inputs, rnn.batch_first, "input")
        self._output = _sequence(result[0], rnn.batch_first, "output")
        self._after = _states(result[1], rnn.mode, "result")
        zeros = {kind: torch.zeros_like(state) for kind, state in self._after.items()}
        self._before = zeros if hx is None else _states(hx, rnn.mode, "hx")
        self._shape = _padded(self._inputs).shape[:2]  # (T, B)
        self._lengths: Tensor | None = None  # (B,) on the CPU, as torch makes it
        self._past: Tensor | None = None  # (T, B, 1), True after a sample's end
        if isinstance(self._inputs, PackedSequence):
            self._lengths = pad_packed_sequence(self._inputs)[1]
            past = torch.arange(self._shape[0])[:, None, None] >= self._lengths[:, None]
            self._past = past.to(self._inputs.data.device)
        self._found = Recovered({}, {}, (), 0.0, "")
        if (shape := _padded(self._output).shape[:2]) != self._shape:
            raise RecurrentError(f"the output has {tuple(shape)} steps and samples, the input {tuple(self._shape)}.")

    def recovered(self) -> Recovered:
        """All that is certain of the call."""
        rnn, inputs, residual = self._rnn, self._inputs, 0.0
        masked = rnn.training and rnn.dropout > 0 and rnn.num_layers > 1
        for layer in range(1 if masked else rnn.num_layers):
            output = self._output if layer == rnn.num_layers - 1 else self._kernel(layer, inputs)
            residual = max(residual, self._layer(layer, _padded(inputs), _padded(output)))
            inputs = output
        steps, batch = self._shape
        lengths = (steps,) * batch if self._lengths is None else tuple(self._lengths.tolist())
        notes = (rounding_note(self._after["hidden"].dtype), _dropout_note(rnn) if masked else "")
        return replace(self._found, lengths=lengths, residual=residual, note=" ".join(filter(None, notes)))

    def _kernel(self, layer: int, inputs: Tensor | PackedSequence) -> Tensor | PackedSequence:
        """The output of one layer, from torch's own kernel: on the CPU the bits of the call."""
        rnn, count = self._rnn, len(_directions(self._rnn))
        packed = inputs if isinstance(inputs, PackedSequence) else None
        data = (inputs if packed is None else packed.data).to(self._kept_dtype)
        states = [state[layer * count : (layer + 1) * count].to(self._kept_dtype) for state in self._before.values()]
        if packed is not None and packed.sorted_indices is not None:
            states = [state.index_select(1, packed.sorted_indices) for state in states]
        endings = [_item(layer, reverse) for reverse in _directions(rnn)]
        weights = [self._weights[name] for end in endings for name in self._weights if name.endswith(f"_{end}")]
        feed = (data,) if packed is None else (data, packed.batch_sizes)
        options = (rnn.bias, 1, 0.0, False, bool(rnn.bidirectional), *([False] if packed is None else []))
        with warnings.catch_warnings():
            # The call has warned already; cuDNN would besides of one layer's weights, which are no piece of their own.
            warnings.simplefilter("ignore")
            output = _KERNELS[rnn.mode](*feed, states if rnn.mode == "LSTM" else states[0], weights, *options)[0]
        return output if packed is None else packed._replace(data=output)

    def _layer(self, layer: int, inputs: Tensor, output: Tensor) -> float:
        """Recover a layer from its inputs (T, B, I) and its output (T, B, directions * P); the residual."""
        directions, residuals = _directions(self._rnn), []
        for reverse, given in zip(directions, output.chunk(len(directions), -1), strict=True):
            item, row = _item(layer, reverse), layer * len(directions) + reverse
            before = {kind: state[row].to(self._dtype, copy=True) for kind, state in self._before.items()}
            hidden = given.to(self._dtype, copy=True)  # what the model does to its output later must not show
            found, hidden = self._side(item, reverse, inputs.to(self._dtype), hidden, before)
            residuals.append(difference(found["hidden"], hidden))
            found["hidden"] = hidden
            for kind, state in self._after.items():
                residuals.append(difference(self._last(found[kind], reverse), state[row].to(self._dtype)))
            self._found.initial.update(((kind, item), state) for kind, state in before.items())
            self._found.values.update(((kind, item), value.transpose(0, 1)) for kind, value in found.items())
        return max(residuals)

    def _side(
        self, item: str, reverse: bool, inputs: Tensor, hidden: Tensor, before: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """States and gates of one direction, and the hidden states that they were made from; NaN after the end."""
        past, start = self._past, before["hidden"]
        if past is not None:  # the reverse direction starts at a sample's own end, from the initial state
            hidden = torch.where(past, start, hidden)
        previous = torch.cat([hidden[1:], start[None]] if reverse else [start[None], hidden[:-1]])  # (T, B, P)

        def scan(keep: Tensor, write: Tensor) -> Tensor:
            return _content(keep, write, before["cell"], past, reverse=reverse)

        weights = Weights._make(self._weight(f"{name}_{item}") for name in WEIGHT_NAMES)
        found = advance(self._rnn.mode, inputs, previous, weights, scan)
        if past is not None:
            found = {kind: value.masked_fill_(past, math.nan) for kind, value in found.items()}
            hidden = hidden.masked_fill(past, math.nan)
        return found, hidden

    def _weight(self, name: str) -> Tensor | None:
        weight = self._weights.get(name)
        return None if weight is None else weight.to(self._dtype)

    def _last(self, values: Tensor, reverse: bool) -> Tensor:
        """What a state (T, B, C) is after the last step of a direction: (B, C)."""
        if reverse or self._lengths is None:
            return values[0 if reverse else -1]
        return values[self._lengths - 1, torch.arange(len(self._lengths))]


def _content(keep: Tensor, write: Tensor, cell: Tensor, past: Tensor | None, *, reverse: bool) -> Tensor:
    """The cell state after each step, (T, B, C), from the one before the first; in the memory of ``write``."""
    if past is not None:  # nothing happens there
        keep.masked_fill_(past, 1.0)
        write.masked_fill_(past, 0.0)
    steps = list(zip(keep.unbind(), write.unbind(), strict=True))
    for kept, written in reversed(steps) if reverse else steps:
        cell = written.addcmul_(kept, cell)
    return write


def _weights(rnn: Any) -> dict[str, Tensor]:
    """The weights that the last call used, in torch's order.

    forward puts them into this list. To read ``rnn.weight_hh_l0`` instead would compute a parametrized weight anew, and
    in train mode spectral norm would take another power iteration, whose result is stored in the module.
    """
    return {name: plain(w, name) for name, w in zip(rnn._flat_weights_names, rnn._flat_weights, strict=True)}


def _sequence(value: Any, batch_first: bool, what: str) -> Tensor | PackedSequence:
    """An input or output, time first and with a batch axis: (T, B, C), or packed."""
    if isinstance(value, PackedSequence):
        return value._replace(data=plain(value.data, what))
    tensor = plain(value, what)
    if tensor.dim() == 2:
        return tensor[:, None]
    return tensor.transpose(0, 1) if batch_first else tensor


def _padded(sequence: Tensor | PackedSequence) -> Tensor:
    """(T, B, C), with zeros after a sample's end."""
    return pad_packed_sequence(sequence)[0] if isinstance(sequence, PackedSequence) else sequence


def _states(states: Any, mode: str, what: str) -> dict[str, Tensor]:
    """Hidden and, of an LSTM, cell states: (L * directions, B, C)."""
    found = (plain(state, what) for state in (states if mode == "LSTM" else (states,)))
    return dict(zip(KINDS[mode], (state[:, None] if state.dim() == 2 else state for state in found), strict=False))


def _directions(rnn: Any) -> tuple[bool, ...]:
    return (False, True) if rnn.bidirectional else (False,)


def _item(layer: int, reverse: bool) -> str:
    return f"l{layer}_reverse" if reverse else f"l{layer}"


def _dropout_note(rnn: Any) -> str:
    return (
        f"Only layer 0 is recovered: dropout of {rnn.dropout:g} between the {rnn.num_layers} layers drew masks, which "
        "cannot be drawn again. Call model.eval() before the forward."
    )
