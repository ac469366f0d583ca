"""One call of nn.LSTM, nn.GRU or nn.RNN: its tensors by name, and how they are read.

In: the module, and arguments and result of the call. Out: what is known of the call without its values, its tensors as
they are, and a reader that gives them time first with a batch axis.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from .attention_sdpa import bound
from .recurrent_cells import (
    KINDS,
    LETTERS,
    WEIGHT_NAMES,
    RecurrentError,
    Weights,
    own_class,
    readable,
    states_of,
    working_dtype,
)

SEQUENCES: tuple[type[nn.Module], ...] = (nn.LSTM, nn.GRU, nn.RNN)
KERNELS: dict[str, Callable[..., Any]] = {
    "LSTM": torch.lstm,
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
}
"""torch's own kernel of each mode."""


@dataclass(frozen=True, slots=True)
class SequenceCall:
    """What is known of one call without its values.

    Attributes:
        mode: A key of KINDS.
        layers: Number of layers.
        bidirectional: Whether each layer has a reverse direction, too.
        batch_first: Whether the axes are (B, T, C) instead of (T, B, C), where there is a batch.
        bias: Whether there are biases.
        dropout: Probability of the masks that were drawn between the layers, 0 where there were none.
        widths: Of the hidden state and of the gates.
        steps: T, of the longest sample.
        batch: B, 1 without a batch.
    """

    mode: str
    layers: int
    bidirectional: bool
    batch_first: bool
    bias: bool
    dropout: float
    widths: tuple[int, int]
    steps: int
    batch: int

    @property
    def directions(self) -> tuple[bool, ...]:
        """Whether each reads the input from its end."""
        return (False, True) if self.bidirectional else (False,)

    @property
    def known_layers(self) -> int:
        """The layers below the first random mask."""
        return 1 if self.dropout else self.layers

    @property
    def dropout_reason(self) -> str:
        """Why nothing above the first random mask is known."""
        return (
            f"dropout of {self.dropout:g} between the {self.layers} layers drew masks, which cannot be drawn again. "
            "Call model.eval() before the forward."
        )


def item_of(layer: int, reverse: bool) -> str:
    """Layer and direction as at the end of torch's parameter names."""
    return f"l{layer}_reverse" if reverse else f"l{layer}"


def read_call(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
) -> tuple[SequenceCall, dict[str, Tensor]]:
    """One call and its tensors, as they are, so that whoever copies them knows them again. Computes nothing.

    Returns:
        The call, and by name: "input", "output", "h_n", maybe "c_n", "h_0", "c_0", the weights by torch's names, and of
        a packed call "batch_sizes" and maybe "sorted_indices" and "unsorted_indices".

    Raises:
        RecurrentError: when the module is none of these or computes something of its own, when the tensors have no
            values, or when the result is not of the form that torch gives it.
    """
    if own_class(module, SEQUENCES) is None:
        raise RecurrentError(f"got {type(module).__name__}; expected nn.LSTM, nn.GRU or nn.RNN.")
    rnn: Any = module
    bound_call = bound(("input", "hx"), args, kwargs)
    given = _sequence(bound_call.get("input"), "input")
    if not isinstance(result, tuple) or len(result) != 2:
        raise RecurrentError(f"the call returned {type(result).__name__}; expected a pair: output and last states.")
    given.update(output=_sequence(result[0], "output")["output"], **states_of(result[1], rnn.mode, "n"))
    if bound_call.get("hx") is not None:
        given.update(states_of(bound_call["hx"], rnn.mode, "0"))
    # forward put the weights of the call into this list. To read rnn.weight_hh_l0 instead would compute a parametrized
    # weight anew, and in train mode spectral norm would take another power iteration, stored in the module.
    given.update(
        (name, readable(weight, name)) for name, weight in zip(rnn._flat_weights_names, rnn._flat_weights, strict=True)
    )
    steps, batch = _size(given, "input", rnn.batch_first)
    if (other := _size(given, "output", rnn.batch_first)) != (steps, batch):
        raise RecurrentError(f"the output has {other} steps and samples, the input {(steps, batch)}.")
    masked = rnn.training and rnn.dropout > 0 and rnn.num_layers > 1
    call = SequenceCall(
        rnn.mode,
        rnn.num_layers,
        bool(rnn.bidirectional),
        bool(rnn.batch_first),
        bool(rnn.bias),
        float(rnn.dropout) if masked else 0.0,
        (rnn.proj_size or rnn.hidden_size, rnn.hidden_size),
        steps,
        batch,
    )
    return call, given


def _sequence(value: Any, what: str) -> dict[str, Tensor]:
    """The tensors of an input or an output, which may be packed."""
    if not isinstance(value, PackedSequence):
        return {what: readable(value, what)}
    parts = {what: readable(value.data, what), "batch_sizes": value.batch_sizes}
    for name in ("sorted_indices", "unsorted_indices"):
        if (indices := getattr(value, name)) is not None:
            parts[name] = indices
    return parts


def _size(given: Mapping[str, Tensor], what: str, batch_first: bool) -> tuple[int, int]:
    """Steps and samples."""
    if (sizes := given.get("batch_sizes")) is not None:
        return len(sizes), int(sizes[0])
    shape = tuple(given[what].shape)
    if len(shape) == 2:
        return shape[0], 1
    return (shape[1], shape[0]) if batch_first else (shape[0], shape[1])


class CallTensors:
    """The tensors of a call, time first and with a batch axis.

    Args:
        call: What is known of it.
        given: The tensors of :func:`read_call`, or copies of them.

    Attributes:
        inputs: (T, B, I), or packed.
        output: (T, B, directions * P), or packed.
        after: States after the last step by kind, (L * directions, B, C).
        before: States before the first step, likewise.
        dtype: In which to recover: float32, or float64 where the module computes in it.
        lengths: Steps of each sample.
        past: (T, B, 1), True after a sample's end; None where all samples are of one length.
    """

    def __init__(self, call: SequenceCall, given: Mapping[str, Tensor]) -> None:
        self._call = call
        self._given = {name: tensor.detach() for name, tensor in given.items()}
        self._kept_dtype = self._given[next(name for name in given if name.startswith("weight_ih"))].dtype
        self.dtype = working_dtype(self._kept_dtype)
        self.inputs = self._time_first("input")
        self.output = self._time_first("output")
        self.after = self._states("n")
        zeros = {kind: torch.zeros_like(state) for kind, state in self.after.items()}
        self.before = self._states("0") if "h_0" in given else zeros
        self.lengths: tuple[int, ...] = (call.steps,) * call.batch
        self.past: Tensor | None = None
        if isinstance(self.inputs, PackedSequence):
            lengths = pad_packed_sequence(self.inputs)[1]
            past = torch.arange(call.steps)[:, None, None] >= lengths[:, None]
            self.lengths, self.past = tuple(lengths.tolist()), past.to(self.inputs.data.device)

    def weights(self, item: str) -> Weights:
        """The weights of one layer and direction, in the dtype to recover in."""
        found = (self._given.get(f"{name}_{item}") for name in WEIGHT_NAMES)
        return Weights._make(None if weight is None else weight.to(self.dtype) for weight in found)

    def start(self, layer: int, reverse: bool) -> dict[str, Tensor]:
        """The states (B, C) by kind before the first step of a direction (in reverse: the last), as copies."""
        row = layer * len(self._call.directions) + reverse
        return {kind: state[row].to(self.dtype, copy=True) for kind, state in self.before.items()}

    def end(self, layer: int, reverse: bool) -> dict[str, Tensor]:
        """The states (B, C) by kind that the call returned of a direction."""
        row = layer * len(self._call.directions) + reverse
        return {kind: state[row].to(self.dtype) for kind, state in self.after.items()}

    def layer_output(self, layer: int, inputs: Tensor | PackedSequence) -> Tensor | PackedSequence:
        """The output of one layer, both directions, from torch's own kernel: on the CPU the bits of the call."""
        count = len(self._call.directions)
        states = [state[layer * count : (layer + 1) * count] for state in self.before.values()]
        if isinstance(inputs, PackedSequence) and inputs.sorted_indices is not None:
            states = [state.index_select(1, inputs.sorted_indices) for state in states]
        items = [item_of(layer, reverse) for reverse in self._call.directions]
        if isinstance(inputs, PackedSequence):
            return inputs._replace(data=self.run_kernel(items, inputs.data, states, inputs.batch_sizes)[0])
        return self.run_kernel(items, inputs, states)[0]

    def run_kernel(
        self, items: list[str], data: Tensor, states: list[Tensor], batch_sizes: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """torch's kernel with the weights of some directions of a layer, as in a module of one layer.

        Args:
            items: One, or both of a layer.
            data: (T, B, I), or the data of a packed sequence.
            states: (len(items), B, C) of each kind.
            batch_sizes: Of a packed sequence.

        Returns:
            The output (T, B, len(items) * P), or the data of it, and the last states, each of the form of ``states``.
        """
        call, kept = self._call, self._kept_dtype
        names = [f"{name}_{item}" for item in items for name in WEIGHT_NAMES]  # torch's order
        weights = [self._given[name] for name in names if name in self._given]
        feed = (data.to(kept),) if batch_sizes is None else (data.to(kept), batch_sizes)
        options = (call.bias, 1, 0.0, False, len(items) == 2, *([False] if batch_sizes is None else []))
        given = [state.to(kept) for state in states]
        with warnings.catch_warnings():
            # The call has warned already; cuDNN would besides of one layer's weights, which are no piece of their own.
            warnings.simplefilter("ignore")
            found: tuple[Tensor, ...] = KERNELS[call.mode](
                *feed, given if call.mode == "LSTM" else given[0], weights, *options
            )
        return found

    def _time_first(self, what: str) -> Tensor | PackedSequence:
        data, given = self._given[what], self._given
        if "batch_sizes" in given:
            sizes = given["batch_sizes"].cpu()  # torch wants it there
            return PackedSequence(data, sizes, given.get("sorted_indices"), given.get("unsorted_indices"))
        if data.dim() == 2:
            return data[:, None]
        return data.transpose(0, 1) if self._call.batch_first else data

    def _states(self, when: str) -> dict[str, Tensor]:
        names = {kind: f"{LETTERS[kind]}_{when}" for kind in KINDS[self._call.mode] if kind in LETTERS}
        found = {kind: self._given[name] for kind, name in names.items()}
        return {kind: state[:, None] if state.dim() == 2 else state for kind, state in found.items()}


def padded(sequence: Tensor | PackedSequence) -> Tensor:
    """(T, B, C), with zeros after a sample's end."""
    return pad_packed_sequence(sequence)[0] if isinstance(sequence, PackedSequence) else sequence
