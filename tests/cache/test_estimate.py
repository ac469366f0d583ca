"""The price said beforehand is the price."""

from __future__ import annotations

import torch
from torch import nn

from memviz_widgets import ActivationCache


def test_estimate_is_what_a_capture_costs_and_keeps_nothing() -> None:
    model, x = nn.Sequential(nn.Linear(4, 8), nn.Identity(), nn.ReLU()), torch.ones(2, 4)
    price, cache = ActivationCache.estimate(model, x), ActivationCache.capture(model, x)
    assert price.nbytes == cache.recorded_bytes == 2 * 2 * 8 * 4 and price.input_bytes == 2 * 4 * 4
    assert [record.path for record in price.records] == [record.path for record in cache.records]
    assert price.costs == (64, 0, 64, 0)


def test_its_budget_keeps_everything() -> None:
    model, x = nn.Sequential(*(nn.Linear(64, 64) for _ in range(5))), torch.ones(7, 64)
    price = ActivationCache.estimate(model, x)
    assert all(record.kept for record in ActivationCache.capture(model, x, budget=price.budget).records)


def test_its_text_lists_the_largest_first() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 256))
    text = repr(ActivationCache.estimate(model, torch.ones(1, 4)))
    assert text.splitlines() == [
        "3 records, 1.0 KiB: budget='2 KiB' keeps all",
        "     1.0 KiB  1",
        "        32 B  0",
    ]


def test_layers_and_call_count() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 256))
    price = ActivationCache.estimate(model, layers="0", call=lambda m: m(torch.ones(1, 4)))
    assert [record.path for record in price.records] == ["0"] and price.nbytes == 32
