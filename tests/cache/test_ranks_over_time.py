"""What several ranks saved of calls in a loop is joined over ranks and over time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.cache.ranks_values import not_recorded

from .rank_parts import batch_of, loop_without_rank_1, placed, whole_of


def test_calls_of_a_loop_are_joined_over_ranks_and_time(tmp_path: Path) -> None:
    torch.manual_seed(0)
    cell, x = nn.GRUCell(3, 5), torch.randn(4, 5, 3)

    def run(samples: Tensor) -> ActivationCache:
        state = torch.zeros(samples.shape[1], 5)
        with mv.record(cell) as cache:
            for each in samples:
                state = cell(each, state)
        return cache

    for rank, samples in enumerate((x[:, :2], x[:, 2:])):
        placed(run(samples), rank, batch_of(2)).save(tmp_path / "run.zarr", rank=rank, world_size=2)
    joined, single = ActivationCache.open(tmp_path / "run.zarr"), run(x)
    (label,) = joined.memories()
    for one, many in zip(single.memories()[label], joined.memories()[label], strict=True):
        assert (many.kind, many.shape) == (one.kind, one.shape)
        torch.testing.assert_close(joined.get("", one.kind), single.get("", one.kind), rtol=1e-6, atol=1e-6)
    assert joined.get("", "hidden").shape == (5, 4, 5)


def test_a_lost_rank_is_missing_in_what_is_joined_over_time(tmp_path: Path) -> None:
    joined = loop_without_rank_1(tmp_path / "run.zarr")
    (parts,) = joined.memories().values()
    value = joined.value(parts[0])
    assert parts[0].shape == (6, 4, 5) and "rank 1 of 3 missing" in parts[0].note
    found = [sample for sample in range(6) if not_recorded(value, (sample, 3, 0))]
    assert found == [2, 3] and torch.isnan(joined.get("", "hidden")[:, 3, 0]).nonzero().flatten().tolist() == found


def test_a_generated_text_is_one_map_of_all_ranks(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    ids = torch.randint(3, 50, (3, 5))

    def generated(rows: Tensor) -> ActivationCache:
        cache = transformers.DynamicCache()
        with torch.no_grad(), mv.record(language_model()) as recording:
            for chunk in (rows[:, :3], rows[:, 3:4], rows[:, 4:]):
                recording._session.model(chunk, past_key_values=cache, use_cache=True)
        return recording

    for rank, rows in enumerate((ids[:1], ids[1:])):
        placed(generated(rows), rank, batch_of(2)).save(tmp_path / "run.zarr", rank=rank, world_size=2)
    joined, single = ActivationCache.open(tmp_path / "run.zarr"), generated(ids)
    over_time = [record for record in single.records if record.parts]
    assert {record.kind for record in over_time} >= {"attention", "key", "value"}
    for one in over_time:
        many = next(
            each
            for each in joined.records
            if each.parts and (each.path, each.kind, each.item) == (one.path, one.kind, one.item)
        )
        assert (many.dims, many.shape, many.memory) == (one.dims, one.shape, one.memory)
        torch.testing.assert_close(whole_of(joined, many), whole_of(single, one), rtol=1e-5, atol=1e-6)


def language_model() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    torch.manual_seed(0)
    model: nn.Module = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=50, **sizes, **heads)).eval()
    return model
