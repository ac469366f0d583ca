"""Recurrent and state-space models of transformers: states of every step, held against the cache of a slower run.

The slower run feeds one token at a time and copies what the model's own cache holds after each: none of the package's
formulas are in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch

import memviz_widgets as mv
from memviz_widgets import ActivationCache

from .attention_families import uneven

transformers = pytest.importorskip("transformers")

from ..zoo.registry import GROUPED  # noqa: E402  # needs transformers
from .state_space_runs import (  # noqa: E402
    IDS,
    NAMES,
    Generation,
    assert_same,
    built,
    contents,
    held,
    ids_for,
    loaded,
    run,
)

TRUSTED = 1e-4
DELTA: dict[str, Any] = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}


@pytest.fixture(autouse=True)
def no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("name", NAMES)
def test_states_of_all_steps_are_those_of_a_run_by_single_tokens(name: str) -> None:
    model, ids = built(name), ids_for(name)
    cache = ActivationCache.capture(model, call=partial(run, ids=ids))
    records, step, slow = contents(cache), Generation(model, name), []
    for position in range(ids.shape[1]):
        step(ids[:, position : position + 1], position)
        slow.append([held(model, name, step.carried, record) for record in records])
    assert records
    for record, *states in zip(records, *slow, strict=True):
        assert_same(loaded(cache, record), torch.stack(states, 1))


@pytest.mark.parametrize("name", NAMES)
def test_residuals_are_trusted_with_and_without_a_cache(name: str) -> None:
    model, ids = built(name, limited=True), ids_for(name)
    for use_cache in (True, False):
        cache = ActivationCache.capture(model, call=partial(run, ids=ids, use_cache=use_cache))
        for record in contents(cache):
            loaded(cache, record)
            cache.get(record.path, "keep", item=record.item)
            kept = cache.find(record.path, "keep", item=record.item)
            assert kept.residual is not None and kept.residual < TRUSTED


@pytest.mark.parametrize("name", NAMES)
def test_each_state_is_what_was_kept_and_written(name: str) -> None:
    model, ids = built(name), ids_for(name)
    cache = ActivationCache.capture(model, call=partial(run, ids=ids))
    for record in contents(cache):
        state = loaded(cache, record)
        keep, write = (cache.get(record.path, kind, item=record.item) for kind in ("keep", "write"))
        before = torch.cat([torch.zeros_like(state[:, :1]), state[:, :-1]], 1)
        assert_same(keep * before + write, state)


@pytest.mark.parametrize("name", NAMES)
def test_prefill_and_single_tokens_are_joined_to_one_series(name: str) -> None:
    model, ids = built(name), ids_for(name)
    whole = ActivationCache.capture(model, call=partial(run, ids=ids))
    step = Generation(model, name)
    with mv.record(model) as tape:
        step(ids[:, :6], 0)
        for position in range(6, ids.shape[1]):
            step(ids[:, position : position + 1], position)
    for record, joined in zip(contents(whole), contents(tape), strict=True):
        assert joined.parts
        assert_same(loaded(tape, joined), loaded(whole, record))
        for kind in ("keep", "write"):
            fits = [r for r in tape.records if r.parts and (r.kind, r.memory) == (kind, joined.memory)]
            assert len(fits) == 1
            assert_same(loaded(tape, fits[0]), whole.get(record.path, kind, item=record.item))


@pytest.mark.parametrize("name", ["mamba2", "bamba", "qwen3_next", "rwkv", "xlstm"])
def test_chunk_that_goes_on_from_a_cache_begins_with_its_state(name: str) -> None:
    model, ids = built(name), ids_for(name)
    step = Generation(model, name)
    with mv.record(model) as tape:
        step(ids[:, :4], 0)
        step(ids[:, 4:], 4)
    for record in contents(tape):
        loaded(tape, record)
    residuals = [record.residual for record in tape.records if record.kind == "state"]
    assert residuals and all(residual is not None and residual < TRUSTED for residual in residuals)


@pytest.mark.parametrize("name", ["mamba", "zamba", "bamba", "qwen3_next", "rwkv"])
def test_recording_that_begins_at_a_filled_cache_says_so(name: str) -> None:
    model, ids = built(name), ids_for(name)
    step = Generation(model, name)
    step(ids[:, :6], 0)
    with mv.record(model) as tape:
        step(ids[:, 6:7], 6)
    record = contents(tape)[0]
    assert "The recording began within a sequence" in record.note
    assert torch.equal(loaded(tape, record)[:, 0], held(model, name, step.carried, record))
    assert not any(each.kind == "keep" for each in tape.records)


def qwen3_5() -> Any:
    """A gated delta net with projections apart."""
    config = transformers.Qwen3_5TextConfig(**DELTA, **GROUPED)
    return transformers.Qwen3_5ForCausalLM(config)


def olmo_hybrid() -> Any:
    """A gated delta net that writes with up to twice the strength."""
    config = transformers.OlmoHybridConfig(**DELTA, linear_allow_neg_eigval=True, **GROUPED)
    return transformers.OlmoHybridForCausalLM(config)


@pytest.mark.parametrize("build", [qwen3_5, olmo_hybrid])
def test_other_gated_delta_nets(build: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    model = uneven(build(), 0.1)
    cache = ActivationCache.capture(model, call=partial(run, ids=IDS))
    (record,) = contents(cache)
    state, strength = loaded(cache, record), cache.get(record.path, "gate.write")
    assert state.shape == (2, 9, 4, 8, 8) and strength.min() >= 0 and strength.max() <= 1
    assert (residual := cache.records[record.index].residual) is not None and residual < TRUSTED


def test_limit_of_dt_holds_in_a_prefill_and_not_at_single_tokens() -> None:
    model = built("nemotron_h")
    for module in model.modules():
        if hasattr(module, "time_step_limit"):
            module.time_step_limit = (0.5, float("inf"))
    step = Generation(model, "nemotron_h")
    with mv.record(model) as tape:
        step(IDS[:, :6], 0)
        step(IDS[:, 6:7], 6)
    record = contents(tape)[0]
    loaded(tape, record)
    assert all((tape.records[part].residual or 0) < 1e-6 for part in record.parts)
    dt = tape.get(record.path, "dt")
    assert (dt[:, :6] >= 0.5).all() and (dt[:, 6] < 0.5).any()


@pytest.mark.parametrize("norm_first", [True, False])
def test_mamba2_layer_with_a_norm_before_or_after_its_gate(*, norm_first: bool) -> None:
    mamba = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_ssm": 64, "mamba_d_state": 8, "mamba_n_groups": 2}
    norm = {"mamba_rms_norm": True, "mamba_norm_before_gate": norm_first}
    config = transformers.FalconH1Config(mamba_chunk_size=8, head_dim=8, **mamba, **norm, **GROUPED)
    assert_trusted(transformers.FalconH1ForCausalLM(config))


def test_xlstm_layer_that_projects_all_at_once() -> None:
    sizes = {"hidden_size": 128, "embedding_dim": 128, "num_hidden_layers": 2, "num_blocks": 2, "num_heads": 4}
    kind = {"weight_mode": "fused", "chunk_size": 16, "mode": "inference", "use_bias": True}
    config = transformers.xLSTMConfig(vocab_size=99, **sizes, **kind)
    # The layer alone: transformers 5.23 cannot initialise a whole model of this kind.
    layer = transformers.models.xlstm.modeling_xlstm.xLSTMLayer(config)
    assert_trusted(layer, lambda model: model(torch.randn(2, 9, 128)))


def assert_trusted(model: Any, call: Callable[[Any], Any] | None = None) -> None:
    """All states of one forward have a small residual, and there are some."""
    cache = ActivationCache.capture(uneven(model, 0.1), call=call or partial(run, ids=IDS))
    records = contents(cache)
    for record in records:
        loaded(cache, record)
        residual = cache.records[record.index].residual
        assert residual is not None and residual < TRUSTED
    assert records


def test_padding_is_left_out_of_the_states() -> None:
    model, mask = built("mamba2"), torch.ones_like(IDS)
    mask[1, :3] = 0
    cache = ActivationCache.capture(model, call=lambda m: m(input_ids=IDS, attention_mask=mask))
    record = contents(cache)[0]
    state = loaded(cache, record)
    assert (state[1, :3] == 0).all() and (state[1, 3:] != 0).any()
    assert (residual := cache.records[record.index].residual) is not None and residual < TRUSTED


def test_batch_of_rwkv_that_goes_on_by_a_token_is_refused() -> None:
    model = built("rwkv")
    step = Generation(model, "rwkv")
    with mv.record(model) as tape:
        step(IDS[:, :6], 0)
        step(IDS[:, 6:7], 6)
    refused = [record for record in tape.records if record.kind == "state" and not record.shape]
    assert "states not recovered: the layer returned (2, 2, 32) for an input of (2, 1, 32)." in refused[0].note


def test_model_returns_the_same_bits_with_the_recorder_on() -> None:
    for name in ("mamba", "qwen3_next", "rwkv"):
        model = built(name)
        expected = model(input_ids=IDS, use_cache=True).logits
        cache = ActivationCache.capture(model, call=partial(run, ids=IDS))
        assert torch.equal(cache.get("", item="logits"), expected)
