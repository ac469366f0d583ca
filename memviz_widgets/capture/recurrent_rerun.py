"""One sample of one recurrent layer, to be run again where gradients can follow it.

In: the recovered values of a layer's calls, which hold its inputs, first states and weights. Out: the inputs of the
layer in the order in which it read them, and a function from such inputs to hidden states.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .cell_call import CellRecovery
from .memory import RecoveredValue
from .recurrent import SequenceRecovery
from .recurrent_cells import KINDS, LETTERS, WEIGHT_NAMES, RecurrentError, Weights, undisturbed, working_dtype
from .sequence_call import KERNELS, CallTensors, padded

SAME_STATE = 1e-5
"""Two states are the same if no number of them is further apart: a call goes on where the one before ended."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerRun:
    """What one sample of a layer and direction was given, and how it ran.

    Attributes:
        inputs: (T, I), of the layer itself, in the order in which it read them; without steps after the sample's end.
        source: (T, I0), of the module: the same in its first layer.
        mode: Key of KINDS.
        weights: Of the layer and direction.
        start: The states (1, 1, C) before its first step: hidden, of an LSTM also cell.
    """

    inputs: Tensor
    source: Tensor
    mode: str
    weights: Weights
    start: tuple[Tensor, ...]

    def hidden(self, inputs: Tensor) -> Tensor:
        """Hidden states (T, P) of inputs (T, I); autograd follows them."""
        feed = [weight for weight in self.weights if weight is not None]
        states = list(self.start) if self.mode == "LSTM" else self.start[0]
        has_bias = self.weights.bias_ih is not None
        # cuDNN's kernels give gradients in train mode only, and what was recorded ran without dropout here.
        with torch.backends.cudnn.flags(enabled=False):
            found: Tensor = KERNELS[self.mode](inputs[:, None], states, feed, has_bias, 1, 0.0, False, False, False)[0]
        return found[:, 0]


def layer_run(values: Sequence[RecoveredValue], sample: int) -> LayerRun:
    """A layer as it ran for one sample.

    Args:
        values: Any recovered value of the layer, one per call, in order.
        sample: Position in the batch.

    Raises:
        RecurrentError: when it is no recurrent layer of torch, or its calls do not go on from each other.
    """
    with undisturbed(values[0].device):
        runs = [_run_of(value, sample) for value in values]
        for (_, end), (run, _) in itertools.pairwise(runs):
            if not all(torch.allclose(one, other, atol=SAME_STATE) for one, other in zip(end, run.start, strict=True)):
                raise RecurrentError("its calls do not go on from each other: some begin with other states")
        first = runs[0][0]
        if len(runs) == 1:
            return first
        inputs, sources = ([getattr(run, name) for run, _ in runs] for name in ("inputs", "source"))
        return replace(first, inputs=torch.cat(inputs), source=torch.cat(sources))


def _run_of(value: RecoveredValue, sample: int) -> tuple[LayerRun, tuple[Tensor, ...]]:
    """One call, and the states (1, 1, C) that it ended with."""
    given = {name: _ordinary(tensor) for name, tensor in value.given.items()}
    if isinstance(value.recovery, SequenceRecovery):
        return _of_sequence(value.recovery, value.key[1], given, sample)
    if isinstance(value.recovery, CellRecovery):
        return _of_cell(value.recovery.mode, given, sample)
    raise RecurrentError("it is no nn.LSTM, nn.GRU, nn.RNN or cell of theirs")


def _of_sequence(
    recovery: SequenceRecovery, item: str, given: Mapping[str, Tensor], sample: int
) -> tuple[LayerRun, tuple[Tensor, ...]]:
    call, tensors = recovery.call, CallTensors(recovery.call, given)
    layer, reverse = int(item.removesuffix("_reverse").removeprefix("l")), item.endswith("_reverse")
    inputs = tensors.inputs
    for below in range(layer):
        inputs = tensors.layer_output(below, inputs)
    length = tensors.lengths[sample]
    own, source = (padded(each)[:length, sample] for each in (inputs, tensors.inputs))  # (T, I)
    if reverse:
        own, source = own.flip(0), source.flip(0)
    before, after = tensors.start(layer, reverse), tensors.end(layer, reverse)
    start, end = (tuple(state[sample][None, None] for state in states.values()) for states in (before, after))
    return LayerRun(own, source, call.mode, tensors.weights(item), start), end


def _of_cell(mode: str, given: Mapping[str, Tensor], sample: int) -> tuple[LayerRun, tuple[Tensor, ...]]:
    inputs = torch.atleast_2d(given["input"])[sample : sample + 1]  # (1, I)
    letters = [LETTERS[kind] for kind in KINDS[mode] if kind in LETTERS]
    end = tuple(torch.atleast_2d(given[f"{letter}_n"])[sample][None, None] for letter in letters)
    start = tuple(
        torch.atleast_2d(given[f"{letter}_0"])[sample][None, None] if f"{letter}_0" in given else torch.zeros_like(last)
        for letter, last in zip(letters, end, strict=True)
    )
    weights = Weights._make(given.get(name) for name in WEIGHT_NAMES)
    return LayerRun(inputs, inputs, mode, weights, start), end


def _ordinary(tensor: Tensor) -> Tensor:
    """A tensor that autograd can save, in the dtype to compute in: one of inference mode is copied."""
    tensor = tensor.detach()
    if tensor.is_floating_point():
        tensor = tensor.to(working_dtype(tensor.dtype))
    with torch.inference_mode(False):
        return tensor.clone() if tensor.is_inference() else tensor
