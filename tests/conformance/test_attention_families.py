"""Every family of attention, as the model was loaded: the cache's weights are those worked out by hand, to 1e-5.

By hand means: from the module's own parameters and the recorded inputs, in float64 (see ``attention_families``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv

from .attention_families import (
    MemN2N,
    assert_weights,
    by_hand,
    causal,
    heads_apart,
    in_projected,
    linear,
    projected,
    rotated,
    same_state,
    swin_allowed,
    swin_bias,
    swin_windows,
    t5_bias,
    uneven,
)
from .model_state import Capture

transformers = pytest.importorskip("transformers")

SEED = torch.Generator().manual_seed(1)
IDS = torch.randint(3, 99, (2, 12), generator=SEED)
TARGETS = torch.randint(3, 99, (2, 20), generator=SEED)
X = torch.randn(2, 6, 16, generator=SEED)
PIXELS = torch.randn(2, 3, 32, 32, generator=SEED)
REAL = torch.tensor([[True] * 12, [True] * 7 + [False] * 5])
"""Which of the positions of IDS are no padding."""

WIDTHS = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = {**WIDTHS, "intermediate_size": 64, "max_position_embeddings": 64, "pad_token_id": 0}
IMAGE = {"image_size": 32, "patch_size": 8, **WIDTHS, "intermediate_size": 64}
GPT2 = {"vocab_size": 99, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}


@pytest.fixture(autouse=True)
def no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def of_transformers(name: str, config: str, std: float = 0.3, **sizes: Any) -> Any:
    """A tiny model with its default attention, which must not be the one that keeps weights."""
    model = uneven(getattr(transformers, name)(getattr(transformers, config)(**sizes)), std)
    assert model.config._attn_implementation == "sdpa"
    return model


def test_transformer_encoder_with_padding(captured: Capture) -> None:
    """The fused path, which makes nested tensors of padded ones: rows of padding attend to nothing."""
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    model: Any = uneven(nn.TransformerEncoder(layer, 2))
    real = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    cache = captured(model, {"src": X, "src_key_padding_mask": ~real})
    allowed = real[:, None, :, None] & real[:, None, None, :]
    for layer_number, x in enumerate([X, cache["layers.0"]]):
        query, key = in_projected(model.layers[layer_number].self_attn, x)
        expected = by_hand(query, key, allowed=allowed)
        assert_weights(cache, f"layers.{layer_number}.self_attn", expected, (2, 4, 6, 6), allowed)
    plain = model(X, src_key_padding_mask=~real)
    assert torch.count_nonzero(plain[~real]) == 0, "only the fused path leaves zeros there"
    torch.testing.assert_close(cache[""], plain, rtol=0, atol=1e-5)


def test_multihead_attention_without_weights(captured: Capture) -> None:
    model = uneven(nn.MultiheadAttention(16, 4, batch_first=True))
    mask = ~causal(6)
    cache = captured(model, call=lambda m: m(X, X, X, need_weights=False, attn_mask=mask))
    assert_weights(cache, "", by_hand(*in_projected(model, X), allowed=~mask), (2, 4, 6, 6), ~mask)


def test_multihead_attention_with_other_widths_and_an_added_key(captured: Capture) -> None:
    """``add_bias_kv`` puts a learned key behind those of the call, which no padding hides."""
    model: Any = uneven(nn.MultiheadAttention(16, 4, kdim=12, vdim=10, add_bias_kv=True, batch_first=True))
    keys, values = torch.randn(2, 7, 12), torch.randn(2, 7, 10)
    real = torch.tensor([[True] * 7, [True] * 5 + [False] * 2])
    cache = captured(model, call=lambda m: m(X, keys, values, key_padding_mask=~real, need_weights=False))
    query = linear(X, model.q_proj_weight, model.in_proj_bias[:16])
    key = linear(keys, model.k_proj_weight, model.in_proj_bias[16:32])
    key = torch.cat([key, model.bias_k.double().expand(2, 1, 16)], dim=1)
    allowed = torch.cat([real, torch.ones(2, 1, dtype=torch.bool)], dim=1)[:, None, None, :]
    expected = by_hand(heads_apart(query, 4), heads_apart(key, 4), allowed=allowed)
    assert_weights(cache, "", expected, (2, 4, 6, 8), allowed)


def gpt2_by_hand(model: Any, layer: int, x: Tensor) -> Tensor:
    """Its Conv1D keeps the weight the other way round than nn.Linear."""
    c_attn = model.transformer.h[layer].attn.c_attn
    query, key, _ = linear(x, c_attn.weight.T, c_attn.bias).chunk(3, dim=-1)
    return by_hand(heads_apart(query, 4), heads_apart(key, 4), allowed=causal(x.shape[1]))


def test_gpt2(captured: Capture) -> None:
    model = of_transformers("GPT2LMHeadModel", "GPT2Config", **GPT2)
    cache = captured(model, {"input_ids": IDS})
    for layer in (0, 1):
        expected = gpt2_by_hand(model, layer, cache[f"transformer.h.{layer}.ln_1"])
        assert_weights(cache, f"transformer.h.{layer}.attn", expected, (2, 4, 12, 12), causal(12))


def test_gpt2_generates(captured: Capture) -> None:
    """A row per new token, one key longer each; the rows are those of one forward of the whole text."""
    model = of_transformers("GPT2LMHeadModel", "GPT2Config", **GPT2)
    prompt, new = 4, 5
    with same_state(model), mv.record(model) as cache:
        text = model.generate(IDS[:, :prompt], max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0)
    whole = captured(model, {"input_ids": text[:, :-1]})
    attentions = [each for each in cache.records if each.kind == "attention" and not each.parts]
    found = [(each.step, each.call, each.path) for each in attentions]
    assert found == [(step, 0, f"transformer.h.{layer}.attn") for step in range(new) for layer in (0, 1)]
    for layer in (0, 1):
        expected = gpt2_by_hand(model, layer, whole[f"transformer.h.{layer}.ln_1"])
        path = f"transformer.h.{layer}.attn"
        first = expected[:, :, :prompt, :prompt]
        assert_weights(cache, path, first, (2, 4, prompt, prompt), causal(prompt), step=0)
        for step in range(1, new):
            keys = prompt + step
            assert_weights(cache, path, expected[:, :, keys - 1 : keys, :keys], (2, 4, 1, keys), step=step)
    cache.close()


def test_llama_with_grouped_queries(captured: Capture) -> None:
    """Two query heads read one key head; query and key are turned by their position."""
    model = of_transformers("LlamaForCausalLM", "LlamaConfig", num_key_value_heads=2, **TEXT)
    cache = captured(model, {"input_ids": IDS})
    theta = model.config.rope_parameters["rope_theta"]
    for layer in (0, 1):
        attention, x = model.model.layers[layer].self_attn, cache[f"model.layers.{layer}.input_layernorm"]
        query = rotated(projected(x, attention.q_proj, 4), theta)
        key = rotated(projected(x, attention.k_proj, 2), theta)
        expected = by_hand(query, key, allowed=causal(12))
        assert_weights(cache, f"model.layers.{layer}.self_attn", expected, (2, 4, 12, 12), causal(12))


def test_bert_with_padding(captured: Capture) -> None:
    """Nothing attends to padding; a query that is padding attends to the text."""
    model = of_transformers("BertModel", "BertConfig", **TEXT)
    cache = captured(model, {"input_ids": IDS, "attention_mask": REAL.long()})
    allowed = REAL[:, None, None, :]
    for layer, before in enumerate(["embeddings", "encoder.layer.0"]):
        attention = model.encoder.layer[layer].attention.self
        query, key = (projected(cache[before], each, 4) for each in (attention.query, attention.key))
        expected = by_hand(query, key, allowed=allowed)
        assert_weights(cache, f"encoder.layer.{layer}.attention.self", expected, (2, 4, 12, 12), allowed)


@pytest.fixture
def t5(captured: Capture) -> tuple[Any, mv.ActivationCache]:
    """Weights not as large as elsewhere: T5 does not scale its scores."""
    sizes = {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    model = of_transformers("T5ForConditionalGeneration", "T5Config", 0.15, **sizes)
    return model, captured(
        model, {"input_ids": IDS, "attention_mask": REAL.long(), "decoder_input_ids": TARGETS, "use_cache": False}
    )


def t5_by_hand(attention: Any, x: Tensor, memory: Tensor, bias: Tensor | None, allowed: Tensor) -> Tensor:
    query, key = projected(x, attention.q, 4), projected(memory, attention.k, 4)
    return by_hand(query, key, scale=1.0, bias=bias, allowed=allowed)


@pytest.mark.parametrize("layer", [0, 1])
def test_t5_encoder(t5: tuple[Any, mv.ActivationCache], layer: int) -> None:
    """Only the first layer has a table of relative positions, which all use."""
    (model, cache), block = t5, f"encoder.block.{layer}.layer.0"
    table = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    x, bias, allowed = cache[f"{block}.layer_norm"], t5_bias(table, 12, 12, both_ways=True), REAL[:, None, None, :]
    expected = t5_by_hand(model.encoder.block[layer].layer[0].SelfAttention, x, x, bias, allowed)
    assert_weights(cache, f"{block}.SelfAttention", expected, (2, 4, 12, 12), allowed)


@pytest.mark.parametrize("layer", [0, 1])
def test_t5_decoder(t5: tuple[Any, mv.ActivationCache], layer: int) -> None:
    """Twenty tokens: far enough for buckets of several distances."""
    (model, cache), block = t5, f"decoder.block.{layer}.layer.0"
    table = model.decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    x, bias = cache[f"{block}.layer_norm"], t5_bias(table, 20, 20, both_ways=False)
    expected = t5_by_hand(model.decoder.block[layer].layer[0].SelfAttention, x, x, bias, causal(20))
    assert_weights(cache, f"{block}.SelfAttention", expected, (2, 4, 20, 20), causal(20))


@pytest.mark.parametrize("layer", [0, 1])
def test_t5_cross_attention(t5: tuple[Any, mv.ActivationCache], layer: int) -> None:
    """No positions; the encoder's padding is hidden from the decoder too."""
    (model, cache), block = t5, f"decoder.block.{layer}.layer.1"
    x, memory, allowed = cache[f"{block}.layer_norm"], cache["encoder.final_layer_norm"], REAL[:, None, None, :]
    expected = t5_by_hand(model.decoder.block[layer].layer[1].EncDecAttention, x, memory, None, allowed)
    assert_weights(cache, f"{block}.EncDecAttention", expected, (2, 4, 20, 12), allowed)


def test_whisper_cross_attention(captured: Capture) -> None:
    """From text to sound; the query is scaled before the product, and keys have no bias."""
    sizes: dict[str, Any] = {"vocab_size": 99, "num_mel_bins": 16, "d_model": 32, "max_source_positions": 30}
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": 2, f"{side}_attention_heads": 4, f"{side}_ffn_dim": 64}
    for token in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
        sizes[token] = 0
    model = of_transformers("WhisperForConditionalGeneration", "WhisperConfig", **sizes)
    sound = torch.randn(2, 16, 60)
    cache = captured(model, {"input_features": sound, "decoder_input_ids": TARGETS[:, :5]})
    memory = cache["model.encoder.layer_norm"]
    for layer in (0, 1):
        attention, path = model.model.decoder.layers[layer].encoder_attn, f"model.decoder.layers.{layer}.encoder_attn"
        assert attention.k_proj.bias is None
        query = projected(cache[f"{path}_layer_norm"], attention.q_proj, 4)
        assert_weights(cache, path, by_hand(query, projected(memory, attention.k_proj, 4)), (2, 4, 5, 30))


def test_vit(captured: Capture) -> None:
    """Sixteen patches and the class token."""
    model = of_transformers("ViTForImageClassification", "ViTConfig", **IMAGE)
    cache = captured(model, {"pixel_values": PIXELS})
    for layer in (0, 1):
        attention, x = model.vit.layers[layer].attention, cache[f"vit.layers.{layer}.layernorm_before"]
        query, key = (projected(x, each, 4) for each in (attention.q_proj, attention.k_proj))
        assert_weights(cache, f"vit.layers.{layer}.attention", by_hand(query, key), (2, 4, 17, 17))


TINY = torch.finfo(torch.float32).tiny
SWIN_BLOCKS = {
    "layers.0.blocks.0": (16, 0, (32, 2, 16, 16)),
    "layers.1.blocks.0": (8, 0, (8, 4, 16, 16)),
    "layers.1.blocks.1": (8, 2, (8, 4, 16, 16)),
}
"""Path -> side of the picture in cells, shift of the windows, shape of the weights: a window is a sample."""


@pytest.mark.parametrize("block", SWIN_BLOCKS)
def test_swin(captured: Capture, block: str) -> None:
    """Windows of 4 x 4 with a bias by relative position; in shifted ones, cells from opposite edges are masked.

    Swin masks by adding -100, not -inf: such a weight is not 0 in the model itself, but less than float32 can scale.
    """
    grid = {"image_size": 32, "patch_size": 2, "window_size": 4}
    model = of_transformers("SwinModel", "SwinConfig", **grid, embed_dim=16, depths=[1, 2], num_heads=[2, 4])
    cache = captured(model, {"pixel_values": PIXELS})
    side, shift, shape = SWIN_BLOCKS[block]
    attention = model.get_submodule(f"encoder.{block}.attention")
    x = swin_windows(cache[f"encoder.{block}.layernorm_before"], side, 4, shift)
    query, key = (projected(x, each, shape[1]) for each in (attention.q_proj, attention.k_proj))
    allowed = swin_allowed(side, 4, shift).repeat(2, 1, 1, 1)  # (B * windows, 1, Q, K)
    bias = swin_bias(attention.relative_position_bias.relative_position_bias_table, 4)
    expected = by_hand(query, key, bias=bias - 100.0 * ~allowed)
    assert bool(allowed.all()) == (shift == 0)
    assert_weights(cache, f"encoder.{block}.attention", expected, shape, allowed, masked=TINY)


READS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "matmul": lambda shares, values: (shares.unsqueeze(1) @ values).squeeze(1),
    "einsum": lambda shares, values: torch.einsum("bs,bsd->bd", shares, values),
    "index and matmul": lambda shares, values: (shares[:, None] @ values)[:, 0],
    "values first": lambda shares, values: (values.mT @ shares.unsqueeze(-1)).squeeze(-1),
    "product and sum": lambda shares, values: (shares.unsqueeze(-1) * values).sum(1),
    "channels first": lambda shares, values: torch.sum(values.permute(0, 2, 1) * shares[:, None, :], dim=2),
}
"""How the values (B, S, D) of the slots are added up by their shares (B, S)."""


@pytest.mark.parametrize("read", READS)
def test_memory_network(captured: Capture, read: str) -> None:
    """Each hop is an item of the model's own call: one head, one query, a key per slot, 0 for an empty one."""
    model = MemN2N(READS[read]).eval()
    story, question = torch.randint(1, 99, (2, 10, 4)), torch.randint(1, 99, (2, 3))
    story[1, 7:] = 0
    cache = captured(model, (story, question))
    items = [each.item for each in cache.records if each.kind == "attention"]
    assert len(items) == 3
    tables, allowed = model.tables.double(), (story != 0).any(-1)[:, None, None, :]
    state = tables[0][question].sum(1)[:, None, None]  # (B, 1, 1, D)
    for hop, item in enumerate(items):
        memory, values = (tables[place][story].sum(2)[:, None] for place in (hop, hop + 1))  # (B, 1, S, D)
        expected = by_hand(state, memory, scale=1 / 8, allowed=allowed)
        assert_weights(cache, "", expected, (2, 1, 1, 10), allowed, item=item)
        state = state + torch.einsum("bnqs,bnsd->bnqd", expected, values)
