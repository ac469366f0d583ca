"""The model comes back as it was, whatever its forward does."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.errors import ForwardError

from .recording import Raises, Remembers, hook_entries

ENDINGS: list[BaseException | None] = [None, ValueError("boom"), KeyboardInterrupt()]


def capture_any(model: nn.Module, x: Any, ending: BaseException | None) -> None:
    """Capture a model that ends well or with an error; the error is swallowed."""
    whole = nn.Sequential(model, Raises(ending)) if ending else model
    try:
        ActivationCache.capture(whole, x)
    except (ForwardError, KeyboardInterrupt):
        assert ending is not None


@pytest.mark.parametrize("ending", ENDINGS, ids=["ends", "raises", "interrupted"])
def test_hooks_are_gone(ending: BaseException | None) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model[0].register_forward_hook(lambda *args: None)
    before = hook_entries(model)
    capture_any(model, torch.ones(1, 2), ending)
    assert hook_entries(model) == before


@pytest.mark.parametrize("ending", ENDINGS, ids=["ends", "raises", "interrupted"])
def test_batchnorm_statistics_are_the_same_buffers_with_the_same_numbers(ending: BaseException | None) -> None:
    model = nn.BatchNorm1d(4).train()
    buffers = dict(model.named_buffers())
    before = {name: value.clone() for name, value in buffers.items()}
    capture_any(model, torch.randn(8, 4), ending)
    assert all(dict(model.named_buffers())[name] is value for name, value in buffers.items())
    assert all(torch.equal(buffers[name], value) for name, value in before.items())


@pytest.mark.parametrize("ending", ENDINGS, ids=["ends", "raises", "interrupted"])
def test_state_in_buffers_attributes_and_lists(ending: BaseException | None) -> None:
    model = Remembers()
    state, names = model.state, set(vars(model))
    capture_any(model, torch.ones(2), ending)
    assert model.memory.tolist() == [0, 0] and model.state is state and state.tolist() == [0, 0]
    assert model.steps == 0 and model.history == [] and set(vars(model)) == names


def test_training_flags_stay_per_module() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 4)).train()
    model[0].eval()

    class Toggles(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner: nn.Module = model

        def forward(self, x: Tensor) -> Any:
            return self.inner.eval()(x)

    ActivationCache.capture(Toggles(), torch.randn(2, 4))
    assert [part.training for part in model.modules()] == [True, False, True, True]


@pytest.mark.parametrize(
    "draw",
    [lambda: torch.rand(3).tolist(), lambda: [random.random()], lambda: np.random.rand(3).tolist()],  # noqa: NPY002
    ids=["torch", "python", "numpy"],
)
@pytest.mark.parametrize("ending", ENDINGS, ids=["ends", "raises", "interrupted"])
def test_random_generators_go_on_as_if_nothing_had_run(
    draw: Callable[[], list[float]], ending: BaseException | None
) -> None:
    class Draws(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            draw()
            return x

    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(1)
    expected = draw()
    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(1)
    capture_any(Draws(), torch.ones(1), ending)
    assert draw() == expected


def test_dropout_draws_what_a_plain_forward_draws() -> None:
    model, x = nn.Dropout().train(), torch.ones(100)
    torch.manual_seed(3)
    cache = ActivationCache.capture(model, x)
    assert torch.equal(cache[""], model(x))


def test_grads_are_the_same_tensors_with_the_same_numbers_after_a_backward_inside() -> None:
    class Backward(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.old, self.new = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.new(self.old(x))
            out.sum().backward()
            return out.detach()

    model = Backward()
    grad = model.old.weight.grad = torch.ones(2, 2)
    cache = ActivationCache.capture(model, torch.ones(1, 2))
    assert model.old.weight.grad is grad and grad.tolist() == [[1, 1], [1, 1]]
    assert model.new.weight.grad is None and model.old.weight._backward_hooks is None
    assert not cache.remarks


def test_requires_grad_stays() -> None:
    class Freezes(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            self.weight.requires_grad_(False)
            return super().forward(x)

    model = Freezes(2, 2)
    ActivationCache.capture(model, torch.ones(1, 2))
    assert model.weight.requires_grad


def test_embedding_with_max_norm_keeps_its_weights() -> None:
    model = nn.Embedding(3, 4, max_norm=0.1)
    before = model.weight.detach().clone()
    cache = ActivationCache.capture(model, torch.tensor([0, 1]))
    assert torch.equal(model.weight, before) and not cache.remarks
    assert cache[""].norm(dim=1).max() <= 0.1001


def test_spectral_norm_keeps_its_vectors() -> None:
    model = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8)).train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    ActivationCache.capture(model, torch.randn(1, 8))
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


class Rescales(nn.Linear):
    """Halves its weights at the first call and remembers that it did, as RWKV does."""

    rescaled = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.rescaled:
            self.weight.data.div_(2)
            self.rescaled = True
        return super().forward(x)


def test_weights_that_the_forward_writes_are_remarked_and_stay_a_pair_with_their_flag() -> None:
    model = Rescales(2, 2)
    half = model.weight.detach() / 2
    cache = ActivationCache.capture(model, torch.ones(1, 2))
    assert torch.equal(model.weight, half) and model.rescaled
    assert cache.remarks[0].startswith("the forward wrote to the parameter 'weight' (one of 1), which is not undone;")


def test_error_after_weights_were_written_is_still_raised() -> None:
    with pytest.raises(ForwardError, match=r"raised ValueError: boom"):
        ActivationCache.capture(nn.Sequential(Rescales(2, 2), Raises(ValueError("boom"))), torch.ones(1, 2))


def test_lazy_modules_stay_materialised() -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    ActivationCache.capture(model, torch.randn(4, 5))
    assert type(model[0]) is nn.Linear and model[0].weight.shape == (3, 5)
    assert sum(count for _, name, count in hook_entries(model) if "forward" in name) == 0


def test_module_that_builds_itself_stays_built() -> None:
    class Builds(nn.Module):
        built = False

        def forward(self, x: Tensor) -> Any:
            if not self.built:
                self.inner, self.built = nn.Linear(2, 2), True
            return self.inner(x)

    model = Builds()
    cache = ActivationCache.capture(model, torch.ones(1, 2))
    assert model.built and isinstance(model.inner, nn.Linear)
    assert cache.remarks == ("the module 'inner' was made during the forward, too late for a record; capture again",)


def test_graph_made_before_the_capture_can_still_run_backward() -> None:
    class Scales(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale: Tensor
            self.register_buffer("scale", torch.tensor(2.0))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale

    model, x = Scales(), torch.ones(2, requires_grad=True)
    loss = model(x).sum()
    ActivationCache.capture(model, torch.ones(2))
    loss.backward()
    assert x.grad is not None and x.grad.tolist() == [2, 2]


def test_caller_keeps_grad_mode_and_threads() -> None:
    seen: list[bool] = []

    class Looks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(torch.is_grad_enabled())
            return x

    threads = torch.get_num_threads()
    ActivationCache.capture(Looks(), torch.ones(1))
    with torch.no_grad():
        ActivationCache.capture(Looks(), torch.ones(1))
    assert seen == [True, False] and torch.get_num_threads() == threads
