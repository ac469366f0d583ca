"""Importance of keys in a cache: uniform attention, sinks, groups of heads, and what is refused."""

from __future__ import annotations

import pytest
import torch

from memviz_widgets.analysis.memory import h2o_importance, snapkv_importance
from memviz_widgets.errors import WeightsError

from .attention_maps import harmonic, one_hot, random_weights, uniform_causal


def test_uniform_attention_is_its_own_baseline_which_is_not_flat() -> None:
    found = h2o_importance(uniform_causal(20).expand(2, 4, 20, 20), kv_heads=2)
    expected = [(harmonic(20) - harmonic(key)) / (20 - key) for key in range(20)]
    assert found.baseline.tolist() == pytest.approx(expected) and found.score.shape == (2, 2, 20)
    torch.testing.assert_close(found.ratio, torch.ones(2, 2, 20).double())
    assert found.queries.tolist() == list(range(20, 0, -1))


def test_h2o_by_hand() -> None:
    weights = torch.tensor([[[1.0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]]])
    found = h2o_importance(weights)
    assert found.score[0].tolist() == pytest.approx([2 / 3, 0.25, 0.5])
    assert found.ratio[0].tolist() == pytest.approx([2 / 3 / (11 / 18), 0.25 / (5 / 12), 1.5])


def test_a_sink_stands_out() -> None:
    found = h2o_importance(one_hot(0, 0, 0, 0, 0).unsqueeze(0))
    assert found.score[0].tolist() == [1, 0, 0, 0, 0] and found.ratio[0, 0] > 2


def test_both_directions_and_a_cache_of_earlier_keys() -> None:
    weights = torch.full((1, 2, 4), 0.25)
    assert h2o_importance(weights, causal=False).ratio[0].tolist() == pytest.approx([1] * 4)
    last = h2o_importance(torch.full((1, 1, 4), 0.25))
    assert last.queries.tolist() == [1] * 4 and last.ratio[0].tolist() == pytest.approx([1] * 4)


def test_heads_of_a_group_are_averaged() -> None:
    weights = random_weights(4, 6, 6, causal=True)
    apart, grouped = h2o_importance(weights).score, h2o_importance(weights, kv_heads=2).score
    torch.testing.assert_close(grouped[1], (apart[2] + apart[3]) / 2)


def test_attention_that_looks_ahead_is_not_causal() -> None:
    with pytest.raises(WeightsError, match="causal=True, but a query attends to a key after its own position"):
        h2o_importance(one_hot(1, 0).unsqueeze(0))
    assert h2o_importance(one_hot(1, 0).unsqueeze(0), causal=False).ratio[0].tolist() == [1, 1]


@pytest.mark.parametrize(("window", "kernel"), [(1, 1), (4, 1), (4, 5), (8, 3)])
def test_snapkv_ratio_of_uniform_attention_is_1(window: int, kernel: int) -> None:
    found = snapkv_importance(uniform_causal(20).expand(4, 20, 20), 2, window=window, kernel=kernel)
    assert found.ratio[:, -window:].isnan().all()
    torch.testing.assert_close(found.ratio[:, :-window], torch.ones(2, 20 - window).double())


def test_snapkv_by_hand() -> None:
    weights = torch.zeros(1, 2, 5)  # two queries at keys 3 and 4
    weights[0, 0, 0] = weights[0, 1, 2] = 1
    plain = snapkv_importance(weights, window=2, kernel=1)
    assert plain.score[0, :3].tolist() == [0.5, 0, 0.5] and plain.queries.tolist() == [2, 2, 2, 2, 1]
    assert plain.baseline[:3].tolist() == pytest.approx([(1 / 4 + 1 / 5) / 2] * 3)
    smooth = snapkv_importance(weights, window=2, kernel=3)
    assert smooth.score[0, :3].tolist() == pytest.approx([0.25, 1 / 3, 0.25])


def test_snapkv_counts_the_last_queries_only() -> None:
    weights = random_weights(2, 3, 9, 9, causal=True)
    other = weights.clone()
    other[..., :5, :] = uniform_causal(9)[:5].float()
    first, second = snapkv_importance(weights, window=4), snapkv_importance(other, window=4)
    torch.testing.assert_close(first.score, second.score, equal_nan=True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"window": 0}, "window=0; expected 1 to 5, with 6 queries and 6 keys: some keys have to be before"),
        ({"window": 6}, "window=6; expected 1 to 5"),
        ({"window": 2, "kernel": 4}, "kernel=4; expected an odd number, 1 or more"),
        ({"window": 2, "kv_heads": 3}, "kv_heads=3; expected a number that divides the 4 heads"),
    ],
)
def test_snapkv_refuses(options: dict[str, int], text: str) -> None:
    with pytest.raises(WeightsError, match=text):
        snapkv_importance(random_weights(4, 6, 6, causal=True), **options)  # type: ignore[arg-type]


def test_h2o_refuses_what_are_no_weights() -> None:
    with pytest.raises(WeightsError, match=r"row 0 of map .* sums to 3; attention weights are"):
        h2o_importance(torch.ones(2, 3, 3))
    with pytest.raises(WeightsError, match=r"expected weights \(\.\.\., head, query, key\)"):
        h2o_importance(torch.eye(3))
    with pytest.raises(WeightsError, match=r"expected one query and one key or more; got weights of shape \(2, 0, 3\)"):
        h2o_importance(torch.ones(2, 0, 3))
