"""KV caches of transformers: what was recorded entry by entry is what the model's own cache holds at the end."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache

transformers = pytest.importorskip("transformers")

TEXT = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
IDS = torch.randint(3, 50, (2, 7), generator=torch.Generator().manual_seed(0))
WINDOW = 4
SLIDING = {**TEXT, "sliding_window": WINDOW}


def build(name: str, **options: Any) -> nn.Module:
    config = getattr(transformers, f"{name}Config")(**options)
    torch.manual_seed(0)
    model: nn.Module = getattr(transformers, f"{name}ForCausalLM")(config)
    return model.eval()


def record_steps(model: nn.Module, cache: Any, chunks: list[Tensor]) -> ActivationCache:
    """Feed ids chunk by chunk through one cache, in a loop of our own."""
    with torch.no_grad(), mv.record(model) as recording:
        for chunk in chunks:
            model(chunk, past_key_values=cache, use_cache=True)
    return recording


def whole(recording: ActivationCache, path: str, kind: str) -> Tensor:
    """The value of the last record of a kind: the joined one, where several were joined."""
    record = [each for each in recording.records if each.path == path and each.kind == kind][-1]
    assert record.dims == ("batch", "head", "time", "channel")
    value = recording.value(record)
    loaded = value if isinstance(value, Tensor) else value.load()
    assert tuple(loaded.shape) == record.shape
    return loaded


def one_by_one(prefill: int = 3) -> list[Tensor]:
    return [IDS[:, :prefill], *IDS[:, prefill:].split(1, 1)]


@pytest.mark.parametrize("chunks", [one_by_one(), [IDS], list(IDS.split(3, 1))], ids=["steps", "prefill", "chunks"])
@pytest.mark.parametrize("name", ["Llama", "GPTNeoX", "Qwen2", "Bloom", "Falcon"])
def test_a_dynamic_cache_is_recorded_in_full(name: str, chunks: list[Tensor]) -> None:
    options = {"Bloom": {"vocab_size": 50, "hidden_size": 16, "n_head": 4, "n_layer": 2}}
    model, cache = build(name, **options.get(name, TEXT)), transformers.DynamicCache()
    recording = record_steps(model, cache, chunks)
    paths = [record.path for record in recording.records if record.kind == "key" and record.step == 0]
    for path, layer in zip(dict.fromkeys(paths), cache.layers, strict=True):
        assert torch.equal(whole(recording, path, "key"), layer.keys)
        assert torch.equal(whole(recording, path, "value"), layer.values)


def test_only_new_entries_are_recorded() -> None:
    recording = record_steps(build("Llama", **TEXT), transformers.DynamicCache(), one_by_one())
    parts = [r for r in recording.records if r.kind == "key" and r.path.endswith("0.self_attn") and not r.parts]
    assert [part.shape[2] for part in parts] == [3, 1, 1, 1, 1]
    assert {part.memory for part in parts} == {"model.layers.0.self_attn"}


def test_a_static_cache_is_recorded_without_its_empty_places() -> None:
    model = build("Llama", **TEXT)
    cache = transformers.StaticCache(config=model.config, max_cache_len=32)
    recording = record_steps(model, cache, one_by_one())
    keys = whole(recording, "model.layers.1.self_attn", "key")
    assert keys.shape[2] == 7
    assert torch.equal(keys, cache.layers[1].keys[:, :, :7])
    assert {r.note for r in recording.records if r.kind == "key"} == {"static cache of 32 entries"}


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_a_sliding_cache_gives_every_entry_its_place_in_the_text(static: bool) -> None:
    model = build("Mistral", **SLIDING)
    of_all = transformers.DynamicCache()  # without a config it keeps everything
    with torch.no_grad():
        model(IDS, past_key_values=of_all, use_cache=True)
    sliding = (
        transformers.StaticCache(config=model.config, max_cache_len=32)
        if static
        else transformers.DynamicCache(config=model.config)
    )
    recording = record_steps(model, sliding, one_by_one())
    keys = whole(recording, "model.layers.0.self_attn", "key")
    assert torch.allclose(keys, of_all.layers[0].keys, atol=1e-6)  # the first layer sees no window
    notes = {record.note for record in recording.records if record.kind == "key"}
    assert notes == {f"sliding window of {WINDOW}: older entries are evicted"}


def test_entries_that_a_prefill_evicts_are_marked_as_no_data() -> None:
    model = build("Mistral", **SLIDING)
    cache = transformers.DynamicCache(config=model.config)
    recording = record_steps(model, cache, [IDS[:, :6], IDS[:, 6:]])
    keys = whole(recording, "model.layers.0.self_attn", "key")
    assert keys.shape[2] == 7
    assert keys[:, :, :3].isnan().all()  # a window of 4 keeps 3 entries between the calls
    assert torch.equal(keys[:, :, 4:], cache.layers[0].keys)
    first = next(record for record in recording.records if record.kind == "key")
    assert "entries 0 to 2 were evicted before they could be read: no data" in first.note


def test_a_cache_that_was_filled_before_is_recorded_from_its_first_entry() -> None:
    model, cache = build("Llama", **TEXT), transformers.DynamicCache()
    record_steps(model, cache, [IDS[:, :3]])
    recording = record_steps(model, cache, [IDS[:, 3:5]])  # goes on where the first one ended
    keys = whole(recording, "model.layers.0.self_attn", "key")
    assert torch.equal(keys, cache.layers[0].keys)
    first = next(record for record in recording.records if record.kind == "key")
    assert first.note == "3 entries are from before the recording"


def test_a_beam_search_that_reorders_its_cache_is_recorded_whole() -> None:
    model, cache = build("Llama", **TEXT), transformers.DynamicCache()
    with torch.no_grad(), mv.record(model) as recording:
        model(IDS[:, :3], past_key_values=cache, use_cache=True)
        cache.reorder_cache(torch.tensor([1, 0]))
        model(IDS[:, 3:4], past_key_values=cache, use_cache=True)
    last = [r for r in recording.records if r.kind == "key" and r.path.endswith("0.self_attn")][-1]
    assert last.shape[2] == 4
    assert last.note == "older entries were rewritten or reordered: all are recorded again"


def test_a_cache_that_was_cut_back_is_recorded_whole() -> None:
    model, cache = build("Llama", **TEXT), transformers.DynamicCache()
    with torch.no_grad(), mv.record(model) as recording:
        model(IDS[:, :5], past_key_values=cache, use_cache=True)
        cache.crop(-2)
        model(IDS[:, 5:], past_key_values=cache, use_cache=True)
    last = [r for r in recording.records if r.kind == "key" and r.path.endswith("0.self_attn")][-1]
    assert last.shape[2] == 5
    assert last.note == "the cache was cut back to 3 entries and went on differently: all are recorded again"


def test_two_texts_are_two_sequences() -> None:
    model = build("Llama", **TEXT)
    with torch.no_grad(), mv.record(model) as recording:
        for _ in range(2):
            cache = transformers.DynamicCache()
            for chunk in one_by_one(5):
                model(chunk, past_key_values=cache, use_cache=True)
    both = [r for r in recording.records if r.kind == "key" and r.path.endswith("0.self_attn") and r.parts]
    assert [record.shape[2] for record in both] == [7, 7]


def test_generate_is_recorded_by_step() -> None:
    model = build("Llama", **TEXT)
    lengths = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    mask = torch.ones_like(IDS)
    recording = ActivationCache.capture(model, call=lambda m: m.generate(IDS, attention_mask=mask, **lengths))
    assert whole(recording, "model.layers.0.self_attn", "key").shape == (2, 2, 10, 4)  # the last token is not fed


@pytest.mark.parametrize("name", ["T5", "Bart", "Whisper"])
def test_an_encoder_decoder_has_the_memory_of_its_self_attention_only(name: str) -> None:
    sizes = {"vocab_size": 50, "d_model": 16, "decoder_start_token_id": 0, "pad_token_id": 0}
    options = {
        "T5": {"d_kv": 4, "d_ff": 32, "num_layers": 1, "num_heads": 4},
        "Bart": {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 4},
        "Whisper": {"encoder_layers": 1, "decoder_layers": 1, "num_mel_bins": 8, "max_source_positions": 10},
    }[name]
    if name == "Whisper":
        options |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "eos_token_id": 2, "bos_token_id": 1}
    config = getattr(transformers, f"{name}Config")(**sizes, **options)
    model = getattr(transformers, f"{name}Model")(config).eval()
    given = {"input_features": torch.randn(2, 8, 20)} if name == "Whisper" else {"input_ids": IDS}
    with torch.no_grad(), mv.record(model) as recording:
        past: Any = None
        for token in IDS[:, :3].split(1, 1):
            past = model(**given, decoder_input_ids=token, past_key_values=past, use_cache=True).past_key_values
    keys = [record for record in recording.records if record.kind == "key"]
    assert len({record.path for record in keys}) == 1
    held = past.self_attention_cache.layers[0]
    assert torch.equal(whole(recording, keys[0].path, "key"), held.keys)
    assert torch.equal(whole(recording, keys[0].path, "value"), held.values)


def test_a_quantized_cache_says_that_it_is_not_read() -> None:
    layer_type = transformers.cache_utils.Fp8QuantizedLayer
    model, cache = build("Llama", **TEXT), transformers.DynamicCache()
    cache.layers = [layer_type() for _ in range(2)]
    recording = record_steps(model, cache, [IDS])
    notes = {record.note for record in recording.records if record.kind == "key"}
    assert notes == {"the cache keeps its entries quantized, in a form of its own: they are not read"}


def test_a_replay_gives_the_recorded_entries() -> None:
    model, cache = build("Llama", **TEXT), transformers.DynamicCache()
    with torch.no_grad(), mv.record(model, budget="3 KiB") as recording:
        for chunk in one_by_one():
            model(chunk, past_key_values=cache, use_cache=True)
    keys = [r for r in recording.records if r.kind == "key" and r.path.endswith("0.self_attn") and not r.parts]
    assert not keys[0].kept
    value = recording.value(keys[0])
    assert torch.equal(value if isinstance(value, Tensor) else value.load(), cache.layers[0].keys[:, :, :3])


def test_a_replay_of_a_call_with_a_filled_cache_gives_all_that_was_recorded() -> None:
    model, cache = build("Llama", **TEXT), transformers.DynamicCache()
    with torch.no_grad():
        model(IDS[:, :3], past_key_values=cache, use_cache=True)
        with mv.record(model, budget="4 KiB") as recording:
            for token in IDS[:, 3:6].split(1, 1):
                model(token, past_key_values=cache, use_cache=True)
    first = next(record for record in recording.records if record.kind == "key")
    assert not first.kept
    value = recording.value(first)
    assert torch.equal(value if isinstance(value, Tensor) else value.load(), cache.layers[0].keys[:, :, :4])


def test_the_recording_changes_nothing() -> None:
    model, alone, recorded = build("Llama", **TEXT), transformers.DynamicCache(), transformers.DynamicCache()
    with torch.no_grad():
        expected = [model(chunk, past_key_values=alone, use_cache=True).logits for chunk in one_by_one()]
        with mv.record(model):
            given = [model(chunk, past_key_values=recorded, use_cache=True).logits for chunk in one_by_one()]
    assert all(torch.equal(one, other) for one, other in zip(expected, given, strict=True))
