"""Beyond the checklist: wrappers, quantized and compiled parts, other entry points, and generation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

import memviz_widgets as mv

from .model_state import Capture, unchanged

X = torch.arange(32, dtype=torch.float32).view(8, 4) - 15.5


def two_layers() -> Any:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU())


@pytest.mark.parametrize("budget", ["1 GiB", 0], ids=["held", "replayed"])
def test_parts_called_by_keyword_only(captured: Capture, budget: object) -> None:
    """Their hooks get no positional argument at all."""

    class Scales(nn.Module):
        def forward(self, *, x: Tensor, by: float = 1.0) -> Tensor:
            return x * by

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.scales = nn.Linear(4, 4), nn.ModuleList([Scales(), Scales()])

        def forward(self, *, x: Tensor, by: float) -> Tensor:
            x = self.linear(input=x)
            for scale in self.scales:
                x = scale(by=by, x=x)
            return x

    model = Net()
    cache = captured(model, {"x": X, "by": 3.0}, budget=budget)
    hidden = model.linear(X)
    assert torch.equal(cache["linear"], hidden) and torch.equal(cache["scales.0"], hidden * 3)
    assert torch.equal(cache["scales.1"], hidden * 3 * 3) and torch.equal(cache[""], cache["scales.1"])


def test_call_of_another_method(captured: Capture) -> None:
    """The model's forward does not run; its parts are recorded, outermost each, in one step."""

    class AutoEncoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = two_layers(), two_layers()

        def encode(self, x: Tensor) -> Any:
            return self.encoder(self.encoder(x))

        def forward(self, x: Tensor) -> Any:
            return self.decoder(self.encode(x))

    model: Any = AutoEncoder()
    cache = captured(model, call=lambda m: m.encode(X))
    assert cache.names() == ("encoder.0", "encoder.1", "encoder")
    assert cache.never_called == ("", "decoder", "decoder.0", "decoder.1")
    calls = [(record.step, record.call, record.caller) for record in cache.records if record.path == "encoder"]
    assert calls == [(0, 0, None), (0, 1, None)]
    assert torch.equal(cache.get("encoder", call=1), model.encode(X))


def test_call_that_is_run_again(captured: Capture) -> None:
    """With call=, a value over the budget comes from running the same function once more."""
    ran: list[int] = []

    def call(m: Any) -> None:
        ran.append(1)
        m(m(X) + 1)

    model = two_layers()
    cache = captured(model, call=call, budget=0)
    assert torch.equal(cache.get("0", step=1), model[0](model(X) + 1)) and len(ran) == 2


@pytest.mark.parametrize("sample", [False, True], ids=["greedy", "sampled"])
def test_generate(captured: Capture, sample: bool) -> None:
    """A step per token; the tokens are those of a run without a capture; any step can be computed again."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes: dict[str, Any] = {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 8, "vocab_size": 9}
    model = LlamaForCausalLM(LlamaConfig(num_attention_heads=4, num_key_value_heads=2, **sizes)).eval()
    ids, found = torch.tensor([[1, 2, 3]]), []
    options = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": sample, "pad_token_id": 0}

    def generate(m: Any) -> None:
        found.append(m.generate(ids, **options))

    whole, cache = captured(model, call=generate), captured(model, call=generate, budget=0)
    generate(model)
    assert found[0].tolist() == found[1].tolist() == found[2].tolist() and found[0].shape == (1, 7)
    assert [record.step for record in whole.records if record.path == "model.norm"] == [0, 1, 2, 3]
    for step in range(4):
        assert torch.equal(cache.get("model.layers.1", step=step), whole.get("model.layers.1", step=step))
        weights = whole.attention("model.layers.0.self_attn", step=step)
        assert weights.shape == (1, 4, 3 if step == 0 else 1, 3 + step)
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:3]))


@pytest.fixture
def one_process_group(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A group of this process alone, over the loopback device."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    store = dist.TCPStore("127.0.0.1", 0, 1, is_master=True)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def check_names_and_values(captured: Capture, wrapped: nn.Module, plain: Any) -> None:
    cache = captured(wrapped, X)
    assert cache.names() == ("0", "1", "") and cache.never_called == ()
    assert torch.equal(cache["0"], plain[0](X)) and torch.equal(cache[""], plain(X))
    assert torch.equal(cache["module.0"], cache["0"]), "its name in the wrapper finds it too"


def test_data_parallel(captured: Capture) -> None:
    """Names are those of the model inside."""
    plain = two_layers()
    check_names_and_values(captured, nn.DataParallel(plain), plain)


def test_distributed_data_parallel(captured: Capture, one_process_group: None) -> None:
    """Names are those of the model inside, and training goes on afterwards."""
    plain = two_layers()
    wrapped = nn.parallel.DistributedDataParallel(plain)
    check_names_and_values(captured, wrapped, plain)
    wrapped(X).sum().backward()
    own = plain[0].weight.grad.clone()
    plain.zero_grad()
    plain(X).sum().backward()
    assert torch.equal(own, plain[0].weight.grad)


def test_autocast(captured: Capture) -> None:
    """Values are the bfloat16 ones that the model computed, statistics are exact, a replay runs under autocast too."""
    model = two_layers()
    with torch.autocast("cpu", torch.bfloat16):
        cache, rerun = captured(model, X), captured(model, X, budget=0)
        expected = model[0](X)
    assert expected.dtype is torch.bfloat16
    for each in (cache, rerun):
        assert torch.equal(each["0"], expected) and each["0"].dtype is torch.bfloat16
        stats = each.find("0").stats
        assert stats is not None and stats.mean == pytest.approx(expected.double().mean().item(), rel=1e-12)


@pytest.mark.parametrize("budget", ["1 GiB", 0], ids=["held", "replayed"])
def test_gradient_taken_inside_the_forward(captured: Capture, budget: object) -> None:
    """A model that calls torch.autograd.grad (a force field): both its outputs and its parts are right."""

    class Energy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))

        def forward(self, x: Tensor) -> Any:
            x = x.detach().requires_grad_()
            energy = self.net(x).sum()
            return energy, -torch.autograd.grad(energy, x, create_graph=self.training)[0]

    model = Energy().train()
    energy, force = model(X)
    cache = captured(model, X, budget=budget)
    assert torch.equal(cache.get("", item="0"), energy) and torch.equal(cache.get("", item="1"), force)
    assert torch.equal(cache["net.0"], model.net[0](X)) and all(each.grad is None for each in model.parameters())


@pytest.mark.filterwarnings("ignore")
def test_dynamically_quantized_model(captured: Capture) -> None:
    """Packed weights are no parameters; the layers are recorded by what they return."""
    plain = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    model: Any = torch.ao.quantization.quantize_dynamic(plain, {nn.Linear}, torch.qint8)
    cache, rerun = captured(model, X), captured(model, X, budget=0)
    hidden = model[0](X)
    for each in (cache, rerun):
        assert torch.equal(each["0"], hidden) and torch.equal(each[""], model(X))
    assert (cache.find("0").dtype, cache.find("2").shape) == ("float32", (8, 2))


def test_symbolic_trace(captured: Capture) -> None:
    """torch.fx's version of a model calls the same modules: they are recorded under their names."""
    model = two_layers()
    cache = captured(torch.fx.symbolic_trace(model), X)
    assert cache.names() == ("0", "1", "") and torch.equal(cache["0"], model[0](X))


def test_recording_across_exceptions_of_the_loop() -> None:
    """A step that fails leaves the later ones right, each with its own number."""

    class Fussy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = two_layers()

        def forward(self, x: Tensor) -> Any:
            out = self.layers(x)
            if x.sum() > 0:
                raise ZeroDivisionError
            return out

    model: Any = Fussy()
    with unchanged(model), mv.record(model) as cache:
        for x in (-X.abs(), X.abs(), -2 * X.abs()):
            with suppress(ZeroDivisionError):
                model(x)
    steps = [(record.path, record.step) for record in cache.records if record.path in ("layers", "")]
    assert steps == [("layers", 0), ("", 0), ("layers", 1), ("layers", 2), ("", 2)]
    assert torch.equal(cache.get("layers", step=2), model.layers(-2 * X.abs()))
    assert cache.find("layers.0", step=1).caller == ("layers", 0)


def test_sdpa_of_nested_tensors(captured: Capture) -> None:
    """Sequences of different lengths without padding: weights with zeros where there is no key."""

    class Attends(nn.Module):
        def forward(self, q: Tensor) -> Tensor:
            return functional.scaled_dot_product_attention(q, q, q)

    parts = [torch.randn(2, 5, 8), torch.randn(2, 3, 8)]
    with torch.no_grad():
        cache = captured(Attends(), torch.nested.nested_tensor(parts))
    weights = cache.attention("")
    for at, part in enumerate(parts):
        expected = (part @ part.mT / 8**0.5).softmax(-1)
        size = part.shape[1]
        torch.testing.assert_close(weights[at, :, :size, :size], expected, rtol=0, atol=1e-6)
        assert weights[at, :, :, size:].abs().sum() == 0
