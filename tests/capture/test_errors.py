"""What capture says when the model, its input or its forward is at fault."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.errors import ForwardError, InputError, LayersError, MemvizError, ModelError

from .recording import Raises

X = torch.ones(1, 2)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        ([X], r"x is a list of 1; expected a tensor, a tuple of positional arguments, or a mapping.*Write \(value,\)"),
        (None, r"x is None; expected a tensor"),
        ("text", r"x is a str; expected a tensor"),
        (X.numpy(), r"x is a numpy ndarray; expected a tensor\. Write torch\.from_numpy\(x\)\."),
        ({1: X}, r"x is a mapping with the key 1; expected"),
    ],
)
def test_input_that_cannot_be_passed(x: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        ActivationCache.capture(nn.Linear(2, 2), x)


def test_call_that_is_no_function() -> None:
    with pytest.raises(InputError, match=r"call= is a int; expected a function of the model"):
        ActivationCache.capture(nn.Linear(2, 2), call=3)  # type: ignore[arg-type]


def test_input_and_call_together() -> None:
    with pytest.raises(InputError, match=r"both x and call= were given"):
        ActivationCache.capture(nn.Linear(2, 2), X, call=lambda m: m(X))


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (nn.ReLU, r"the model is the class ReLU; expected an instance. Write ReLU\(...\)."),
        (len, r"the model is a builtin_function_or_method; expected a torch.nn.Module"),
    ],
)
def test_what_is_no_model(model: Any, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        ActivationCache.capture(model, X)


@pytest.mark.filterwarnings("ignore")
def test_script_module() -> None:
    with pytest.raises(ModelError, match=r"TorchScript module \(Linear\), which takes no hooks; expected a Python"):
        ActivationCache.capture(torch.jit.script(nn.Linear(2, 2)), X)


def test_layers_that_match_nothing() -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(2, 2)})
    with pytest.raises(LayersError, match=r"no module matches 'encodr' \(2 modules\); nearest is 'encoder'. Paths are"):
        ActivationCache.capture(model, X, layers=["encodr"])
    with pytest.raises(LayersError, match=r"layers= holds 3; expected module paths"):
        ActivationCache.capture(model, X, layers=[3])


def test_failed_forward_names_where_it_was_raised_and_what_ran_last() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh(), nn.Linear(3, 3)))
    with pytest.raises(ForwardError, match=r"(?s)the forward raised RuntimeError: mat1 and mat2.*") as caught:
        ActivationCache.capture(model, X)
    text = str(caught.value)
    assert "Raised in '1.1' (Linear, call 0); the module that finished last is '1.0' (Tanh, call 0)." in text
    assert isinstance(caught.value.__cause__, RuntimeError) and isinstance(caught.value, (MemvizError, RuntimeError))


def test_failed_forward_keeps_what_was_recorded() -> None:
    with pytest.raises(ForwardError, match=r"2 records made before it are in error.cache") as caught:
        ActivationCache.capture(nn.Sequential(nn.ReLU(), nn.Tanh(), Raises(ValueError("boom"))), X)
    assert caught.value.cache.names() == ("0", "1")
    assert torch.equal(caught.value.cache["0"], X)


def test_failed_forward_before_any_module_finished() -> None:
    with pytest.raises(ForwardError, match=r"Raised in '\(model\)' \(Raises, call 0\); no module had finished"):
        ActivationCache.capture(Raises(ValueError("boom")), X)


def test_failure_outside_of_the_modules() -> None:
    def fails(model: Any) -> None:
        model(X)
        raise KeyError("mine")

    with pytest.raises(ForwardError, match=r"raised KeyError.*\n.*outside of every module call"):
        ActivationCache.capture(nn.ReLU(), call=fails)


def test_failure_while_another_error_is_handled() -> None:
    class Handles(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Raises(ValueError("one")), Raises(ValueError("two"))

        def forward(self, x: Tensor) -> Any:
            try:
                return self.first(x)
            except ValueError:
                return self.second(x)

    with pytest.raises(ForwardError, match=r"raised ValueError: two\nRaised in 'second' \(Raises, call 0\)"):
        ActivationCache.capture(Handles(), X)


def test_keyboard_interrupt_passes_unchanged() -> None:
    interrupt = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught:
        ActivationCache.capture(Raises(interrupt), X)
    assert caught.value is interrupt
