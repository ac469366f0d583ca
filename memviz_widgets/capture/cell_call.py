"""Every gate of one call of nn.LSTMCell, nn.GRUCell or nn.RNNCell, which returns the states alone.

In: the module, and arguments and result of one call of it. Out: the tensors of the call, and the recovery that computes
states and gates from them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .attention_sdpa import bound
from .recurrent_cells import (
    KINDS,
    LETTERS,
    WEIGHT_NAMES,
    Key,
    Recovered,
    RecurrentError,
    Series,
    Weights,
    advance,
    difference,
    own_class,
    readable,
    rounding_note,
    states_of,
    undisturbed,
    working_dtype,
)

CELLS: tuple[type[nn.Module], ...] = (nn.LSTMCell, nn.GRUCell, nn.RNNCell)


def cell_series(module: nn.Module) -> list[Series]:
    """What an nn.LSTMCell, nn.GRUCell or nn.RNNCell has, without computing; [] for any other module.

    Raises:
        RecurrentError: when it is one, but computes something of its own.
    """
    return [] if own_class(module, CELLS) is None else [Series(kind, "", 0, False) for kind in KINDS[cell_mode(module)]]


def recover_cell(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> Recovered:
    """States after one call of a cell, and the gates that made them: (B, C) each, B = 1 without a batch.

    Neither calls nor changes the module. The states are the call's own; recomputed ones give the residual.

    Args:
        module: nn.LSTMCell, nn.GRUCell or nn.RNNCell.
        args: Positional arguments of the call: input (B, I) or (I,), maybe hx.
        kwargs: Its keyword arguments.
        result: What the call returned: (h, c) of an LSTMCell, else h.

    Raises:
        RecurrentError: when the module is no such cell or computes something of its own, or the tensors have no values.
    """
    return CellRecovery(cell_mode(module)).compute(cell_tensors(module, args, kwargs, result))


def cell_mode(module: nn.Module) -> str:
    """The key of KINDS for a cell.

    Raises:
        RecurrentError: when it is no such cell.
    """
    if isinstance(module, nn.RNNCell):
        return f"RNN_{module.nonlinearity.upper()}"
    if not isinstance(module, (nn.LSTMCell, nn.GRUCell)):
        raise RecurrentError(f"got {type(module).__name__}; expected nn.LSTMCell, nn.GRUCell or nn.RNNCell.")
    return "LSTM" if isinstance(module, nn.LSTMCell) else "GRU"


def cell_tensors(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> dict[str, Tensor]:
    """The tensors of one call of a cell, as they are: "input", "h_0", "c_0" if given, "h_n", "c_n", and the weights.

    Raises:
        RecurrentError: as :func:`recover_cell`.
    """
    mode = cell_mode(module)
    own_class(module, CELLS)
    call = bound(("input", "hx"), args, kwargs)
    given = {"input": readable(call.get("input"), "input"), **states_of(result, mode, "n")}
    if call.get("hx") is not None:
        given.update(states_of(call["hx"], mode, "0"))
    for name in WEIGHT_NAMES:
        weight = _weight(module, name)
        if weight is not None:
            given[name] = weight
    return given


@dataclass(frozen=True, slots=True)
class CellRecovery:
    """Computes the states and gates of one call of a cell. A :class:`~memviz_widgets.capture.memory.Recovery`.

    Attributes:
        mode: A key of KINDS.
    """

    mode: str

    def compute(self, given: Mapping[str, Tensor]) -> Recovered:
        """States and gates, (B, C) each, from :func:`cell_tensors` or copies of them."""
        mode = self.mode
        with undisturbed(given["input"].device):
            tensors = {name: tensor.detach() for name, tensor in given.items()}
            dtype = working_dtype(tensors["weight_ih"].dtype)
            found = (tensors.get(name) for name in WEIGHT_NAMES)
            weights = Weights._make(None if weight is None else weight.to(dtype) for weight in found)
            inputs = torch.atleast_2d(tensors["input"].to(dtype))  # (B, I)
            kinds = [kind for kind in KINDS[mode] if kind in LETTERS]
            after = {kind: torch.atleast_2d(tensors[f"{LETTERS[kind]}_n"]) for kind in kinds}
            before = {kind: inputs.new_zeros(len(inputs), weights.hh.shape[1]) for kind in kinds}
            if "h_0" in tensors:
                states = {kind: tensors[f"{LETTERS[kind]}_0"] for kind in kinds}
                before = {kind: torch.atleast_2d(state.to(dtype, copy=True)) for kind, state in states.items()}
            old = before.get("cell", inputs)  # read by an LSTM alone
            values = advance(mode, inputs, before["hidden"], weights, lambda keep, new: torch.addcmul(new, keep, old))
            residual = max(difference(values[kind], state.to(dtype)) for kind, state in after.items())
            values.update((kind, state.to(dtype, copy=True)) for kind, state in after.items())
        keyed = {(kind, ""): value for kind, value in values.items()}
        note = rounding_note(after["hidden"].dtype)
        return Recovered(keyed, {(kind, ""): state for kind, state in before.items()}, (), residual, note)

    def window(self, given: Mapping[str, Tensor], key: Key, start: int, stop: int) -> Tensor:
        """The value of the only step that a call of a cell is."""
        return self.compute(given).values[key]

    def residual(self, given: Mapping[str, Tensor]) -> float:
        """The largest difference between recomputed states and those that the call returned."""
        return self.compute(given).residual


def _weight(module: nn.Module, name: str) -> Tensor | None:
    """A weight of a cell as the last call had it.

    A parametrized one is computed by its parametrizations' formulas in eval mode: calling them would fire hooks, and
    in train mode spectral norm would take another power iteration, whose result is stored in the module.
    """
    chains: Any = module._modules.get("parametrizations")
    if chains is None or name not in chains:
        value = getattr(module, name, None)  # no bias, or no projection
        return None if value is None else readable(value, name)
    chain = chains[name]
    found = [chain.original] if chain.is_tensor else [getattr(chain, f"original{k}") for k in range(chain.ntensors)]
    with undisturbed(found[0].device):
        for step in chain:
            formula = copy.copy(step)
            formula.training = False
            found = [formula.forward(*found)]
    return readable(found[0], name)
