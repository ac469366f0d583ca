"""States that are recovered from a layer's inputs and weights, on a small Mamba of our own that runs step by step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.capture import RecoveredValue, memory_scan
from memviz_widgets.capture.memory_mamba import MambaAdapter
from memviz_widgets.records import TensorRecord

from .tiny_mamba import CHANNELS, SIZE, WIDTH, TinyCache, TinyMamba


class BackwardMamba(TinyMamba):
    """Looks like the other one, but reads its input from the end."""

    def forward(
        self, hidden_states: Tensor, cache_params: TinyCache | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """(B, T, WIDTH) to the same."""
        return super().forward(hidden_states.flip(1), cache_params, attention_mask).flip(1)


@pytest.fixture
def layer() -> TinyMamba:
    torch.manual_seed(0)
    return TinyMamba().eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 9, WIDTH, generator=torch.Generator().manual_seed(1))


def state_record(cache: ActivationCache) -> TensorRecord:
    """Of the state, once it was looked at."""
    cache.get("", "state")
    return cache.find("", "state")


def value(layer: nn.Module, x: Tensor, kind: str = "state") -> RecoveredValue:
    """What the adapter hands to the recorder."""
    with torch.no_grad():
        found = {part.kind: part.value for part in MambaAdapter().read(layer, (x,), {}, layer(x))}
    recovered = found[kind]
    assert isinstance(recovered, RecoveredValue)
    return recovered


def test_states_are_those_of_the_loop_at_every_step(layer: TinyMamba, x: Tensor) -> None:
    cache = ActivationCache.capture(layer, x)
    layer.double()(x.double())
    assert (cache.get("", "state") - layer.states).abs().max() < 1e-6


def test_dims_and_memory(layer: TinyMamba, x: Tensor) -> None:
    cache = ActivationCache.capture(layer, x)
    record, dt = cache.find("", "state"), cache.find("", "dt")
    assert (record.dims, record.shape) == (("batch", "time", "channel", "state"), (2, 9, CHANNELS, SIZE))
    assert (dt.dims, dt.shape, dt.memory) == (("batch", "time", "channel"), (2, 9, CHANNELS), record.memory)


def test_each_state_is_what_was_kept_and_written(layer: TinyMamba, x: Tensor) -> None:
    cache = ActivationCache.capture(layer, x)
    state, keep, write = (cache.get("", kind) for kind in ("state", "keep", "write"))
    assert torch.equal(state[:, 0], write[:, 0])
    assert (keep[:, 1:] * state[:, :-1] + write[:, 1:] - state[:, 1:]).abs().max() < 1e-7


def test_residual_is_small_and_stands_in_the_record(layer: TinyMamba, x: Tensor) -> None:
    cache = ActivationCache.capture(layer, x)
    assert cache.find("", "state").residual is None
    residual = state_record(cache).residual
    assert residual is not None and 0 <= residual < 1e-6


def test_layer_that_computes_something_else_has_a_large_residual(x: Tensor) -> None:
    torch.manual_seed(0)
    residual = state_record(ActivationCache.capture(BackwardMamba().eval(), x)).residual
    assert residual is not None and residual > 1e-3


def test_padding_is_neither_read_nor_written(layer: TinyMamba, x: Tensor) -> None:
    mask = torch.ones(2, 9)
    mask[1, :4] = 0
    cache = ActivationCache.capture(layer, call=lambda model: model(x, attention_mask=mask))
    assert (cache.get("", "state")[1, :4] == 0).all()
    layer(x, attention_mask=mask)
    assert (cache.get("", "state") - layer.states).abs().max() < 1e-6


def test_values_do_not_change_when_the_layer_is_trained_on(layer: TinyMamba, x: Tensor) -> None:
    cache = ActivationCache.capture(layer, x)
    layer(x)
    expected = layer.states.detach().clone()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    assert (cache.get("", "state") - expected).abs().max() < 1e-6


@pytest.mark.parametrize("kind", ["state", "keep", "write", "dt"])
def test_window_is_a_part_of_the_whole(layer: TinyMamba, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(memory_scan, "BLOCK", 4)
    monkeypatch.setattr(memory_scan, "CHECKPOINT", 8)
    recovered = value(layer, torch.randn(1, 30, WIDTH), kind)
    whole = recovered.load()
    for start, stop in ((21, 27), (0, 1), (7, 9), (24, 30), (8, 16)):
        assert torch.equal(recovered.read((slice(None), slice(start, stop))), whole[:, start:stop])


def test_later_window_begins_at_a_kept_state(layer: TinyMamba, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_scan, "BLOCK", 4)
    monkeypatch.setattr(memory_scan, "CHECKPOINT", 8)
    recovered, scanned = value(layer, torch.randn(1, 32, WIDTH)), []
    scan: Callable[[Tensor, Tensor, Tensor], Tensor] = memory_scan.scan

    def counted(keep: Tensor, write: Tensor, content: Tensor) -> Tensor:
        scanned.append(keep.shape[1])
        return scan(keep, write, content)

    monkeypatch.setattr("memviz_widgets.capture.memory_mamba.scan", counted)
    recovered.read((slice(None), slice(28, 29)))
    assert sum(scanned) == 32
    scanned.clear()
    recovered.read((slice(None), slice(30, 31)))
    assert sum(scanned) == 8


def test_residual_without_the_values_is_the_same(layer: TinyMamba, x: Tensor) -> None:
    one, other = value(layer, x), value(layer, x)
    assert one.recovery.residual(one.given) == other.recovery.compute(other.given).residual < 1e-6


def test_half_precision_is_computed_in_float32_and_said(layer: TinyMamba, x: Tensor) -> None:
    record = state_record(ActivationCache.capture(layer.bfloat16(), x.bfloat16()))
    assert record.dtype == "float32" and "computed in bfloat16" in record.note


def test_float64_stays_float64(layer: TinyMamba, x: Tensor) -> None:
    record = state_record(ActivationCache.capture(layer.double(), x.double()))
    assert record.dtype == "float64" and record.residual is not None and record.residual < 1e-14


def test_layer_with_an_unknown_activation_is_refused(layer: TinyMamba, x: Tensor) -> None:
    layer.activation = "mish"
    record = ActivationCache.capture(layer, x).find("", "state")
    assert not record.available
    assert record.note.startswith("states not recovered: the activation 'mish' is not known; known are silu, swish")


def test_parametrized_weight_is_refused_and_not_computed_again(layer: TinyMamba, x: Tensor) -> None:
    nn.utils.parametrizations.weight_norm(layer.in_proj)
    record = ActivationCache.capture(layer, x).find("", "state")
    assert not record.available and "in_proj.weight is parametrized" in record.note


def test_input_without_a_batch_is_refused(layer: TinyMamba, x: Tensor) -> None:
    found = list(MambaAdapter().read(layer, (x[0],), {}, x[0]))
    assert [part.value for part in found] == [None]
    assert found[0].note == "states not recovered: the input has 2 axes; expected batch, time and channel."


def test_layer_returns_the_same_bits_with_the_recorder_on(layer: TinyMamba, x: Tensor) -> None:
    assert torch.equal(ActivationCache.capture(layer, x)[""], layer(x))


def test_steps_that_go_on_from_a_cache_are_joined_to_the_first_ones(layer: TinyMamba, x: Tensor) -> None:
    layer(x)
    expected, cache = layer.states.detach(), TinyCache()
    with mv.record(layer) as tape:
        layer(x[:, :5], cache)
        for step in range(5, 9):
            layer(x[:, step : step + 1], cache)
    state = tape.get("", "state")
    assert state.shape == (2, 9, CHANNELS, SIZE) and (state - expected).abs().max() < 1e-6


def test_residual_is_also_that_of_the_state_in_the_cache(layer: TinyMamba, x: Tensor) -> None:
    cache = TinyCache()
    result = layer(x, cache).detach()
    cache.layers[0].recurrent_states[0] = layer.states.detach()[:, -1] + 0.25
    found = next(iter(MambaAdapter().read(layer, (x, cache), {}, result))).value
    assert isinstance(found, RecoveredValue)
    assert found.recovery.residual(found.given) == pytest.approx(0.25, abs=1e-5)


def test_cache_that_is_given_up_takes_the_copies_of_its_states_along(layer: TinyMamba, x: Tensor) -> None:
    adapter, cache = MambaAdapter(), TinyCache()
    list(adapter.read(layer, (x,), {"cache_params": cache}, layer(x, cache)))
    kept = cache.layers[0]
    before = adapter._seen.get(kept)
    assert before is not None and before.steps == 9
    assert len(adapter._seen) == 1
    del cache, kept
    assert len(adapter._seen) == 0
