"""Taps on nn.MultiheadAttention and nn.Transformer*: their weights are found, and their fast paths notice nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from .tapping import Tapped, tap


def expected_weights(model: nn.MultiheadAttention, *args: Any, **options: Any) -> Tensor:
    """The module's own weights, as (B, N, Q, K)."""
    training = model.training
    model.train(False)
    weights = model(*args, **{**options, "need_weights": True, "average_attn_weights": False, "is_causal": False})[1]
    model.train(training)
    return weights.detach() if weights.dim() == 4 else weights.detach()[None]


MODULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch first": {"batch_first": True},
    "without bias": {"bias": False},
    "added key": {"add_bias_kv": True},
    "zero key": {"add_zero_attn": True},
    "both keys": {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
    "own sizes": {"kdim": 6, "vdim": 7},
    "own sizes, batch first": {"kdim": 6, "vdim": 7, "batch_first": True},
}


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_multihead_attention_has_the_weights_it_would_return(name: str, masked: bool, need_weights: bool) -> None:
    torch.manual_seed(0)
    options = MODULES[name]
    model = nn.MultiheadAttention(8, 2, **options).eval()
    lead = (lambda size: (3, size)) if options.get("batch_first") else (lambda size: (size, 3))
    inputs = [torch.randn(*lead(4), 8), torch.randn(*lead(5), model.kdim), torch.randn(*lead(5), model.vdim)]
    masks: dict[str, Tensor] = {}
    if masked:
        masks["attn_mask"] = torch.ones(4, 5, dtype=torch.bool).triu(2)
        masks["key_padding_mask"] = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 5])
    (seen,) = tap(model, *inputs, **masks, need_weights=need_weights)
    assert torch.allclose(seen.weights, expected_weights(model, *inputs, **masks), atol=1e-6)


MASKS: dict[str, dict[str, Any]] = {
    "none": {},
    "bool": {"attn_mask": torch.ones(4, 4, dtype=torch.bool).triu(1)},
    "numbers": {"attn_mask": torch.arange(16.0).view(4, 4)},
    "per head": {"attn_mask": torch.arange(96.0).view(6, 4, 4).sin()},
    "per head, bool": {"attn_mask": torch.arange(96).view(6, 4, 4) % 5 == 1},
    "padding": {"key_padding_mask": torch.tensor([[False] * 4, [False] * 4, [False] * 2 + [True] * 2])},
    "padding of numbers": {"key_padding_mask": torch.arange(12.0).view(3, 4)},
    "causal hint": {"attn_mask": torch.ones(4, 4, dtype=torch.bool).triu(1), "is_causal": True},
}


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("name", MASKS)
def test_self_attention_with_and_without_the_fused_kernel(name: str, grad: bool) -> None:
    torch.manual_seed(0)
    model = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = torch.randn(3, 4, 8)
    with torch.set_grad_enabled(grad):
        (seen,) = tap(model, x, x, x, need_weights=False, **MASKS[name])
    assert torch.allclose(seen.weights, expected_weights(model, x, x, x, **MASKS[name]), atol=1e-6)


def test_input_without_a_batch() -> None:
    model = nn.MultiheadAttention(8, 2).eval()
    x, padding = torch.randn(4, 8), torch.tensor([False, False, True, True])
    (seen,) = tap(model, x, x, x, key_padding_mask=padding)
    assert torch.allclose(seen.weights, expected_weights(model, x, x, x, key_padding_mask=padding), atol=1e-6)


def test_multihead_attention_in_training_says_before_dropout() -> None:
    model = nn.MultiheadAttention(8, 2, dropout=0.5)
    x = torch.randn(4, 3, 8)
    (seen,) = tap(model, x, x, x)
    assert seen.note == "before dropout"
    assert torch.allclose(seen.weights, expected_weights(model, x, x, x), atol=1e-6)


def test_parametrized_weights_are_not_read_again() -> None:
    class Counts(nn.Module):
        calls = 0

        def forward(self, weight: Tensor) -> Tensor:
            self.calls += 1
            return weight

    model, x, counts = nn.MultiheadAttention(8, 2), torch.randn(4, 3, 8), Counts()
    torch.nn.utils.parametrize.register_parametrization(model, "in_proj_weight", counts)
    counts.calls = 0
    model(x, x, x)
    plain, counts.calls = counts.calls, 0
    tapped = Tapped(model)
    with tapped.attached():
        model(x, x, x)
    assert counts.calls == plain and len(tapped.seen) == 1


def test_multihead_attention_under_autocast() -> None:
    model, x = nn.MultiheadAttention(8, 2, add_bias_kv=True).eval(), torch.randn(4, 3, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (seen,) = tap(model, x, x, x)
    assert torch.allclose(seen.weights, expected_weights(model, x, x, x), atol=1e-2)


def test_the_function_behind_multihead_attention_is_found_by_itself() -> None:
    model = nn.MultiheadAttention(8, 2)
    x = torch.randn(4, 3, 8)
    weights = (model.in_proj_weight, model.in_proj_bias, None, None, False, 0.0, model.out_proj.weight, None)
    (seen,) = tap(lambda: functional.multi_head_attention_forward(x, x, x, 8, 2, *weights))
    assert torch.allclose(seen.weights, expected_weights(model, x, x, x), atol=1e-6)


# -- transformer layers: their fast paths must not notice the taps


def encoder(**options: Any) -> nn.TransformerEncoder:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2).eval()


PADDING = torch.tensor([[False] * 4, [False, False, True, True]])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # torch's, once, from whoever is the first
def test_padded_rows_of_an_encoder_stay_0() -> None:
    model, x = encoder(), torch.randn(2, 4, 8)
    tapped = Tapped(model)
    with torch.no_grad(), tapped.attached():
        result = model(x, src_key_padding_mask=PADDING)
    assert result[1, 2:].abs().max() == 0


def test_an_encoder_with_padding_has_the_weights_of_its_real_tokens() -> None:
    model, x = encoder(), torch.randn(2, 4, 8)
    with torch.no_grad():
        seen = tap(model, x, src_key_padding_mask=PADDING)
    assert [each.path for each in seen] == ["layers.0.self_attn", "layers.1.self_attn"]
    expected = expected_weights(model.layers[0].self_attn, x, x, x, key_padding_mask=PADDING)
    assert torch.allclose(seen[0].weights[0], expected[0], atol=1e-6)
    assert torch.allclose(seen[0].weights[1, :, :2], expected[1, :, :2], atol=1e-6)
    assert seen[0].weights[1, :, 2:].abs().max() == 0


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("masks", [{}, {"mask": torch.ones(4, 4, dtype=torch.bool).triu(1)}])
def test_an_encoder_with_other_masks(masks: dict[str, Tensor], grad: bool) -> None:
    with torch.set_grad_enabled(grad):
        seen = tap(encoder(), torch.randn(2, 4, 8), **masks)
    assert [each.weights.shape for each in seen] == [(2, 2, 4, 4)] * 2
    assert bool(masks) == (seen[0].weights[..., 0, 1].max() == 0)


def test_a_decoder_layer_attends_to_itself_and_to_the_memory() -> None:
    model = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True).eval()
    with torch.no_grad():
        seen = tap(model, torch.randn(2, 3, 8), torch.randn(2, 4, 8), memory_key_padding_mask=PADDING)
    assert [(each.path, tuple(each.weights.shape)) for each in seen] == [
        ("self_attn", (2, 2, 3, 3)),
        ("multihead_attn", (2, 2, 3, 4)),
    ]
    assert seen[1].weights[1, :, :, 2:].abs().max() == 0


def test_an_encoder_called_by_its_forward_is_not_slowed_down_either() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder()

        def forward(self, x: Tensor) -> Any:
            return self.encoder.forward(x, src_key_padding_mask=PADDING)

    with torch.no_grad():
        assert len(tap(Model(), torch.randn(2, 4, 8))) == 2
