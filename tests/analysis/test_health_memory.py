"""Faults of memories and attention, planted: a stuck gate, an unused slot, a collapsed head, a sink."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.analysis import health
from memviz_widgets.analysis.health_heads import focus_of

from ..conformance.slot_models import NTM, Loops
from .attention_maps import uniform_causal
from .test_health_planting import at, found, noise, only


class Attend(nn.Module):
    """Self-attention of 4 heads of width 8, whose keys and queries a test may change; causal or not."""

    def __init__(self, causal: bool, change: Callable[[Tensor, Tensor], None] | None = None) -> None:
        super().__init__()
        self.causal, self.change = causal, change
        self.to_qkv = nn.Linear(32, 96)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (4, 8)).transpose(1, 2).clone() for part in self.to_qkv(x).chunk(3, -1))
        if self.change:
            self.change(q, k)
        out = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return out.transpose(1, 2).flatten(2)


def collapse(strength: float) -> Callable[[Tensor, Tensor], None]:
    """All queries of head 2 point along one direction in which only key 3 lies."""

    def change(q: Tensor, k: Tensor) -> None:
        q[:, 2], k[:, 2] = 0.0, 0.0
        q[:, 2, :, 0], k[:, 2, 3, 0] = 1.0, strength * math.sqrt(8)

    return change


class Masked(NTM):
    """A memory that never addresses slot 2."""

    def forward(self, x: Tensor) -> Tensor:
        for head in self.heads:
            setattr(head, "address", self.address)  # noqa: B010  # nn.Module's own attributes are no callables to mypy
        return super().forward(x)

    def address(self, key: Tensor) -> Tensor:
        scores = 3 * torch.einsum("bm,bnm->bn", key, self.memory.held())
        scores[:, 2] = -math.inf
        return scores.softmax(-1)


@pytest.mark.parametrize(("bias", "state"), [(30.0, "open"), (-30.0, "shut")])
def test_saturated_forget_gate(bias: float, state: str) -> None:
    model = nn.LSTM(8, 16, batch_first=True)
    with torch.no_grad():
        at(model, "").bias_ih_l0[16:32] = bias
    finding = only(model, noise(4, 50, 8))
    assert (finding.kind, finding.severity) == ("saturated gate", "warning")
    assert finding.label.endswith("gate.f") and finding.value == 1.0 and finding.n == 4 * 50 * 16
    assert state in finding.sentence


@pytest.mark.parametrize("module", [nn.Sigmoid, nn.Tanh])
def test_saturated_activation(module: type[nn.Module]) -> None:
    ends = torch.where(noise(16, 8) > 0, 9.0, -9.0) + noise(16, 8)
    finding = only(nn.Sequential(module()), ends)
    assert (finding.kind, finding.severity, finding.path, finding.value) == ("saturated activation", "hint", "0", 1.0)
    assert found(nn.Sequential(module()), noise(16, 8)) == ()


def test_tanh_counts_as_saturated_from_0_8() -> None:
    assert found(nn.Sequential(nn.Tanh()), 0.01 * noise(16, 8) + math.atanh(-0.75)) == ()
    assert only(nn.Sequential(nn.Tanh()), 0.01 * noise(16, 8) + math.atanh(-0.85)).n == 128


def test_unused_slot() -> None:
    finding = only(Loops(Masked()), noise(3, 40, 4))
    assert (finding.kind, finding.slot, finding.places, finding.n) == ("unused slots", 2, (2,), 3 * 40)
    assert finding.value == 0.0 and finding.bound == 0.01 / 7
    assert "1 of 7 slots of 'ntm.memory' are never written to (2; 120 weightings" in finding.sentence


def test_unused_slot_needs_enough_weightings() -> None:
    # 7 ln(7 / 0.01) = 45.9
    assert found(Loops(Masked()), noise(3, 15, 4)) == ()
    assert len(found(Loops(Masked()), noise(2, 23, 4))) == 1


@pytest.mark.parametrize("causal", [False, True])
def test_collapsed_head(causal: bool) -> None:
    finding = only(Attend(causal, collapse(8.0)), noise(2, 80, 32))
    assert (finding.kind, finding.severity) == ("collapsed head", "warning")
    assert (finding.head, finding.places) == (2, (2,)) and finding.value > 0.9 and "on key 3" in finding.sentence
    assert (finding.sample, finding.key) == (0, 3)


def test_attention_sink_is_a_hint() -> None:
    # e^s against 23 others of weight 1: a share of 0.7 for s = ln(23 * 0.7 / 0.3).
    finding = only(Attend(causal=False, change=collapse(math.log(23 * 0.7 / 0.3))), noise(2, 24, 32))
    assert (finding.kind, finding.severity, finding.places) == ("attention sink", "hint", (2,))
    assert finding.value == pytest.approx(0.7, abs=1e-5)


def test_focus_of_uniform_attention_is_what_uniform_attention_has() -> None:
    focus = focus_of(uniform_causal(9).numpy()[None, None], np.arange(9))
    # Queries 1..8 have a choice; key 0 gets the mean of 1/2 .. 1/9.
    expected = sum(1 / place for place in range(2, 10)) / 8
    assert focus is not None and focus.n == 8 and focus.key.tolist() == [0]
    assert focus.share[0] == pytest.approx(expected) and focus.uniform[0] == pytest.approx(expected)


def test_of_two_keys_one_has_half_by_chance() -> None:
    two, four = torch.tensor([0.95, 0.05]), torch.tensor([0.95, 0.03, 0.01, 0.01])
    for weights, kinds in ((two, []), (four, ["collapsed head"])):
        cache = ActivationCache.from_attentions([weights.expand(1, 1, 9, -1)])
        assert [each.kind for each in health.report(cache).findings] == kinds


def test_focus_needs_a_choice_and_numbers() -> None:
    one_key = np.ones((1, 1, 9, 1))
    assert focus_of(one_key, np.arange(9)) is None
    assert focus_of(np.full((1, 1, 9, 9), np.nan), np.arange(9)) is None


def test_attention_with_too_little_or_ill_weights() -> None:
    ill = torch.full((1, 2, 9, 9), math.nan)
    for weights in (torch.ones(1, 2, 1, 1), torch.zeros(1, 2, 9, 9), torch.zeros(0, 2, 9, 9), ill):
        report = health.report(ActivationCache.from_attentions([weights]))
        assert [each for each in report.findings if each.head is not None] == []
