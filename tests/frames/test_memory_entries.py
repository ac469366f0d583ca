"""Entries of a key-value cache: norms, attention received beside its baseline, eviction and bytes, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from memviz_widgets.frames.memory_entries import ENTRY_MEASURES

from .fake_cache import FakeCache
from .memory_world import CACHED, numbers, page_of

WEIGHTS = ("batch", "head", "query", "key")


def kv_cache(steps: int = 4, *attention: torch.Tensor, heads: int = 2) -> FakeCache:
    """Keys and values of one layer, and the attention of each call; every call is one part of the keys."""
    keys, values = numbers(1, heads, steps, 3).float(), numbers(1, heads, steps, 3, seed=1).float()
    calls = [(each, WEIGHTS) for each in attention]
    parts = [(keys[:, :, :1], CACHED)] * len(attention)
    cache = FakeCache((keys, CACHED), (values, CACHED), *calls, *parts)
    first = 2 + len(attention)
    for index, kind in ((0, "key"), (1, "value")):
        cache.change(index, kind=kind, memory="attn", path="attn", parts=tuple(range(first, first + len(parts))))
    for call in range(len(attention)):
        cache.change(2 + call, kind="attention", path="attn", step=call)
        cache.change(first + call, kind="key", path="attn", memory="attn", step=call)
    return cache


def row(cache: FakeCache, name: str) -> np.ndarray:
    """(Hkv, T) of one measure."""
    return page_of(cache, 0, "entries").cells[ENTRY_MEASURES.index(name)]


def causal(steps: int, heads: int) -> torch.Tensor:
    scores = numbers(1, heads, steps, steps).masked_fill(torch.ones(steps, steps).triu(1).bool(), -torch.inf)
    return scores.softmax(-1)


def test_page_has_a_row_per_measure_and_a_column_per_entry() -> None:
    page = page_of(kv_cache(4), 0, "entries")
    assert page.shape == (len(ENTRY_MEASURES), 2, 4) and page.dtype == "float32"


def test_norms_are_over_channels() -> None:
    cache = kv_cache(4)
    assert isinstance(cache.values[0], torch.Tensor) and isinstance(cache.values[1], torch.Tensor)
    np.testing.assert_allclose(row(cache, "key norm"), cache.values[0][0].norm(dim=-1).numpy(), rtol=1e-6)
    np.testing.assert_allclose(row(cache, "value norm"), cache.values[1][0].norm(dim=-1).numpy(), rtol=1e-6)


def test_no_attention_no_attention_received() -> None:
    cache = kv_cache(4)
    assert np.isnan(row(cache, "attention received")).all() and np.isnan(row(cache, "uniform baseline")).all()


def test_attention_received_is_a_sum_over_queries_and_a_mean_over_heads_that_share() -> None:
    weights = causal(4, 4)
    cache = kv_cache(4, weights)
    expected = weights[0].sum(1).reshape(2, 2, 4).mean(1)
    np.testing.assert_allclose(row(cache, "attention received"), expected.numpy(), rtol=1e-5)
    harmonic = [1 + 1 / 2 + 1 / 3 + 1 / 4, 1 / 2 + 1 / 3 + 1 / 4, 1 / 3 + 1 / 4, 1 / 4]
    np.testing.assert_allclose(row(cache, "uniform baseline")[1], harmonic, rtol=1e-6)


def test_uniform_attention_is_its_own_baseline() -> None:
    uniform = torch.ones(1, 2, 4, 4).tril() / torch.arange(1, 5).reshape(4, 1)
    cache = kv_cache(4, uniform)
    np.testing.assert_allclose(row(cache, "attention received"), row(cache, "uniform baseline"), rtol=1e-6)


def test_steps_of_a_generation_are_added_up() -> None:
    """A prompt of 2 tokens, then two steps of one query each: the same as all 4 queries at once."""
    weights = causal(4, 2)
    steps = weights[:, :, :2, :2], weights[:, :, 2:3, :3], weights[:, :, 3:, :4]
    for name in ("attention received", "uniform baseline"):
        np.testing.assert_allclose(row(kv_cache(4, *steps), name), row(kv_cache(4, weights), name), rtol=1e-5)


def test_sliding_window_and_static_cache_stand_at_absolute_positions() -> None:
    one = torch.ones(1, 2, 1, 1)
    two = torch.tensor([0.25, 0.75]).expand(1, 2, 1, 2)
    sliding = kv_cache(3, one, two, two)  # the last step sees positions 1 and 2 only
    assert row(sliding, "attention received")[0].tolist() == [1.25, 1, 0.75]
    padded = torch.tensor([0.25, 0.75, 0, 0, 0]).expand(1, 2, 1, 5)
    static = kv_cache(2, torch.tensor([1.0, 0, 0, 0, 0]).expand(1, 2, 1, 5), padded)
    assert row(static, "attention received")[0].tolist() == [1.25, 0.75]
    assert row(static, "uniform baseline")[0].tolist() == [1.5, 0.5]


def test_other_calls_are_not_added() -> None:
    cache = kv_cache(4, causal(4, 2))
    cache.change(2, step=7)
    assert np.isnan(row(cache, "attention received")).all()


def test_bytes_grow_by_keys_and_values_of_all_heads() -> None:
    assert row(kv_cache(4), "bytes")[0].tolist() == [48, 96, 144, 192]  # 2 (k, v) * 2 heads * 3 channels * 4 bytes


@pytest.mark.parametrize(
    ("note", "held", "entries"),
    [
        ("", [3, 3, 3, 3], [1, 2, 3, 4]),
        ("sliding window of 2: older entries are evicted", [1, 2, 3, 3], [1, 2, 2, 2]),
        ("static cache of 128 entries", [3, 3, 3, 3], [128] * 4),
    ],
)
def test_what_is_held_and_its_bytes(note: str, held: list[int], entries: list[int]) -> None:
    cache = kv_cache(4)
    cache.change(0, note=note)
    assert row(cache, "held until")[1].tolist() == held
    assert row(cache, "bytes")[1].tolist() == [48 * count for count in entries]


def test_too_many_weights_are_not_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz_widgets.frames.memory_entries.ATTENDED_CELLS", 31)
    page = page_of(kv_cache(4, causal(4, 2)), 0, "entries")
    assert page.sampled and np.isnan(page.cells[2]).all() and not np.isnan(page.cells[0]).any()
