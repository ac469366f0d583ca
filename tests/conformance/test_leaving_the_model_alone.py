"""Rows 30 to 34: state, random generators, checkpoints, gradients and transforms are as without a capture.

The fixture compares model and process in full around each capture; what a test adds is said in it.
"""

from __future__ import annotations

import random
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.errors import NotKeptError

from .model_state import Capture, changes, full_state, unchanged

X = torch.arange(32, dtype=torch.float32).view(8, 4) - 15.5


class Draws(nn.Module):
    """Noise from each random generator, and state that moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout()
        self.linear = nn.Linear(4, 4)
        self.count = 0
        self.past: list[Tensor] = []

    def forward(self, x: Tensor) -> Any:
        self.count += 1
        self.past.append(x)
        noise = random.random() + np.random.rand() + torch.rand(())  # noqa: NPY002
        return self.linear(self.drop(self.norm(x))) + noise


def test_30_capture_in_training(captured: Capture) -> None:
    """Frozen BatchNorm, dropout, grads, lists, generators: the fixture compares all; the values are of this draw."""
    model = nn.Sequential(Draws(), nn.BatchNorm1d(4), nn.Linear(4, 4)).train()
    model[1].eval()
    model(X).sum().backward()
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    cache = captured(model, X)
    assert [part.training for part in model] == [True, False, True]
    for restore, saved in zip((torch.set_rng_state, random.setstate, np.random.set_state), state, strict=True):
        restore(saved)  # type: ignore[operator]
    assert torch.equal(cache[""], model(X))


def trained(*, recorded: bool) -> dict[str, object]:
    """Everything that three steps of training make of a model and of the process, with or without a recording."""
    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(0)
    model = Draws().train()
    optimiser, before = torch.optim.Adam(model.parameters()), full_state(model)
    with mv.record(model) if recorded else nullcontext() as cache:
        for _ in range(3):
            optimiser.zero_grad()
            model(X).square().sum().backward()
            optimiser.step()
    assert cache is None or [record.step for record in cache.records if record.path == ""] == [0, 1, 2]
    places, after = changes(before, full_state(model)), full_state(model)
    numbers = [name for name in after if "generator" in name or (name.endswith("bits") and "past" not in name)]
    return {"places": places, **{name: after[name] for name in numbers}}


def test_30_recording_of_a_loop_costs_what_the_loop_costs() -> None:
    """Training under mv.record ends where training without ends: weights, buffers, grads, generators."""
    trained(recorded=False)  # the first optimiser imports the compiler, which changes torch's namespace
    plain, recorded = trained(recorded=False), trained(recorded=True)
    assert {"linear._parameters.weight.grad bits", "norm._buffers.running_var bits"} <= set(plain)
    assert plain == recorded


def test_31_replay_touches_no_state(captured: Capture) -> None:
    """Fetched with the buffers and generators of then, and those of now stay: also after the model moved on."""
    model = nn.Sequential(nn.Linear(4, 4), Draws(), nn.Linear(4, 4)).train()
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    whole = captured(model, X)
    for restore, saved in zip((torch.set_rng_state, random.setstate, np.random.set_state), state, strict=True):
        restore(saved)  # type: ignore[operator]
    cache = captured(model, X, budget=0)
    assert not any(record.kept for record in cache.records)
    model.eval()
    random.random(), np.random.rand(), torch.rand(3)  # noqa: NPY002
    for name in ("2", "1.drop", "1.norm", "1", "0", ""):
        with unchanged(model):
            value = cache[name]
        assert torch.equal(value, whole[name]), name
    assert cache.reproducible is True


def test_31_replay_after_training_is_refused(captured: Capture) -> None:
    """BatchNorm statistics in eval mode moved on since: other values, so none are shown; nothing is touched."""
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4)).eval()
    cache = captured(model, X, budget=0)
    model.train()(X + 5)
    with unchanged(model), pytest.raises(NotKeptError, match="another run gave other values"):
        cache.get("0")
    assert cache.reproducible is False


class Checkpoints(nn.Module):
    """Runs its block again in backward."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Dropout())
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Any:
        return checkpoint(self.block, x, use_reentrant=self.reentrant)


@pytest.mark.parametrize("when", ["inside", "afterwards"])
@pytest.mark.parametrize("reentrant", [False, True], ids=["", "reentrant"])
def test_32_checkpointing(captured: Capture, reentrant: bool, when: str) -> None:
    """A backward runs the block again: not recorded, not broken, and the gradients are those without a capture."""
    model, x = Checkpoints(reentrant=reentrant).train(), X.clone().requires_grad_()
    grads: list[Any] = []

    def run(m: Any) -> Tensor:
        torch.manual_seed(1)
        return m(x).sum()

    def backward(loss: Tensor) -> None:
        loss.backward()
        grads.append(x.grad)
        x.grad = None

    backward(run(model))
    losses: list[Tensor] = []
    act: Any = (lambda m: backward(run(m))) if when == "inside" else (lambda m: losses.append(run(m)))
    cache = captured(model, call=act)
    for loss in losses:
        backward(loss)
    assert torch.equal(grads[0], grads[1])
    assert [record.path for record in cache.records] == ["block.0", "block.1", "block.2", "block", ""]
    assert torch.equal(cache["block.0"], model.block[0](X)) and torch.equal(cache["block"], cache[""])


def test_33_gradients_through_in_place_operations(captured: Capture) -> None:
    """The user's own gradient hooks and backward see what they see without a capture, in-place activation or not."""
    model: Any = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4))
    seen: list[Tensor] = []
    model[2].register_full_backward_hook(lambda module, grad_in, grad_out: seen.append(grad_in[0]))

    def run(m: Any) -> Any:
        hidden = m[0](X)
        hidden.register_hook(seen.append)
        return m[2](m[1](hidden)).square().sum()

    run(model).backward()
    plain = [part.grad.clone() for part in model.parameters()]
    model.zero_grad()
    losses: list[Tensor] = []
    cache = captured(model, call=lambda m: losses.append(run(m)))
    losses[0].backward()
    assert all(torch.equal(part.grad, grad) for part, grad in zip(model.parameters(), plain, strict=True))
    assert len(seen) == 4 and all(torch.equal(one, other) for one, other in zip(seen[:2], seen[2:], strict=True))
    assert (cache["0"] < 0).any() and not cache["0"].requires_grad


def test_34_values_inside_vmap(captured: Capture) -> None:
    """Recorded as such and not kept; asking for one says why. What vmap returns is right."""
    model, outputs = nn.Sequential(nn.Linear(4, 4), nn.Tanh()), []
    cache = captured(model, call=lambda m: outputs.append(torch.vmap(m)(X)))
    assert torch.equal(outputs[0], torch.vmap(model)(X))
    assert [(record.path, record.shape, record.available) for record in cache.records] == [
        ("0", (4,), False),
        ("1", (4,), False),
        ("", (4,), False),
    ]
    with pytest.raises(NotKeptError, match="inside vmap"):
        cache.get("0")


def test_34_values_inside_functional_call_and_grad(captured: Capture) -> None:
    """functional_call gives values of the weights it was given; inside torch.func.grad there are none to keep."""
    model: Any = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    other = {name: value.detach() + 1 for name, value in model.named_parameters()}
    cache = captured(model, call=lambda m: torch.func.functional_call(m, other, (X,)))
    assert torch.equal(cache["0"], nn.functional.linear(X, other["0.weight"], other["0.bias"]))

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(model, parameters, (X,)).sum()

    gradients: list[Any] = []
    cache = captured(model, call=lambda m: gradients.append(torch.func.grad(loss)(other)))
    assert not any(record.kept for record in cache.records)
    expected = torch.func.grad(loss)(other)
    assert all(torch.equal(gradients[0][name], value) for name, value in expected.items())


def test_34_cache_of_another_capture_inside_a_capture() -> None:
    """A model that captures a part of itself: both caches are right, and both leave everything as it was."""
    inner: list[ActivationCache] = []

    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

        def forward(self, x: Tensor) -> Any:
            inner.append(ActivationCache.capture(self.part, x))
            return self.part(2 * x)

    model: Any = Looks()
    with unchanged(model):
        cache = ActivationCache.capture(model, X)
    assert torch.equal(inner[0]["0"], model.part[0](X)) and torch.equal(inner[0][""], model.part(X))
    assert torch.equal(cache.get("part", call=1), model.part(2 * X)) and torch.equal(cache[""], model.part(2 * X))
