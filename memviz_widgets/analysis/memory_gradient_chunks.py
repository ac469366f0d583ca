"""Gradients through a long sequence in bounded memory: the graph of a chunk of steps at a time, from the last back.

In: a recurrent function that takes some steps and the state before them, and the inputs of all steps. Out: the squared
size of each random direction's gradient at each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..errors import MeasureError
from .memory_numbers import described


def directions(state: Tensor, probes: int, seed: int) -> Iterator[Tensor]:
    """Normal noise shaped as the state, one tensor per probe, from a generator of its own."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    for _ in range(probes):
        yield torch.randn(state.shape, generator=generator, dtype=torch.float64, device="cpu").to(state)


def squared_norms_in_chunks(
    run: Callable[..., Any], inputs: Tensor, wanted: tuple[int, int], chunk: int, probes: int, seed: int
) -> Tensor:
    """``|J^T v|^2`` per probe and step of the input, float64 (probes, T); 0 outside of the steps that were wanted.

    Args:
        run: ``(inputs of some steps, state) -> (their states, state)``.
        inputs: (T, ...), without gradient.
        wanted: first step that gradients are wanted of, and the step whose state is asked.
        chunk: steps at a time.
        probes: number of random directions.
        seed: of the directions.

    Raises:
        MeasureError: when ``run`` gives something else, or no state that gradients flow through.
    """
    first, at = wanted
    found = torch.zeros(probes, len(inputs), dtype=torch.float64, device=inputs.device)
    starts = range(0, at + 1, chunk)
    before = _states_before(run, inputs, starts)
    arriving: list[list[Tensor]] = []  # per probe: what comes back into the tensors of the state after a chunk
    for start in reversed(starts):
        end = min(start + chunk, at + 1)
        if end <= first:
            break
        with torch.inference_mode(False), torch.enable_grad():
            leaf = inputs[start:end].clone().requires_grad_()
            entry, entries = _as_leaves(before.pop())
            states, after = _pair(run(leaf, entry), end - start)
            ends, arriving = _ends(states, after, arriving, probes, seed)
            for probe, given in enumerate(arriving):
                gradients = torch.autograd.grad(
                    ends, [leaf, *entries], given, retain_graph=probe < probes - 1, materialize_grads=True
                )
                found[probe, start:end] = gradients[0].reshape(end - start, -1).double().square().sum(-1)
                arriving[probe] = list(gradients[1:])
    found[:, :first] = 0
    return found


def _states_before(run: Callable[..., Any], inputs: Tensor, starts: range) -> list[Any]:
    """The state before each chunk, None before the first, without graph."""
    before: list[Any] = [None]
    with torch.inference_mode(False), torch.no_grad():
        for start in starts[:-1]:
            before.append(_pair(run(inputs[start : start + starts.step].clone(), before[-1]), starts.step)[1])
    return before


def _ends(
    states: Tensor, after: Any, arriving: list[list[Tensor]], probes: int, seed: int
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Where gradients enter a chunk, and which, per probe: the asked state in the last chunk, else the state after."""
    if not arriving:
        ends = [states[-1]]
        given = [[noise] for noise in directions(states[-1], probes, seed)]
    else:
        flows = [tensor.requires_grad for tensor in _floating(after)]
        ends = [tensor for tensor, flow in zip(_floating(after), flows, strict=True) if flow]
        given = [[tensor for tensor, flow in zip(each, flows, strict=True) if flow] for each in arriving]
    if not ends or not ends[0].requires_grad:
        raise MeasureError(
            "the states of run have no gradient; expected states that autograd can follow to the input. "
            "Take out no_grad() and detach()."
        )
    return ends, given


def _pair(given: Any, steps: int) -> tuple[Tensor, Any]:
    """What ``run`` gave, if it is the states of so many steps, and a state."""
    if not isinstance(given, tuple) or len(given) != 2 or not isinstance(given[0], Tensor):
        found = described(given) if isinstance(given, Tensor) else type(given).__name__
        raise MeasureError(
            f"run gave {found}; with chunk expected a tuple of states and the state to go on with, as nn.LSTM gives. "
            "Leave out chunk for a function that only gives states."
        )
    if not given[0].dim() or len(given[0]) != steps:
        raise MeasureError(
            f"run gave states {described(given[0])} for {steps} steps; expected ({steps}, ...), the step first."
        )
    return given


def _as_leaves(state: Any) -> tuple[Any, list[Tensor]]:
    """A copy of a state whose floating tensors take gradients, and those tensors in order."""
    if isinstance(state, Tensor):
        leaf = state.detach().clone()
        return (leaf.requires_grad_(), [leaf]) if leaf.is_floating_point() else (leaf, [])
    if isinstance(state, (tuple, list)):
        pairs = [_as_leaves(part) for part in state]
        return tuple(part for part, _ in pairs), [leaf for _, leaves in pairs for leaf in leaves]
    if state is None:
        return None, []
    raise MeasureError(f"the state of run holds a {type(state).__name__}; expected tensors, or tuples of them.")


def _floating(state: Any) -> list[Tensor]:
    """The floating tensors of a state, in the order of :func:`_as_leaves`."""
    if isinstance(state, Tensor):
        return [state] if state.is_floating_point() else []
    return [tensor for part in state or () for tensor in _floating(part)]
