"""The gradient horizon of leaky units, which is a power of the leak, and of what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets.analysis.memory import gradient_horizon
from memviz_widgets.errors import MeasureError

from .memory_runs import noise


def leaky(inputs: Tensor) -> Tensor:
    """``h <- 0.9 h + x``."""
    state, states = torch.zeros_like(inputs[0]), []
    for value in inputs:
        state = 0.9 * state + value
        states.append(state)
    return torch.stack(states)


def test_many_units_have_their_norms_to_four_parts_in_a_thousand() -> None:
    found = gradient_horizon(leaky, torch.zeros(60, 20_000), probes=8)
    expected = torch.tensor([0.9**lag * math.sqrt(20_000) for lag in range(60)])
    torch.testing.assert_close(found.norms, expected, rtol=0.004, atol=0)


def test_leaky_units_have_powers_of_the_leak() -> None:
    found = gradient_horizon(leaky, noise(60, 400))
    expected = torch.tensor([0.9**lag * 20 for lag in range(60)]).double()  # sqrt(H) = 20
    torch.testing.assert_close(found.norms, expected, rtol=0.03, atol=0)  # 8 probes: 0.9 % standard error
    assert found.norms[0].item() == pytest.approx(20, abs=4 * found.standard_error[0].item())
    slope = (found.norms[0] / found.norms[50]).log().item() / 50
    assert 1 / slope == pytest.approx(9.4912, abs=1e-4)
    assert (found.horizon, found.far_horizon, found.at, found.probes) == (10, 44, 59, 8)


def test_norms_are_those_of_the_whole_matrix() -> None:
    weights = 0.4 * noise(6, 6)
    step = nn.RNN(3, 6).double()

    def run(inputs: Tensor) -> Tensor:
        return step(inputs)[0] @ weights

    inputs = noise(5, 3, seed=1)
    matrix = torch.autograd.functional.jacobian(lambda x: run(x)[4], inputs)  # (6, 5, 3)
    found = gradient_horizon(run, inputs, probes=4000)
    torch.testing.assert_close(found.norms, matrix.square().sum((0, 2)).sqrt().flip(0), rtol=0.05, atol=0)


def test_a_batch_counts_as_one_item() -> None:
    one, four = gradient_horizon(leaky, noise(20, 1, 200)), gradient_horizon(leaky, noise(20, 4, 200))
    torch.testing.assert_close(one.norms, four.norms, rtol=0.05, atol=0)


def test_an_earlier_step_and_fewer_lags() -> None:
    found = gradient_horizon(leaky, noise(30, 50), at=12, max_lag=5)
    assert len(found.norms) == 6 and found.at == 12
    assert math.isnan(found.horizon) and math.isnan(found.far_horizon)  # .9^5 is above 1/e


def test_a_state_that_the_input_does_not_reach() -> None:
    constant = torch.ones(6, 4, requires_grad=True)
    found = gradient_horizon(lambda x: 2 * constant, torch.randn(6, 4))
    assert found.norms.eq(0).all() and math.isnan(found.horizon)
    memoryless = gradient_horizon(lambda x: 2 * x, torch.randn(6, 4))
    assert memoryless.norms[0] > 0 and memoryless.norms[1:].eq(0).all() and memoryless.horizon == 1


def test_nothing_is_left_behind() -> None:
    model, inputs = nn.LSTM(3, 4), torch.randn(7, 2, 3)
    before, random = inputs.clone(), torch.get_rng_state()
    found = gradient_horizon(lambda x: model(x)[0], inputs)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not found.norms.requires_grad and found.norms.dtype == torch.float32
    assert torch.equal(inputs, before) and not inputs.requires_grad and torch.equal(random, torch.get_rng_state())


def test_works_inside_inference_mode() -> None:
    model = nn.GRU(3, 4)
    with torch.inference_mode():
        inside = gradient_horizon(lambda x: model(x)[0], torch.ones(7, 3))
    torch.testing.assert_close(inside.norms.clone(), gradient_horizon(lambda x: model(x)[0], torch.ones(7, 3)).norms)


def test_one_probe_has_no_standard_error() -> None:
    assert gradient_horizon(leaky, noise(4, 3), probes=1).standard_error.isnan().all()


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (
            lambda x: x[:3],
            r"run gave torch.float32 of shape \(3, 2\); expected a tensor of states \(5, \.\.\.\), one per",
        ),
        (
            lambda x: (x, x),
            r"run gave tuple; expected a tensor of states .* lambda x: lstm\(x\)\[0\], without batch_first",
        ),
        (lambda x: x.detach(), "the states of run have no gradient; .* Take out no_grad"),
    ],
)
def test_refuses_runs(run: Callable[[Tensor], Tensor], text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        gradient_horizon(run, torch.randn(5, 2))


def test_refuses() -> None:
    with pytest.raises(
        MeasureError, match=r"inputs are torch.int64 of .*; expected floating numbers. Give the embeddings"
    ):
        gradient_horizon(leaky, torch.arange(5))
    with pytest.raises(MeasureError, match="at=5; expected a whole number, 0 to 4"):
        gradient_horizon(leaky, torch.randn(5, 2), at=5)
    with pytest.raises(MeasureError, match="max_lag=3; expected a whole number, 0 to 2"):
        gradient_horizon(leaky, torch.randn(5, 2), at=2, max_lag=3)
    with pytest.raises(MeasureError, match="probes=0; expected a whole number, 1 or more"):
        gradient_horizon(leaky, torch.randn(5, 2), probes=0)


# In chunks


def leaky_from(inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """``h <- 0.9 h + x`` from a state on."""
    held, states = torch.zeros_like(inputs[0]) if state is None else state, []
    for value in inputs:
        held = 0.9 * held + value
        states.append(held)
    return torch.stack(states), held


@pytest.mark.parametrize("chunk", [1, 7, 12, 30, 100])
@pytest.mark.parametrize("at", [None, 17])
def test_chunks_of_any_size_give_what_the_whole_gives(chunk: int, at: int | None) -> None:
    model, inputs = nn.LSTM(3, 5, 2).double(), noise(30, 2, 3)
    whole = gradient_horizon(lambda x: model(x)[0], inputs, at=at)
    parts = gradient_horizon(model, inputs, at=at, chunk=chunk)
    torch.testing.assert_close(parts.norms, whole.norms, rtol=1e-12, atol=0)
    torch.testing.assert_close(parts.standard_error, whole.standard_error, rtol=1e-9, atol=0)
    assert (parts.at, parts.probes) == (whole.at, 8)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_leaky_units_in_chunks() -> None:
    found = gradient_horizon(leaky_from, noise(60, 400), chunk=16)
    assert (found.horizon, found.far_horizon) == (10, 44)
    torch.testing.assert_close(found.norms, gradient_horizon(leaky, noise(60, 400)).norms, rtol=1e-12, atol=0)


def test_only_the_chunks_of_the_lags_are_run_again() -> None:
    lengths = []

    def run(inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        lengths.append((len(inputs), inputs.requires_grad))
        return leaky_from(inputs, state)

    found = gradient_horizon(run, noise(30, 4), at=24, max_lag=9, chunk=10)
    assert lengths == [(10, False), (10, False), (5, True), (10, True)]
    torch.testing.assert_close(
        found.norms, gradient_horizon(leaky, noise(30, 4), at=24, max_lag=9).norms, rtol=1e-12, atol=0
    )


def test_a_state_with_what_takes_no_gradient() -> None:
    def run(inputs: Tensor, state: tuple[Tensor, Tensor, None] | None) -> tuple[Tensor, tuple[Tensor, Tensor, None]]:
        held, count = (None, torch.tensor(0)) if state is None else state[:2]
        states, held = leaky_from(inputs, held)
        return states, (held, count + len(inputs), None)

    whole = gradient_horizon(leaky, noise(12, 4))
    torch.testing.assert_close(gradient_horizon(run, noise(12, 4), chunk=5).norms, whole.norms, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (
            lambda x, state: x,
            r"run gave torch.float32 of shape \(2, 3\); with chunk expected a tuple of states and the",
        ),
        (lambda x, state: (x, x, x), "run gave tuple; with chunk expected a tuple of states and the state to go on"),
        (lambda x, state: (x[:1], x), r"run gave states .* \(1, 3\) for 2 steps; expected \(2, \.\.\.\), the step"),
        (lambda x, state: (x, {"h": x}), "the state of run holds a dict; expected tensors, or tuples of them"),
        (lambda x, state: (x.detach(), x), "the states of run have no gradient; .* Take out no_grad"),
        (lambda x, state: (x, x.detach()), "the states of run have no gradient; .* Take out no_grad"),
    ],
)
def test_refuses_runs_in_chunks(run: Callable[..., Any], text: str) -> None:
    with pytest.raises(MeasureError, match=text):
        gradient_horizon(run, torch.randn(4, 3), chunk=2)


def test_refuses_a_chunk_of_no_steps() -> None:
    with pytest.raises(MeasureError, match="chunk=0; expected a whole number, 1 or more"):
        gradient_horizon(leaky_from, torch.randn(4, 3), chunk=0)
