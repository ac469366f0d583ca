"""How far back a state still depends on the input, by gradients.

In: a function from an input sequence to states, which autograd can follow. Out: the size of the derivative, lag by lag.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import MeasureError
from .memory_gradient_chunks import directions, squared_norms_in_chunks
from .memory_numbers import checked, described, in_result_dtype, needs_whole


@dataclass(frozen=True, slots=True)
class GradientHorizon:
    """How strongly a state depends on the input of k steps before.

    Attributes:
        norms: (K + 1,): Frobenius norm of ``d h_t / d x_{t-k}`` for k = 0..K, root mean square over batch items.
        standard_error: (K + 1,), of ``norms``, from the spread between the probes; NaN for one probe.
        horizon: Steps: first lag from which on all norms are below 1/e of the largest; NaN if the last one is not.
        far_horizon: The same for 1 %.
        at: t, the step whose state was asked.
        probes: Number of random directions.
    """

    norms: Tensor
    standard_error: Tensor
    horizon: float
    far_horizon: float
    at: int
    probes: int


def gradient_horizon(
    run: Callable[..., Any],
    inputs: Tensor,
    *,
    at: int | None = None,
    max_lag: int | None = None,
    probes: int = 8,
    chunk: int | None = None,
    seed: int = 0,
) -> GradientHorizon:
    """Size of ``d h_t / d x_{t-k}`` for every lag k, without the matrices themselves: ``J_k^2 = E_v |J_k^T v|^2``.

    v is normal noise (Hutchinson 1990). The gradient as a picture of memory: Madsen 2019, "Visualizing memorization in
    RNNs" (Distill, doi 10.23915/distill.00016). A gradient says what small changes do, not what is stored: a gate that
    is shut passes none. All lags share the probes, so their ratios are more exact than the norms.

    Args:
        run: called once with a copy of ``inputs`` that takes gradients; gives states (T, ...) with the step first, the
            same number of steps. Its parameters get no gradients. cuDNN's recurrent layers need training mode. With
            ``chunk`` it is called as ``run(inputs of some steps, state)``, the state None at first, and gives the
            states of those steps and the state to go on with: an nn.LSTM, GRU or RNN without batch_first is one.
        inputs: (T, ...), floating, step first; for tokens give their embeddings. With a batch axis (T, B, ...) norms
            are of one item: items must not depend on each other.
        at: t, step of the state, 0..T - 1. None = the last one.
        max_lag: K, 0..t. None = t.
        probes: number of random directions, 1 or more.
        chunk: steps whose graph is in memory at once, for long sequences; None = all. A chunk is run again when its
            gradients are asked for, so ``run`` must give the same twice (no dropout), and only through its state may a
            step know earlier ones.
        seed: of the directions; no other random numbers are touched.

    Returns:
        Norms and horizons; 0 for a state that the input does not reach.

    Cost:
        One forward with its graph in memory, and ``probes`` backward passes; with ``chunk`` one forward more, and the
        graph of so many steps. Backward passes come one after the other: the gradient of one is in memory.

    Raises:
        MeasureError: for inputs that are no floating numbers, a ``run`` that gives something else than states of as
            many steps, or states that autograd cannot follow to the input.
    """
    checked(inputs, "inputs", "T", "...")
    if not inputs.is_floating_point():
        raise MeasureError(f"inputs are {described(inputs)}; expected floating numbers. Give the embeddings of tokens.")
    steps = len(inputs)
    step = steps - 1 if at is None else needs_whole("at", at, 0, steps - 1)
    lags = step if max_lag is None else needs_whole("max_lag", max_lag, 0, step)
    needs_whole("probes", probes, 1)
    if chunk is None:
        with torch.inference_mode(False), torch.enable_grad():
            leaf = inputs.detach().clone().requires_grad_()
            state = _state(run(leaf), steps, step)
            squares = _squared_norms(state, leaf, probes, seed)
    else:
        needs_whole("chunk", chunk, 1)
        squares = squared_norms_in_chunks(run, inputs.detach(), (step - lags, step), chunk, probes, seed)
    items = inputs.shape[1] if inputs.dim() > 2 else 1
    squares = squares[:, step - lags : step + 1].flip(-1) / items  # (probes, K + 1)
    norms = squares.mean(0).sqrt()
    error = _standard_error(squares, norms)
    return GradientHorizon(
        in_result_dtype(norms, inputs),
        in_result_dtype(error, inputs),
        _horizon(norms, 1 / math.e),
        _horizon(norms, 0.01),
        step,
        probes,
    )


def _state(states: object, steps: int, step: int) -> Tensor:
    """The state of one step, if it is one that gradients flow from."""
    if not isinstance(states, Tensor) or not states.dim() or len(states) != steps:
        found = described(states) if isinstance(states, Tensor) else type(states).__name__
        raise MeasureError(
            f"run gave {found}; expected a tensor of states ({steps}, ...), one per step. For nn.LSTM that is "
            "lambda x: lstm(x)[0], without batch_first."
        )
    if not states.requires_grad:
        raise MeasureError(
            "the states of run have no gradient; expected states that autograd can follow to the input. "
            "Take out no_grad() and detach()."
        )
    return states[step]


def _squared_norms(state: Tensor, leaf: Tensor, probes: int, seed: int) -> Tensor:
    """``|J^T v|^2`` per probe and step of the input, float64 (probes, T)."""
    found = []
    for probe, noise in enumerate(directions(state, probes, seed)):
        (gradient,) = torch.autograd.grad(state, leaf, noise, retain_graph=probe < probes - 1, materialize_grads=True)
        found.append(gradient.reshape(len(leaf), -1).double().square().sum(-1))
    return torch.stack(found)


def _standard_error(squares: Tensor, norms: Tensor) -> Tensor:
    """Of the roots of the means of ``squares`` (probes, K + 1): a root has half the relative error of its square."""
    probes = len(squares)
    if probes < 2:
        return torch.full_like(norms, torch.nan)
    return squares.std(0) / math.sqrt(probes) / (2 * norms).masked_fill(norms == 0, 1.0)


def _horizon(norms: Tensor, part: float) -> float:
    """First lag from which on all norms are below a part of the largest."""
    above = norms >= part * norms.max()
    if not float(norms.max()) or bool(above[-1]):
        return math.nan
    return float(above.nonzero().max() + 1)
