"""The price said beforehand is the price."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from memviz_widgets import ActivationCache


class Attending(nn.Module):
    """Attention by torch's function, whose keys are a record of their own; a mask; a result that repeats."""

    def __init__(self) -> None:
        super().__init__()
        self.queries, self.keys, self.norm = nn.Linear(6, 8), nn.Linear(6, 8), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        q, k = (part(x).unflatten(-1, (2, 4)).transpose(1, 2) for part in (self.queries, self.keys))
        mask = torch.zeros(5, 5, device=x.device)
        read = functional.scaled_dot_product_attention(q, k, k, attn_mask=mask).transpose(1, 2).flatten(2)
        made: Tensor = self.norm(read[:1].expand(7, 5, 8))
        return made


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


def test_on_the_meta_device_the_price_is_that_of_the_same_model_with_values() -> None:
    model, x = Attending(), torch.ones(3, 5, 6)
    price, bare = ActivationCache.estimate(model, x), ActivationCache.estimate(model.to("meta"), x.to("meta"))
    assert [(each.label, each.shape) for each in bare.records] == [(each.label, each.shape) for each in price.records]
    assert bare.costs == price.costs
    assert (bare.nbytes, bare.input_bytes) == (price.nbytes, price.input_bytes)
    # The outputs of both layers, query and key as the function got them, the mask, and one row of the last output.
    assert bare.nbytes == 4 * (4 * 3 * 5 * 8 + 25 + 5 * 8)


def test_a_capture_of_a_model_on_the_meta_device_says_that_there_are_no_values() -> None:
    cache = ActivationCache.capture(Attending().to("meta"), torch.ones(3, 5, 6, device="meta"))
    assert cache.recorded_bytes == 0 and cache.held_bytes == 0
    assert {record.note for record in cache.records} == {"on the meta device: it has no values, shape only"}
    assert cache.remarks == ("an attention was not recorded: on the meta device: it has no values, shape only",)
