"""One step of an LSTM, GRU or RNN: its formulas, and what is recovered of a call of a cell or of a whole sequence.

In: inputs, earlier states and weights. Out: gates and states; the form of what is recovered, and checks.
Formulas: those in torch's documentation of nn.LSTM, nn.GRU and nn.RNN (and of the cells, which are the same).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .tensors import NO_VALUES, dense_tensor, plain_mode, tensor_kind

Key = tuple[str, str]
"""(kind, item): ("gate.f", "l1_reverse"). The item is "" for a cell."""
Scan = Callable[[Tensor, Tensor], Tensor]
"""(keep, write) of every step -> content of every step, where content_t = keep_t * content_{t-1} + write_t.

It may write to both."""

KINDS = {
    "LSTM": ("hidden", "cell", "gate.i", "gate.f", "gate.g", "gate.o"),
    "GRU": ("hidden", "gate.r", "gate.z", "gate.n"),
    "RNN_TANH": ("hidden",),
    "RNN_RELU": ("hidden",),
}
"""What a module of each mode has. The modes are torch's names, as in ``nn.LSTM(...).mode``."""
WEIGHT_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
LETTERS = {"hidden": "h", "cell": "c"}
"""What torch's documentation calls the states: ``h_0`` and ``c_0`` before a call, ``h_n`` and ``c_n`` after it."""


class RecurrentError(Exception):
    """States that cannot be recovered; the text says why. Never leaves this package."""


class Series(NamedTuple):
    """Something that a recurrent module has at each step.

    Attributes:
        kind: "hidden", "cell" or "gate." and the letter that torch's documentation gives the gate.
        item: Layer and direction as at the end of torch's parameter names: "l0", "l1_reverse"; "" for a cell.
        layer: Number from 0.
        reverse: Whether this direction reads the input from its end.
    """

    kind: str
    item: str
    layer: int
    reverse: bool


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """States and gates of one call, in float64 where the module computes in it, else in float32.

    Attributes:
        values: By kind and item, (B, T, C) of a sequence, (B, C) of a cell. C is the width: proj_size for the hidden
            state of a projected LSTM, else hidden_size. Step t belongs to input t, also in the reverse direction. Steps
            after a sample's end are NaN. Gates of one item may be views of one tensor: copy what outlives the others.
        initial: By kind and item, (B, C): the states before the first step (in the reverse direction, the last).
        lengths: Steps of each sample; () for a cell.
        residual: Largest absolute difference between recomputed states and those that the call returned, >= 0. inf
            where only one of the two is a number. More than 1e-4 in float32: not to be trusted.
        note: Sentences on what is missing or why the residual is large; "" if there is nothing to say.
    """

    values: dict[Key, Tensor]
    initial: dict[Key, Tensor]
    lengths: tuple[int, ...]
    residual: float
    note: str


class Weights(NamedTuple):
    """Weights of one layer and direction, or of a cell.

    Attributes:
        ih: (G, I), where G is 4, 3 or 1 times hidden_size: for LSTM, GRU, RNN.
        hh: (G, P), where P is the width of the hidden state.
        bias_ih: (G,) or None.
        bias_hh: (G,) or None.
        hr: (P, hidden_size) of a projected LSTM, or None.
    """

    ih: Tensor
    hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    hr: Tensor | None


def advance(mode: str, inputs: Tensor, previous: Tensor, weights: Weights, scan: Scan) -> dict[str, Tensor]:
    """Gates and states of any number of steps, from the hidden state before each.

    Args:
        mode: A key of KINDS.
        inputs: (..., I), such as (T, B, I) of a sequence and (B, I) of a cell.
        previous: (..., P), the hidden state before each.
        weights: Of the dtype of the inputs.
        scan: Makes the cell state of an LSTM from its keep and write, both (..., C).

    Returns:
        The kinds of KINDS[mode], each (..., C), the hidden state recomputed from the others.
    """
    if mode == "LSTM":
        return _lstm(inputs, previous, weights, scan)
    if mode == "GRU":
        return _gru(inputs, previous, weights)
    hidden = _sums(inputs, previous, weights)
    return {"hidden": hidden.relu_() if mode == "RNN_RELU" else hidden.tanh_()}


def _sums(inputs: Tensor, previous: Tensor, weights: Weights) -> Tensor:
    """x W_ih^T + b_ih + h W_hh^T + b_hh, without a second tensor of that size."""
    rows = linear(inputs.flatten(0, -2), weights.ih, weights.bias_ih).addmm_(previous.flatten(0, -2), weights.hh.T)
    sums: Tensor = rows.unflatten(0, inputs.shape[:-1])  # (..., G)
    return sums if weights.bias_hh is None else sums.add_(weights.bias_hh)


def _lstm(inputs: Tensor, previous: Tensor, weights: Weights, scan: Scan) -> dict[str, Tensor]:
    i, f, g, o = _sums(inputs, previous, weights).chunk(4, -1)  # each (..., C)
    for gate in (i, f, o):
        gate.sigmoid_()
    g.tanh_()
    cell = scan(f, i * g)
    hidden = cell.tanh().mul_(o)
    hidden = hidden if weights.hr is None else linear(hidden, weights.hr)  # (..., P)
    return {"hidden": hidden, "cell": cell, "gate.i": i, "gate.f": f, "gate.g": g, "gate.o": o}


def _gru(inputs: Tensor, previous: Tensor, weights: Weights) -> dict[str, Tensor]:
    # The bias of n's hidden part stands inside r * (...), so the two parts of n are added later than those of r and z.
    gates = linear(inputs, weights.ih, weights.bias_ih)  # (R, 3C)
    recurrent = linear(previous, weights.hh, weights.bias_hh)
    (r, z, n), (r_part, z_part, n_part) = gates.chunk(3, -1), recurrent.chunk(3, -1)
    r.add_(r_part).sigmoid_()
    z.add_(z_part).sigmoid_()
    n.add_(n_part.mul_(r)).tanh_()
    return {"hidden": torch.lerp(n, previous, z), "gate.r": r, "gate.z": z, "gate.n": n}


# -- what cells and whole sequences share


def own_class(module: nn.Module, classes: tuple[type[nn.Module], ...]) -> type[nn.Module] | None:
    """The class of torch whose forward this module runs (a parametrized module has a subclass of it), or None.

    Raises:
        RecurrentError: when it inherits from one but has a forward of its own.
    """
    base = next((each for each in classes if isinstance(module, each)), None)
    own = vars(module).get("forward")  # one that gives a recorded result of torch's forward is as good as that
    replaced = own is not None and not getattr(own, "gives_recorded", False)
    if base is not None and (type(module).forward is not base.forward or replaced):
        raise RecurrentError(
            f"{type(module).__name__} has a forward of its own, so what it computes is not known; "
            f"expected that of nn.{base.__name__}."
        )
    return base


def readable(value: Any, what: str) -> Tensor:
    """A tensor with the values of this one: itself if it is a plain one, so that whoever copies it knows it again.

    Raises:
        RecurrentError: when it is no tensor, or has no values.
    """
    if not isinstance(value, Tensor):
        raise RecurrentError(f"{what} is of type {type(value).__name__}; expected a tensor.")
    kind = tensor_kind(value)
    if kind in NO_VALUES:
        raise RecurrentError(f"{what} cannot be read: {NO_VALUES[kind]}.")
    if kind == "dtensor":
        raise RecurrentError(f"{what} lies on several ranks, of which this one has a part.")
    return value if kind == "dense" else dense_tensor(value, kind)


def plain(value: Any, what: str) -> Tensor:
    """The plain, detached tensor with the values of this one; raises as :func:`readable`."""
    return readable(value, what).detach()


def states_of(states: Any, mode: str, when: str) -> dict[str, Tensor]:
    """The states of a call by name, "h_0" and of an LSTM "c_0", as they are; ``when`` is "0" or "n".

    Raises:
        RecurrentError: when there are others than the mode has, or they have no values.
    """
    names = [f"{LETTERS[kind]}_{when}" for kind in KINDS[mode] if kind in LETTERS]
    parts = tuple(states) if mode == "LSTM" and isinstance(states, (tuple, list)) else (states,)
    if len(parts) != len(names):
        raise RecurrentError(f"got {len(parts)} states; expected {' and '.join(names)}.")
    return {name: readable(part, name) for name, part in zip(names, parts, strict=True)}


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """float32 for half precisions, since the kernels of torch accumulate in it; others as they are."""
    return torch.float32 if dtype.itemsize < torch.float32.itemsize else dtype


def rounding_note(dtype: torch.dtype) -> str:
    """What to say of a call that computed in a half precision; "" for others."""
    if dtype.itemsize >= torch.float32.itemsize:
        return ""
    name, size = str(dtype).removeprefix("torch."), torch.finfo(dtype).eps
    return f"The call computed in {name}: its rounding (up to {size:.1g} of a value) is in the residual."


def difference(one: Tensor, other: Tensor) -> float:
    """Largest absolute difference. Equal infinities and two NaN agree; a NaN on one side alone is inf."""
    if not one.numel():
        return 0.0
    gap = (one - other).abs_()
    largest = float(gap.max())
    if math.isfinite(largest):
        return largest
    agree = (one == other) | (one.isnan() & other.isnan())
    return float(gap.masked_fill_(agree, 0.0).nan_to_num_(nan=math.inf, posinf=math.inf).max())


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """No autograd, no autocast, no function modes: what is recovered depends on none, and none notices."""
    with torch._C.DisableTorchFunction(), plain_mode(), torch.autocast(device.type, enabled=False):
        yield
