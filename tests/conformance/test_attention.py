"""Rows 16 to 22: the weights of every attention, computed from what the call was given; what the call returns stays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.bias import causal_lower_right, causal_upper_left
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from memviz_widgets import ActivationCache

from .model_state import Capture

Q = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(1))
PAD = torch.tensor([[False] * 6, [False] * 4 + [True] * 2])


def encoder() -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 2).eval()


def attentions(cache: ActivationCache) -> list[str]:
    return [record.path for record in cache.records if record.kind == "attention"]


@pytest.mark.parametrize("grad", [False, True], ids=["fused", "not fused"])
@pytest.mark.parametrize("mask", [None, PAD], ids=["unmasked", "padded"])
def test_16_multihead_attention_without_weights(captured: Capture, grad: bool, mask: Tensor | None) -> None:
    """need_weights=False returns None: the weights are recomputed, and out_proj is listed as never called."""
    model, outputs = nn.MultiheadAttention(16, 4, batch_first=True).eval(), []
    options = {"key_padding_mask": mask, "need_weights": False}
    with torch.set_grad_enabled(grad):
        cache = captured(model, call=lambda m: outputs.append(m(Q, Q, Q, **options)))
        plain = model(Q, Q, Q, **options)
        expected = model(Q, Q, Q, key_padding_mask=mask, average_attn_weights=False)[1]
    assert outputs[0][1] is None and torch.equal(outputs[0][0], plain[0])
    assert attentions(cache) == [""] and cache.find("", "attention").shape == (2, 4, 6, 6)
    torch.testing.assert_close(cache.attention(""), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(cache.attention("", head=1, batch=0), expected[0, 1], rtol=0, atol=1e-6)
    assert cache.never_called == ("out_proj",)


def test_17_fast_path_of_the_encoder_layer(captured: Capture) -> None:
    """The fused layer runs no part: in a capture each part has a record, and the result differs by rounding only."""
    model: Any = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    with torch.no_grad():
        cache = captured(model, Q)
        torch.testing.assert_close(cache[""], model(Q), rtol=0, atol=1e-6)
        expected = model.self_attn(Q, Q, Q, average_attn_weights=False)[1]
    assert {"self_attn", "norm1", "linear1", "linear2", "norm2", ""} <= set(cache.names())
    assert attentions(cache) == ["self_attn"]
    torch.testing.assert_close(cache.attention("self_attn"), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(cache["norm1"], model.norm1(Q + model.self_attn(Q, Q, Q)[0]), rtol=0, atol=1e-6)


def test_18_encoder_with_padding(captured: Capture) -> None:
    """Its layers pass NestedTensors on: the ragged shape is said, statistics are without the padding."""
    model = encoder()
    with torch.no_grad():
        cache = captured(model, {"src": Q, "src_key_padding_mask": PAD})
        plain = model(Q, src_key_padding_mask=PAD)
    record, value = cache.find("layers.0"), cache["layers.0"]
    assert record.shape == (2, 6, 16) and "nested tensor" in record.note
    assert record.stats is not None and record.stats.count == (6 + 4) * 16
    assert value[PAD].abs().max() == 0 and value[~PAD].abs().min() > 0
    torch.testing.assert_close(cache[""], plain, rtol=0, atol=1e-6)
    assert attentions(cache) == ["layers.0.self_attn", "layers.1.self_attn"] and not cache.remarks
    weights = cache.attention("layers.0.self_attn")
    assert weights[1, :, :4, 4:].abs().max() == 0
    torch.testing.assert_close(weights[1, :, :4].sum(-1), torch.ones(4, 4))


def test_19_padded_rows_stay_zero(captured: Capture) -> None:
    """A function mode makes torch compute the padded rows: with a capture they are what they are without."""
    model, outputs = encoder(), []
    with torch.no_grad():
        plain = model(Q, src_key_padding_mask=PAD)
        with Notes():
            assert model(Q, src_key_padding_mask=PAD)[PAD].abs().max() > 0, "the hazard is there"
        captured(model, call=lambda m: outputs.append(m(Q, src_key_padding_mask=PAD)))
    assert torch.equal(outputs[0][PAD], plain[PAD]) and plain[PAD].abs().max() == 0
    torch.testing.assert_close(outputs[0], plain, rtol=0, atol=1e-6)


class Attends(nn.Module):
    """Passes on to SDPA."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return functional.scaled_dot_product_attention(*args, **kwargs)


def lower_triangle(offset: int = 0) -> Tensor:
    return torch.ones(3, 5, dtype=torch.bool).tril(offset)


SOME = torch.tensor([[1, 0, 1, 0, 1], [0, 0, 0, 0, 0], [0, 1, 1, 1, 1]], dtype=torch.bool)
BIAS = torch.linspace(-2, 2, 15).view(3, 5)
CALLS: dict[str, tuple[dict[str, Any], Tensor]] = {
    "plain": ({}, torch.zeros(3, 5)),
    "causal from the top left": ({"is_causal": True}, lower_triangle()),
    "scale": ({"scale": 0.3}, torch.zeros(3, 5)),
    "bool mask with an empty row": ({"attn_mask": SOME}, SOME),
    "float mask": ({"attn_mask": BIAS}, BIAS),
    "causal bias, upper left": ({"attn_mask": causal_upper_left(3, 5)}, lower_triangle()),
    "causal bias, lower right": ({"attn_mask": causal_lower_right(3, 5)}, lower_triangle(2)),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("key_heads", [4, 2], ids=["", "grouped"])
def test_20_sdpa(captured: Capture, name: str, key_heads: int) -> None:
    """Recomputed weights are those of the formula; times the values they are the call's result."""
    options, mask = CALLS[name]
    q, k, v = torch.randn(2, 4, 3, 8), torch.randn(2, key_heads, 5, 8), torch.randn(2, key_heads, 5, 8)
    cache = captured(Attends(), call=lambda m: m(q, k, v, enable_gqa=key_heads < 4, **options))
    all_k, all_v = (each.repeat_interleave(4 // key_heads, 1) for each in (k, v))
    scores = q @ all_k.mT * options.get("scale", 1 / math.sqrt(8))
    scores = scores.masked_fill(~mask, -math.inf) if mask.dtype is torch.bool else scores + mask
    expected = scores.softmax(-1).nan_to_num(0.0)  # a row without keys is 0, not NaN
    weights = cache.attention("")
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(weights @ all_v, cache[""], rtol=0, atol=1e-5)
    torch.testing.assert_close(cache.attention("", head=3, queries=2), expected[:, 3, 2], rtol=0, atol=1e-6)
    kept = (q.numel() + k.numel()) * 4
    assert cache.held_bytes - cache.find("").nbytes in (kept, kept + mask.numel() * mask.element_size())


def test_21_output_over_the_budget(captured: Capture) -> None:
    """It is never copied: statistics are kept, and its values, the largest ten of a row for one, come on demand."""
    head, x = nn.Linear(8, 500_000), torch.randn(1, 2, 8)
    large = 2 * 500_000
    with torch.no_grad():
        with Allocations(large) as copied:
            captured(head, x, budget="8 MiB")
        with Allocations(large) as seen:
            cache = captured(head, x, budget="1 MiB")
        plain = head(x)
    record = cache.find("")
    assert (len(copied.storages), len(seen.storages)) == (2, 1), "the model's own and the copy; the model's own"
    assert cache.held_bytes <= 1 << 20 and record.nbytes == cache.recorded_bytes == 4 * large
    assert record.stats is not None and (record.kept, record.on_demand) == (False, True)
    assert (record.stats.min, record.stats.max, record.stats.count) == (plain.min(), plain.max(), large)
    assert record.stats.mean == pytest.approx(plain.double().mean().item(), abs=1e-7)
    assert torch.equal(cache[""].topk(10).indices, plain.topk(10).indices)


def test_22_function_mode_of_the_user_around_multihead_attention(captured: Capture) -> None:
    """Theirs sees what it sees without a capture, ours finds the weights once, and nothing recurses."""
    model = nn.MultiheadAttention(16, 4, batch_first=True)

    def run(m: Any) -> None:
        m(Q, Q, Q, need_weights=False)

    with Notes() as plain:
        run(model)
    with Notes() as seen:
        cache = captured(model, call=run)
    assert "multi_head_attention_forward" in seen.names
    assert "scaled_dot_product_attention" not in {*plain.names, *seen.names}
    expected = model(Q, Q, Q, average_attn_weights=False)[1]
    assert attentions(cache) == [""]
    torch.testing.assert_close(cache.attention(""), expected, rtol=0, atol=1e-6)


class Notes(TorchFunctionMode):
    """Notes names of functions and passes every call on."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


class Allocations(TorchDispatchMode):
    """Notes the storages of results that have so many elements."""

    def __init__(self, size: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.size = size
        self.storages: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, Tensor) and value.numel() == self.size:
                self.storages.add(value.untyped_storage().data_ptr())
        return result
