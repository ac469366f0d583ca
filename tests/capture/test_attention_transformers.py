"""Attention of transformers models: the weights are those that the model itself gives with eager attention."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from .tapping import tap

transformers = pytest.importorskip("transformers")

SIZES = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 4, "num_hidden_layers": 2}
TEXT = {**SIZES, "intermediate_size": 32, "max_position_embeddings": 32, "pad_token_id": 0}
IDS = torch.randint(3, 50, (2, 6), generator=torch.Generator().manual_seed(0))
PADDED = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
CONFIGS: dict[str, dict[str, Any]] = {
    "BertModel": {**TEXT},
    "GPT2Model": {"vocab_size": 50, "n_embd": 16, "n_head": 4, "n_layer": 2, "n_positions": 32},
    "LlamaModel": {**TEXT, "num_key_value_heads": 2},
    "MixtralModel": {**TEXT, "num_key_value_heads": 2, "num_local_experts": 2},
    "BloomModel": {"vocab_size": 50, "hidden_size": 16, "n_head": 4, "n_layer": 2},
    "DebertaV2Model": {**TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "XLNetModel": {"vocab_size": 50, "d_model": 16, "n_head": 4, "n_layer": 2, "d_inner": 32},
}


def build(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    config = getattr(transformers, name.replace("Model", "Config"))(**copy.deepcopy(CONFIGS[name]), **options)
    model: nn.Module = getattr(transformers, name)(config)
    return model.eval()


def own_attentions(name: str, **inputs: Any) -> list[Tensor]:
    """What the model returns as its attentions when it computes them one by one."""
    options = {} if name in ("BloomModel", "DebertaV2Model", "XLNetModel") else {"attn_implementation": "eager"}
    return list(build(name, **options)(**inputs, output_attentions=True).attentions)


@pytest.mark.parametrize("mask", [None, PADDED], ids=["all", "padded"])
@pytest.mark.parametrize("name", CONFIGS)
def test_weights_are_the_models_own(name: str, mask: Tensor | None) -> None:
    inputs = {"input_ids": IDS} if mask is None else {"input_ids": IDS, "attention_mask": mask}
    with torch.no_grad():
        seen = tap(build(name), **inputs, use_cache=False, return_dict=False)
        expected = own_attentions(name, **inputs)
    assert len(seen) == len(expected) == 2
    for mine, own in zip(seen, expected, strict=True):
        real = own.shape[0] if mask is None else 1  # rows of padding are 0 in one and even in the other
        assert torch.allclose(mine.weights[:real], own[:real], atol=1e-5)
        last = 4 if mask is not None else 6
        assert torch.allclose(mine.weights[1, :, :last], own[1, :, :last], atol=1e-5)


def test_an_encoder_decoder_has_three_kinds_of_attention() -> None:
    torch.manual_seed(0)
    config = transformers.T5Config(vocab_size=50, d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=4)
    model = transformers.T5Model(config).eval()
    with torch.no_grad():
        seen = tap(model, input_ids=IDS, decoder_input_ids=IDS[:, :3], return_dict=False, use_cache=False)
    assert [(each.path, tuple(each.weights.shape)) for each in seen] == [
        ("encoder.block.0.layer.0.SelfAttention", (2, 4, 6, 6)),
        ("decoder.block.0.layer.0.SelfAttention", (2, 4, 3, 3)),
        ("decoder.block.0.layer.1.EncDecAttention", (2, 4, 3, 6)),
    ]


def test_siglip_mixes_multihead_attention_with_its_own() -> None:
    torch.manual_seed(0)
    config = transformers.SiglipVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4, image_size=16, patch_size=8
    )
    model = transformers.SiglipVisionModel(config).eval()
    with torch.no_grad():
        seen = tap(model, torch.randn(2, 3, 16, 16), return_dict=False)
    assert [each.weights.shape for each in seen] == [(2, 4, 4, 4), (2, 4, 1, 4)]
