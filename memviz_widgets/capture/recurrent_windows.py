"""Some steps of a long recurrent sequence, recovered without holding all of it.

In: the tensors of one call, without padding. Out: windows of its states and gates, and the residual of all of them.

The hidden states of the last layer are the output, so that its gates need the steps of the window alone. A cell state,
and everything of a lower layer, runs on from the states at the last multiple of BLOCK steps, which are kept. A lower
layer runs on in torch's own kernel, block by block: in a chaotic network that is another path than that of the call,
which the residual then shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .recurrent_cells import KINDS, LETTERS, Key, advance, difference
from .sequence_call import CallTensors, SequenceCall, item_of, padded

BLOCK = 1024
"""Steps between states that are kept."""

States = dict[str, Tensor]
"""Hidden and, of an LSTM, cell state, (B, C) by kind."""


@dataclass(slots=True, eq=False)
class Checkpoints:
    """What the windows of one call keep.

    Attributes:
        states: By layer and direction, the states before each block in the order in which the direction reads it;
            by the number of the block, counted from the start of the time axis.
        residuals: By layer and direction, the largest error found on the way.
    """

    states: dict[tuple[int, bool], dict[int, States]] = field(default_factory=dict)
    residuals: dict[tuple[int, bool], float] = field(default_factory=dict)


def shifted(hidden: Tensor, start: Tensor, *, reverse: bool) -> Tensor:
    """The hidden state before each step, (T, B, P), from those after it and the one before the first."""
    return torch.cat([hidden[1:], start[None]] if reverse else [start[None], hidden[:-1]])


def scanned(keep: Tensor, write: Tensor, cell: Tensor, *, reverse: bool) -> Tensor:
    """The cell state after each step, (T, B, C), from the one before the first; in the memory of ``write``."""
    steps = list(zip(keep.unbind(), write.unbind(), strict=True))
    for kept, written in reversed(steps) if reverse else steps:
        cell = written.addcmul_(kept, cell)
    return write


class Windows:
    """Windows of one call.

    Args:
        tensors: Of the call, which is not packed.
        call: What is known of it.
        kept: What earlier windows of the call kept.
    """

    def __init__(self, tensors: CallTensors, call: SequenceCall, kept: Checkpoints) -> None:
        self._tensors = tensors
        self._call = call
        self._kept = kept

    def window(self, key: Key, start: int, stop: int) -> Tensor:
        """Steps ``start .. stop - 1`` of one value, (B, stop - start, C)."""
        kind, item = key
        layer, reverse = int(item.removesuffix("_reverse")[1:]), item.endswith("_reverse")
        found = list(self._parts(kind, layer, reverse, start, stop))
        if not found:
            width = self._call.widths[kind != "hidden"]
            return torch.empty(self._call.batch, 0, width, dtype=self._tensors.dtype)
        return torch.cat(found).transpose(0, 1)

    def residual(self) -> float:
        """The largest difference between recomputed states and those that the call returned, over all of it."""
        for layer in range(self._call.known_layers):
            for reverse in self._call.directions:
                self._checkpoints(layer, reverse)
        return max(self._kept.residuals.values())

    def _parts(self, kind: str, layer: int, reverse: bool, start: int, stop: int) -> Iterator[Tensor]:
        """The window in parts (T, B, C), each within a block."""
        last = layer == self._call.layers - 1
        for first in range(start - start % BLOCK, stop, BLOCK):
            block = range(first, min(first + BLOCK, self._call.steps))
            part = range(max(first, start), min(block.stop, stop))
            inside = slice(part.start - first, part.stop - first)
            if kind == "hidden":
                hidden = self._output(layer, reverse, part) if last else self._hidden(layer, reverse, block)[inside]
                yield hidden.to(self._tensors.dtype, copy=True)
            elif last and kind != "cell":
                states = self._from_output(layer, reverse, part)
                found = self._values(layer, reverse, part, states, self._output(layer, reverse, part))
                yield found[kind].clone()  # without the other gates, which are of the same tensor
            else:
                states = self._checkpoints(layer, reverse)[first // BLOCK]
                found = self._values(layer, reverse, block, states, self._hidden(layer, reverse, block))
                yield found[kind][inside].clone()  # the rest of the block goes

    def _hidden(self, layer: int, reverse: bool, block: range) -> Tensor:
        """Hidden states of one direction in a block, (T, B, P)."""
        if layer == self._call.layers - 1:
            return self._output(layer, reverse, block)
        return self._run(layer, reverse, block, self._checkpoints(layer, reverse)[block.start // BLOCK])[0]

    def _output(self, layer: int, reverse: bool, part: range) -> Tensor:
        """Hidden states of the last layer, which the call returned."""
        output = padded(self._tensors.output)[part.start : part.stop].to(self._tensors.dtype)
        return output.chunk(len(self._call.directions), -1)[reverse]

    def _inputs(self, layer: int, part: range) -> Tensor:
        """What a layer was given in some steps of one block, (T, B, I)."""
        if layer == 0:
            return padded(self._tensors.inputs)[part.start : part.stop].to(self._tensors.dtype)
        first = part.start - part.start % BLOCK
        block = range(first, min(first + BLOCK, self._call.steps))
        below = torch.cat([self._hidden(layer - 1, reverse, block) for reverse in self._call.directions], -1)
        return below[part.start - first : part.stop - first]

    def _from_output(self, layer: int, reverse: bool, part: range) -> States:
        """The hidden state of the last layer before some steps, without the cell state, which its gates do not see."""
        before = part.stop if reverse else part.start - 1
        if 0 <= before < self._call.steps:
            return {"hidden": self._output(layer, reverse, range(before, before + 1))[0]}
        return {"hidden": self._tensors.start(layer, reverse)["hidden"]}

    def _values(self, layer: int, reverse: bool, part: range, states: States, hidden: Tensor) -> dict[str, Tensor]:
        """States and gates of some steps, each (T, B, C); without a cell state in ``states`` the new ones are wrong."""

        def scan(keep: Tensor, write: Tensor) -> Tensor:
            return scanned(keep, write, states["cell"], reverse=reverse) if "cell" in states else write

        previous = shifted(hidden, states["hidden"], reverse=reverse)
        weights = self._tensors.weights(item_of(layer, reverse))
        return advance(self._call.mode, self._inputs(layer, part), previous, weights, scan)

    def _run(self, layer: int, reverse: bool, block: range, states: States) -> tuple[Tensor, States]:
        """A block of a lower layer in torch's kernel: hidden states (T, B, P), and the states after it."""
        inputs = self._inputs(layer, block)
        inputs = inputs.flip(0) if reverse else inputs
        given = [state[None] for state in states.values()]
        output, *after = self._tensors.run_kernel([item_of(layer, reverse)], inputs, given)
        output, found = output.to(self._tensors.dtype), {}
        for kind, state in zip(states, after, strict=True):
            found[kind] = state[0].to(self._tensors.dtype)
        return output.flip(0) if reverse else output, found

    def _checkpoints(self, layer: int, reverse: bool) -> dict[int, States]:
        """The states before each block; made at the first call, which passes over the whole sequence."""
        place = (layer, reverse)
        if place in self._kept.states:
            return self._kept.states[place]
        last, residual = layer == self._call.layers - 1, 0.0
        states, made = self._tensors.start(layer, reverse), {}
        blocks = range(0, self._call.steps, BLOCK)
        for first in reversed(blocks) if reverse else blocks:
            block = range(first, min(first + BLOCK, self._call.steps))
            made[first // BLOCK] = states
            hidden, after = (
                (self._output(layer, reverse, block), {}) if last else self._run(layer, reverse, block, states)
            )
            found = self._values(layer, reverse, block, states, hidden)
            residual = max(residual, difference(found["hidden"], hidden))
            end = 0 if reverse else -1
            found["hidden"] = hidden
            states = after or {kind: found[kind][end].clone() for kind in KINDS[self._call.mode] if kind in LETTERS}
        ends = self._tensors.end(layer, reverse)
        self._kept.residuals[place] = max(residual, *(difference(states[kind], ends[kind]) for kind in ends))
        self._kept.states[place] = made
        return made
