"""AttentionTaps: attention is found, whatever code computes it, and the model's results stay the same."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import scaled_dot_product_attention as imported_sdpa
from torch.overrides import TorchFunctionMode

from memviz_widgets.capture.attention_taps import AttentionTaps
from memviz_widgets.capture.function_mode import TapsMode

from .tapping import Calls, Tapped, tap

HAS_TORCH_FUNCTION = torch.overrides.has_torch_function


def query_key_value(*lead: int, queries: int = 3, keys: int = 5, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(*lead, queries, width), torch.randn(*lead, keys, width), torch.randn(*lead, keys, width)


# -- scaled_dot_product_attention


@pytest.mark.parametrize(
    "function",
    [
        functional.scaled_dot_product_attention,
        imported_sdpa,
        torch._C._nn.scaled_dot_product_attention,
        torch.ops.aten.scaled_dot_product_attention,
        torch.ops.aten.scaled_dot_product_attention.default,
    ],
)
def test_torch_attention_is_found_by_whatever_name_it_is_called(function: Any) -> None:
    query, key, value = query_key_value(2, 4)
    (seen,) = tap(function, query, key, value)
    assert torch.allclose(seen.weights @ value, imported_sdpa(query, key, value), atol=1e-6)


def test_arguments_may_be_keywords() -> None:
    query, key, value = query_key_value(2, 4)
    (seen,) = tap(lambda: imported_sdpa(key=key, query=query, value=value, is_causal=True))
    assert seen.weights[0, 0, 0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_weights_before_dropout_say_so() -> None:
    query, key, value = query_key_value(1, 1)
    (seen,) = tap(imported_sdpa, query, key, value, None, 0.5)
    assert seen.note == "before dropout"
    assert torch.allclose(seen.weights.sum(-1), torch.ones(1, 1, 3))


@pytest.mark.parametrize("name", ["softmax", "dropout", "multi_head_attention_forward"])
def test_functions_that_another_library_has_wrapped(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    torch.manual_seed(0)
    own, x, calls = getattr(functional, name), torch.randn(2, 4, 3, 5), list[str]()
    attention = nn.MultiheadAttention(5, 1)

    def attend() -> Tensor:
        if name == "multi_head_attention_forward":
            result: Tensor = attention(x[0], x[0], x[0])[0]
            return result
        return functional.dropout(functional.softmax(x @ x.mT, dim=-1), 0.5) @ x

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return own(*args, **kwargs)

    (expected,) = tap(attend)
    monkeypatch.setattr(functional, name, wrapper)
    (seen,) = tap(attend)
    assert calls and torch.equal(seen.weights, expected.weights) and seen.note == expected.note


@pytest.mark.parametrize("queries", [3, 5])
@pytest.mark.parametrize("variant", ["causal_upper_left", "causal_lower_right"])
def test_a_causal_bias_counts_from_its_own_corner(variant: str, queries: int) -> None:
    from torch.nn.attention import bias

    query, key, value = query_key_value(1, 2, queries=queries)
    mask = getattr(bias, variant)(queries, 5)
    (seen,) = tap(imported_sdpa, query, key, value, mask)
    assert torch.allclose(seen.weights @ value, imported_sdpa(query, key, value, mask), atol=1e-6)


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_queries_are_shown_padded(layout: torch.layout) -> None:
    parts = [torch.randn(3, 2, 4), torch.randn(1, 2, 4)]  # (L, N, D)
    if layout is torch.strided:
        nested = torch.nested.nested_tensor([part.transpose(0, 1) for part in parts])
    else:
        nested = torch.nested.nested_tensor(parts, layout=layout).transpose(1, 2)
    (seen,) = tap(imported_sdpa, nested, nested, nested)
    assert seen.weights.shape == (2, 2, 3, 3)
    assert seen.weights[1].tolist() == [[[1.0, 0.0, 0.0], [0.0] * 3, [0.0] * 3]] * 2


def test_attention_without_values_is_remarked() -> None:
    query, key, value = query_key_value(4, 1)
    tapped = Tapped(Calls(torch.vmap(imported_sdpa)))
    with tapped.attached():
        tapped.model(query, key, value)
    assert tapped.seen == []
    assert "inside vmap" in tapped.taps.remarks[0]


def test_an_error_of_attention_is_the_models_own() -> None:
    query, key, value = query_key_value(2)
    tapped = Tapped(Calls(imported_sdpa))
    with tapped.attached(), pytest.raises(RuntimeError, match="Expected size"):
        tapped.model(query, key[..., :3], value)
    assert tapped.seen == [] and tapped.taps.remarks == []


def test_the_mask_that_layers_share_is_handed_on_as_it_is() -> None:
    masks = []
    mask = torch.ones(3, 5, dtype=torch.bool)
    query, key, value = query_key_value(2, 4)
    taps = AttentionTaps(lambda value, note: masks.append(value.mask), lambda: True)  # type: ignore[union-attr]
    taps.enter()
    imported_sdpa(query, key, value, mask)
    taps.leave()
    assert masks[0] is mask


# -- flex_attention


@pytest.mark.slow
def test_flex_attention_is_found_with_what_modifies_it() -> None:
    flex = pytest.importorskip("torch.nn.attention.flex_attention")
    query, key, value = query_key_value(2, 2, queries=4, keys=4)
    bias = torch.randn(2, 4, 4)

    def score_mod(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return score + bias[head, query, key]

    block_mask = flex.create_block_mask(lambda b, h, q, k: q >= k, None, None, 4, 4, device="cpu")
    with torch.compiler.set_stance("force_eager"):
        (seen,) = tap(flex.flex_attention, query, key, value, score_mod, block_mask)
    scores = query @ key.mT / 8**0.5 + bias
    expected = scores.masked_fill(torch.ones(4, 4).triu(1).bool(), -torch.inf).softmax(-1)
    assert torch.allclose(seen.weights, expected, atol=1e-6)


@pytest.mark.slow
def test_flex_attention_may_compile_under_the_taps() -> None:
    flex = pytest.importorskip("torch.nn.attention.flex_attention")
    query, key, value = query_key_value(1, 2, queries=4, keys=4)
    (seen,) = tap(lambda: flex.flex_attention(query, key, value))
    assert torch.allclose(seen.weights, (query @ key.mT / 8**0.5).softmax(-1), atol=1e-6)


# -- the life of the taps


def stack() -> list[TorchFunctionMode]:
    modes: list[TorchFunctionMode] = torch.overrides._get_current_function_mode_stack()
    return modes


def quiet() -> AttentionTaps:
    return AttentionTaps(lambda value, note: None, lambda: True)


def test_leaving_twice_does_nothing() -> None:
    taps = quiet()
    taps.leave()
    taps.enter()
    taps.leave()
    taps.leave()
    assert stack() == []


def test_modes_of_the_user_stay_where_they_are() -> None:
    class Other(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}))

    taps = quiet()
    with Other() as below:
        taps.enter()
        with Other() as above:
            taps.leave()
            assert stack() == [below, above]


def test_entering_again_after_an_interrupt_leaves_one_mode() -> None:
    taps = quiet()
    taps.enter()
    taps.enter()
    assert len(stack()) == 1
    taps.leave()


def test_a_mode_left_in_another_thread_lets_everything_pass() -> None:
    modes: list[TapsMode] = []
    taps = quiet()

    def run() -> None:
        taps.enter()
        modes.extend(mode for mode in stack() if isinstance(mode, TapsMode))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    taps.leave()
    assert torch.softmax not in modes[0].table


def test_outside_of_a_recorded_call_nothing_is_looked_at() -> None:
    found: list[str] = []
    taps = AttentionTaps(lambda value, note: found.append(note), lambda: False)
    taps.enter()
    imported_sdpa(*query_key_value(1, 1))
    taps.leave()
    assert found == []


def test_patches_of_two_recordings_may_end_in_any_order() -> None:
    one, other = quiet().patches(), quiet().patches()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert torch.overrides.has_torch_function is not HAS_TORCH_FUNCTION
    other.__exit__(None, None, None)
    assert torch.overrides.has_torch_function is HAS_TORCH_FUNCTION


def test_a_failing_sink_becomes_a_remark() -> None:
    def fail(value: object, note: str) -> None:
        raise ValueError("full")

    taps = AttentionTaps(fail, lambda: True)
    taps.enter()
    for _ in range(2):
        imported_sdpa(*query_key_value(1, 1))
    taps.leave()
    assert taps.remarks == ["an attention could not be recorded: ValueError: full"]


def test_an_interrupted_call_inside_does_not_hide_its_caller() -> None:
    inner, outer = nn.Linear(1, 1), nn.Linear(1, 1)
    taps = quiet()
    for module in (outer, inner):
        taps.before(module, (), {})
    taps.after(outer)
    taps.after(inner)
    assert taps._open == []
