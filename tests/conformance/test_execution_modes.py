"""Rows 23 to 29: compiled, scripted and exported models, forwards that fail, hooks that must not matter, threads."""

from __future__ import annotations

import threading
import traceback
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.errors import ForwardError, ModelError, NotKeptError, UnknownRecordError

from .model_state import Capture, unchanged

X = torch.arange(32, dtype=torch.float32).view(8, 4) - 15.5


def two_layers() -> Any:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU())


class Net(nn.Module):
    """A class of its own: torch does not compile its Sequential in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = two_layers()

    def forward(self, x: Tensor) -> Any:
        return self.layers(x) + 1


@pytest.mark.parametrize("in_place", [False, True], ids=["wrapper", "module.compile"])
def test_23_compiled_model(captured: Capture, in_place: bool) -> None:
    """Hooks that came after the compilation fire in a capture, and nothing is compiled again afterwards."""
    compilations = []

    def backend(graph: Any, inputs: Any) -> Any:
        compilations.append(1)
        return graph.forward

    model: Any = Net()
    expected = model.layers[0](X)
    compiled: Any = model if in_place else torch.compile(model, backend=backend)
    if in_place:
        model.compile(backend=backend)
    plain = compiled(X)
    cache = captured(compiled, X)
    assert cache.names() == ("layers.0", "layers.1", "layers", "") and cache.never_called == ()
    assert torch.equal(cache["layers.0"], expected) and torch.equal(cache["layers"], expected.relu())
    assert torch.equal(compiled(X), plain) and len(compilations) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_24_scripted_part(captured: Capture) -> None:
    """It takes no hooks: said by name, with a message; its Python parents are recorded."""
    part = nn.Linear(4, 4)
    cache = captured(nn.Sequential(torch.jit.script(part), nn.ReLU()), X)
    assert cache.names() == ("1", "") and torch.equal(cache["1"], part(X).relu())
    assert cache.opaque == {"0": "'0' is a Linear compiled by TorchScript; it takes no hooks"}
    with pytest.raises(UnknownRecordError, match="no record '0': '0' is a Linear compiled by TorchScript"):
        cache.get("0")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_24_scripted_model() -> None:
    """A clear message, and nothing changed."""
    model = torch.jit.script(two_layers())
    with unchanged(model), pytest.raises(ModelError, match=r"TorchScript module \(Sequential\), which takes no hooks"):
        ActivationCache.capture(model, X)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside a model"])
def test_24_traced_model(captured: Capture, inside: bool) -> None:
    """Only its root takes hooks: that output is recorded, and its parts are said to be opaque."""
    model = two_layers()
    traced = torch.jit.trace(model, X)
    cache = captured(nn.Sequential(traced) if inside else traced, X)
    root = "0" if inside else ""
    assert torch.equal(cache[root], model(X)) and cache.never_called == ()
    assert set(cache.opaque) == ({"0.0", "0.1"} if inside else {"0", "1"})


def test_24_exported_model(captured: Capture) -> None:
    """Its modules have no calls of their own: the root is recorded, and a remark says how to have the others."""
    model = two_layers()
    program = torch.export.export(model, (X,))
    cache = captured(program.module(), X)
    assert cache.names() == ("",) and torch.equal(cache[""], model(X))
    assert any("torch.export.unflatten" in remark for remark in cache.remarks)


def test_24_exported_model_with_its_modules(captured: Capture) -> None:
    """torch.export.unflatten brings them back, and they are recorded."""
    model = two_layers()
    unflattened = torch.export.unflatten(torch.export.export(model, (X,)))
    unflattened(X)  # the first time, torch starts a thread for a progress bar
    cache = captured(unflattened, X)
    assert {"0", "1", ""} <= set(cache.names())
    assert torch.equal(cache["0"], model[0](X)) and torch.equal(cache["1"], model(X))


class Raises(nn.Module):
    """Raises what it was made with."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Tensor) -> Tensor:
        raise self.error


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_25_exception_half_way(captured: Capture, error: BaseException) -> None:
    """Nothing is left behind (the fixture compares), the records so far are kept, the user's error stays itself."""
    model: Any = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), Raises(error)), nn.Tanh())
    with pytest.raises((ForwardError, KeyboardInterrupt)) as caught:
        captured(model, X)
    own = caught.value.__cause__ if isinstance(error, Exception) else caught.value
    assert own is error and traceback.extract_tb(own.__traceback__)[-1].line == "raise self.error"
    cache: ActivationCache = caught.value.cache  # type: ignore[attr-defined]
    assert cache.names() == ("0", "1.0") and torch.equal(cache["1.0"], model[0](X).relu())
    assert cache.never_called == ("2",)


def test_25_text_of_a_failed_forward(captured: Capture) -> None:
    """It names the module that raised and the one that finished last."""
    model = nn.Sequential(nn.Linear(4, 4), Raises(ZeroDivisionError("mine")))
    text = (
        r"the forward raised ZeroDivisionError: mine\nRaised in '1' \(Raises, call 0\); the module that finished last "
        r"is '0' \(Linear, call 0\). 1 records made before it are in error.cache."
    )
    with pytest.raises(ForwardError, match=text):
        captured(model, X)


def test_26_exception_that_the_model_catches(captured: Capture) -> None:
    """The stack of calls is right after it: what runs next was called by the model, not by the part that failed."""

    class Catches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bad = nn.Sequential(nn.ReLU(), Raises(ZeroDivisionError()))
            self.good = nn.Sequential(nn.Linear(4, 4))

        def forward(self, x: Tensor) -> Any:
            try:
                return self.bad(x)
            except ZeroDivisionError:
                return self.good(x)

    model: Any = Catches()
    cache = captured(model, X)
    callers = {record.path: record.caller for record in cache.records}
    assert callers == {"bad.0": ("bad", 0), "good.0": ("good", 0), "good": ("", 0), "": None}
    assert torch.equal(cache["good"], model.good(X)) and torch.equal(cache["bad.0"], X.relu())


def test_26_interrupt_that_the_model_catches(captured: Capture) -> None:
    """Of a KeyboardInterrupt torch tells no hook: the stack is right all the same."""

    class Catches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bad, self.good = nn.Sequential(nn.ReLU(), Raises(KeyboardInterrupt())), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Any:
            try:
                self.bad(x)
            except KeyboardInterrupt:
                return self.good(x)

    model: Any = Catches()
    cache = captured(model, X)
    assert {record.path: record.caller for record in cache.records}["good"] == ("", 0)
    assert cache.names() == ("bad.0", "good", "") and torch.equal(cache[""], model.good(X))


class Refuses(Tensor):
    """A tensor that raises whenever a torch function touches it."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError("not with me")


def test_27_our_own_error_stays_with_us(captured: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics that raise: the forward goes on, and the record of that tensor says what happened."""

    def fails(tensor: Tensor) -> None:
        raise NotImplementedError("no arithmetic today")

    monkeypatch.setattr("memviz_widgets.cache.measuring.tensor_stats", fails)
    outputs: list[Tensor] = []
    model = two_layers()
    cache = captured(model, call=lambda m: outputs.append(m(X)))
    assert torch.equal(outputs[0], model(X)) and [record.stats for record in cache.records] == [None] * 3
    assert all("no arithmetic today" in record.note and not record.kept for record in cache.records)
    with pytest.raises(NotKeptError, match="no arithmetic today"):
        cache.get("0")


def test_27_tensor_that_refuses_to_be_looked_at(captured: Capture) -> None:
    """A subclass whose functions raise is returned as it is; the tensors around it have their values."""
    angry = X.as_subclass(Refuses)
    outputs: list[Any] = []

    class Returns(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return x + 1, angry, x + 2

    cache = captured(Returns(), call=lambda m: outputs.append(m(X)))
    assert outputs[0][1] is angry and len(cache.records) == 3
    assert torch.equal(cache.get("", item="0"), X + 1) and torch.equal(cache.get("", item="2"), X + 2)
    record = cache.records[1]
    assert (record.kept and torch.equal(cache.get("", item="1"), X)) or "not with me" in record.note


def test_28_hooks_return_nothing(captured: Capture) -> None:
    """The model returns its own tensor with its own graph, at every call."""
    model, twin, outputs = two_layers(), two_layers(), []
    twin.load_state_dict(model.state_dict())
    captured(model, call=lambda m: outputs.extend([m(X), m(X + 1)]))
    assert torch.equal(outputs[0], twin(X)) and torch.equal(outputs[1], twin(X + 1))
    (outputs[0].sum() + outputs[1].sum()).backward()
    (twin(X).sum() + twin(X + 1).sum()).backward()
    assert type(outputs[0].grad_fn).__name__ == "ReluBackward0"
    assert torch.equal(model[0].weight.grad, twin[0].weight.grad)


def test_29_thread_that_ran_before(captured: Capture) -> None:
    """A server that calls the same model during the capture is not recorded; its answers are right."""
    model, answers = two_layers(), []
    asked, answered, over = threading.Event(), threading.Event(), threading.Event()

    def serve() -> None:
        asked.wait()
        answers.append(model(2 * X))
        answered.set()
        over.wait()

    server = threading.Thread(target=serve)
    server.start()

    def call(m: Any) -> None:
        asked.set()
        answered.wait()
        m(X)

    cache = captured(model, call=call)
    over.set()
    server.join()
    assert len(cache.records) == 3 and torch.equal(cache[""], model(X)) and torch.equal(answers[0], model(2 * X))


def test_29_thread_that_calls_in_the_middle_of_a_call(captured: Capture) -> None:
    """The same while the model is half way in the capturing thread."""
    asked, answered, over = threading.Event(), threading.Event(), threading.Event()

    class Waits(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if threading.current_thread() is not server:
                asked.set()
                answered.wait()
            return x + 1

    def serve() -> None:
        asked.wait()
        model(2 * X)
        answered.set()
        over.wait()

    model = nn.Sequential(nn.Linear(4, 4), Waits(), nn.ReLU())
    server = threading.Thread(target=serve)
    server.start()
    cache = captured(model, X)
    over.set()
    server.join()
    assert [(record.path, record.call) for record in cache.records] == [("0", 0), ("1", 0), ("2", 0), ("", 0)]
    assert torch.equal(cache["1"], model[0](X) + 1)


def test_29_generate_in_a_thread_of_its_own(captured: Capture) -> None:
    """A streamer's thread is followed: one step for the prompt, one per token after it."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=20, n_positions=32, bos_token_id=0, eos_token_id=19)
    model, prompt, found = GPT2LMHeadModel(config).eval(), torch.tensor([[1, 2, 3]]), []
    options = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "pad_token_id": 0}

    def stream(m: Any) -> None:
        thread = threading.Thread(target=lambda: found.append(m.generate(prompt, **options)))
        thread.start()
        thread.join()

    cache = captured(model, call=stream)
    logits = [record for record in cache.records if record.path == "lm_head"]
    assert [record.step for record in logits] == [0, 1, 2, 3]
    tokens = [cache.get("lm_head", step=step)[0, -1].argmax().item() for step in range(4)]
    assert found[0][0, 3:].tolist() == tokens
    blocks = [record.shape for record in cache.records if record.path == "transformer.h.0" and record.item in ("", "0")]
    assert blocks == [(1, 3, 16), (1, 1, 16), (1, 1, 16), (1, 1, 16)]
