"""The memory card of memories whose measures are known: closed forms, what is absent, what goes wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from memviz_widgets.analysis import memory as measures
from memviz_widgets.errors import PageRefusedError
from memviz_widgets.frames.entries import Card, CardRow
from memviz_widgets.frames.memory_card import build_card
from memviz_widgets.frames.memory_card_cache import entries_for
from memviz_widgets.frames.memory_card_methods import METHODS
from memviz_widgets.frames.memory_card_rows import mean_text, number_text, share_text, spread_text

from .fake_cache import FakeCache
from .memory_world import CACHED, OF_HEADS, SLOTS, VECTOR, VECTORS, Part, constant_gate, lstm, memory_cache, slots


def no_recoveries(record: object) -> tuple[()]:
    return ()


def cache_of(parts: Mapping[str, Part], **options: Any) -> FakeCache:
    cache = memory_cache(parts, **options)
    cache.recoveries = no_recoveries  # type: ignore[attr-defined]
    return cache


def card_of(parts: Mapping[str, Part], index: int = 0, sample: int = 0, **options: Any) -> Card:
    return build_card(cache_of(parts, **options), index, sample)  # type: ignore[arg-type]


def row_of(card: Card, name: str) -> CardRow:
    return next(row for row in card["rows"] if row["name"] == name)


def names(card: Card) -> list[str]:
    return [row["name"] for row in card["rows"]]


def same(row: CardRow, number: float) -> None:
    assert row["number"] == pytest.approx(number, rel=1e-5), row


# Gates


def test_time_constants_are_those_of_constant_gates() -> None:
    card = card_of(constant_gate([0.5, 0.9, 0.99]))
    row = row_of(card, "time constant")
    same(row, -1 / math.log(0.9))  # the middle one of 1.443, 9.491, 99.499
    assert row["value"] == "median 9.49 steps (5-95 %: 2.25 to 90.5)"
    assert row["compare"] == "a gate of 0.5: 1.44 steps"
    assert row["n"] == "3 units, 5 steps"
    same(row_of(card, "half-life"), math.log(0.5) / math.log(0.9))


def test_the_horizon_is_that_of_the_mean_curve() -> None:
    row = row_of(card_of(constant_gate([0.5, 0.5])), "retention horizon")
    assert (row["value"], row["number"]) == ("2 steps", 2.0)  # .5, .25 < 1/e
    assert row["detail"].startswith("2 of 2 channels fall below 1/e; at lag 4 0.0625 is left")
    assert row_of(card_of(constant_gate([0.3])), "retention horizon")["value"] == "1 step"
    beyond = row_of(card_of(constant_gate([0.99])), "retention horizon")
    assert (beyond["value"], beyond["number"]) == ("above 1/e up to lag 4", None)
    assert beyond["compare"] == "recorded up to lag 4"


def test_saturation_counts_steps_at_an_end() -> None:
    parts = constant_gate([0.05, 0.5, 0.95, 0.99])
    row = row_of(card_of(parts), "saturation of gate.f")
    assert row["value"] == "25 % shut, 50 % open"
    same(row, 0.75)


def test_a_memory_without_gates_says_so() -> None:
    states = torch.eye(6, 4).double().unsqueeze(0)
    card = card_of({"hidden": (states, VECTOR)})
    assert "no time constants and no retention: no gate says what a step keeps" in card["absent"]
    assert "no saturation: no gates here" in card["absent"]
    assert "no gradient horizon: the inputs and weights of its calls are not in this recording" in card["absent"]
    assert names(card) == ["effective rank of hidden", "participation ratio of hidden", "state size"]


# States


def test_directions_of_the_states() -> None:
    states = torch.cat([torch.eye(4), -torch.eye(4)]).double().unsqueeze(0)  # (1, 8, 4), mean 0
    card = card_of({"hidden": (states, VECTOR)})
    rank = row_of(card, "effective rank of hidden")
    same(rank, 4.0)
    assert (rank["compare"], rank["n"]) == ("at most 4", "8 steps, 4 numbers each")
    ratio = row_of(card, "participation ratio of hidden")
    same(ratio, 4.0)
    assert ratio["compare"] == f"noise: {1 / (1 / 4 + 1 / 8):.3g}"
    same(row_of(card, "state size"), 4.0)
    assert row_of(card, "state size")["value"] == "4 numbers, 32 bytes"


def test_states_of_zeros_have_no_rank() -> None:
    card = card_of({"hidden": (torch.zeros(1, 6, 4), VECTOR)})
    assert names(card) == ["state size"]
    assert "no effective rank of hidden: it stays 0" in card["absent"]


def test_steps_after_a_samples_end_do_not_count() -> None:
    states = torch.eye(6, 4).double().unsqueeze(0).clone()
    states[:, 4:] = torch.nan
    row = row_of(card_of({"hidden": (states, VECTOR)}), "effective rank of hidden")
    same(row, 4.0)
    assert row["n"] == "4 steps, 4 numbers each"


# Slots


def test_slots_agree_with_the_measures_themselves() -> None:
    parts = slots()
    card = card_of(parts, sample=1)
    memory, weights, erase, reads = (parts[kind][0][1] for kind in ("memory", "write_weights", "erase", "read_weights"))  # type: ignore[index]
    sharpness = measures.read_sharpness(reads)
    same(row_of(card, "read sharpness"), float(sharpness.mean()))
    usage = measures.slot_usage(weights)
    same(row_of(card, "slots written"), 4 * math.exp(-usage.kl))
    keep = torch.ones(5, 4, 3).double()
    for head in range(2):
        keep = keep * (1 - weights[:, head, :, None] * erase[:, head, None, :])
    gone = ((1 - keep[1:]) * memory[:-1]).square().sum((1, 2)) / memory[:-1].square().sum((1, 2))
    row = row_of(card, "erased mass")
    same(row, float(gone.mean()))
    assert row["detail"].startswith(f"most of it at step {int(gone.argmax()) + 1}: ")
    found = measures.coherence(memory[-1])
    same(row_of(card, "coherence of slots"), float(found.coherence))
    assert row_of(card, "coherence of slots")["compare"] == f"Welch bound: {float(found.bound):.3g}"


def test_one_head_erases_what_erased_mass_says() -> None:
    parts = slots(heads=1)
    memory, weights, erase = (parts[kind][0][0] for kind in ("memory", "write_weights", "erase"))  # type: ignore[index]
    expected = measures.erased_mass(memory[:-1], weights[1:, 0], erase[1:, 0])
    same(row_of(card_of(parts), "erased mass"), float(expected.double().mean()))


def test_sharp_reads_of_one_slot() -> None:
    weights = torch.zeros(1, 5, 1, 4).double()
    weights[..., 2] = 1
    card = card_of({"memory": (torch.ones(1, 5, 4, 3).double(), SLOTS), "read_weights": (weights, OF_HEADS)})
    same(row_of(card, "read sharpness"), 1.0)
    read = row_of(card, "slots read")
    same(read, 1.0)
    assert (read["value"], read["compare"]) == ("1 of 4", "all alike: 4; one slot: 1")
    assert "slots written" not in names(card)


def test_writes_to_slots_in_use_overlap() -> None:
    weights, usage = torch.zeros(1, 4, 1, 3).double(), torch.zeros(1, 4, 3).double()
    weights[..., 0], usage[:, :, 0] = 1, 1
    usage[:, 2] = 0  # before step 3 the slot is free
    parts: dict[str, Part] = {
        "memory": (torch.ones(1, 4, 3, 2).double(), SLOTS),
        "write_weights": (weights, OF_HEADS),
        "usage": (usage, ("batch", "time", "slot")),
    }
    row = row_of(card_of(parts), "write overlap")
    same(row, 2 / 3)
    assert row["value"] == "mean 0.667 (0 to 1)"


def test_an_empty_memory_has_no_coherence() -> None:
    content = torch.zeros(1, 4, 3, 2).double()
    content[:, :, 1] = 1
    card = card_of({"memory": (content, SLOTS), "read_weights": (torch.full((1, 4, 1, 3), 1 / 3), OF_HEADS)})
    assert "no coherence: 1 slot of 3 hold anything at the end" in card["absent"]
    assert "coherence of slots" not in names(card)


# Matrices


def hebbian(keys: Tensor, values: Tensor) -> dict[str, Part]:
    """A matrix (B, T, K, V) to which each step adds k v^T, with its keys and values."""
    written = torch.einsum("tk,tv->tkv", keys, values)
    return {
        "state": (written.cumsum(0).unsqueeze(0), ("batch", "time", "channel", "state")),
        "key": (keys.unsqueeze(0), VECTOR),
        "value": (values.unsqueeze(0), VECTOR),
    }


def test_orthonormal_keys_have_no_crosstalk() -> None:
    keys, values = torch.eye(6).double()[:4], torch.eye(5).double()[:4]
    card = card_of(hebbian(keys, values))
    row = row_of(card, "crosstalk")
    assert row["number"] == pytest.approx(0, abs=1e-9)
    assert (row["compare"], row["n"]) == (f"random unit keys, each written once: {3 / 6:.3g}", "4 pairs")
    rank = row_of(card, "rank of the matrix")
    same(rank, 4.0)
    assert (rank["compare"], rank["n"]) == ("at most 5", "1 head of 6 x 5, after the last step")


def test_equal_keys_have_the_crosstalk_of_all_others() -> None:
    keys, values = torch.eye(3).double()[[0, 0]], torch.eye(2).double()
    same(row_of(card_of(hebbian(keys, values)), "crosstalk"), 1.0)  # each reads the sum of both values


def test_unknown_keys_are_said() -> None:
    parts = {"state": hebbian(torch.eye(3).double(), torch.eye(3).double())["state"]}
    card = card_of(parts)
    assert "no crosstalk: keys and values that were written are not recorded" in card["absent"]
    assert "rank of the matrix" in names(card)


# KV caches


def kv_cache(weights: Tensor) -> FakeCache:
    """Keys and values of one head and the causal attention (1, N, T, T) that reads them."""
    steps = weights.shape[-1]
    kept = torch.randn(1, 1, steps, 2, generator=torch.Generator().manual_seed(0))
    parts: dict[str, Part] = {"key": (kept, CACHED), "value": (kept, CACHED)}
    parts["attention"] = (weights, ("batch", "head", "query", "key"))
    cache = cache_of(parts)
    cache.change(2, memory="", kind="attention")
    return cache


def test_uniform_attention_is_its_own_baseline() -> None:
    weights = torch.ones(8, 8).tril()
    weights = (weights / weights.sum(-1, keepdim=True)).expand(1, 2, 8, 8)
    card = build_card(kv_cache(weights), 0, 0)  # type: ignore[arg-type]
    harmonic = sum(1 / k for k in range(1, 9))
    sink = row_of(card, "sink share")
    same(sink, harmonic / 8)
    assert sink["compare"] == f"uniform: {100 * harmonic / 8:.3g} %"
    for name in ("H2O", "SnapKV"):
        row = next(row for row in card["rows"] if row["measure"] == name)
        assert row["compare"] == f"uniform: {row['number']:.0f}"
    assert next(row for row in card["rows"] if row["measure"] == "H2O")["number"] == 6.0


def test_a_sink_takes_all_entries_to_one() -> None:
    weights = torch.zeros(1, 1, 8, 8)
    weights[..., 0] = 1
    card = build_card(kv_cache(weights), 0, 0)  # type: ignore[arg-type]
    row = next(row for row in card["rows"] if row["measure"] == "H2O")
    assert row["value"] == "1 of 8 entries"
    same(row_of(card, "sink share"), 1.0)
    assert next(row for row in card["rows"] if row["measure"] == "state size")["number"] == 32


def test_a_cache_whose_attention_is_unknown() -> None:
    card = card_of({"key": (torch.ones(1, 1, 4, 2), CACHED), "value": (torch.ones(1, 1, 4, 2), CACHED)})
    assert names(card) == ["state size"]
    assert any("the attention that reads this cache was not recorded" in text for text in card["absent"])


def test_entries_for_a_part_of_the_mass() -> None:
    assert entries_for(torch.tensor([[0.5, 0.4, 0.1], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])).tolist() == [2, 1, 3]
    assert math.isnan(float(entries_for(torch.zeros(3))))


# The card as a whole


ALL: dict[str, dict[str, Part]] = {
    "lstm": lstm(),
    "slots": slots(),
    "constant": constant_gate([1.0, 0.0]),
    "matrix": hebbian(torch.eye(3).double(), torch.eye(3).double()),
    "one step": {kind: (part[:, :1], dims) for kind, (part, dims) in lstm().items()},  # type: ignore[index]
    "reads": {"read_weights": (torch.full((2, 3, 1, 4), 0.25), OF_HEADS)},
    "heads": {"erase": (torch.ones(2, 3, 1, 4), VECTORS)},
}


@pytest.mark.parametrize("name", list(ALL))
def test_cards_are_json_with_methods_and_without_nan(name: str) -> None:
    card = card_of(ALL[name], sample=1 if name in ("lstm", "slots", "reads", "heads", "one step") else 0)
    json.dumps(card, allow_nan=False)
    assert card["problems"] == []
    for row in card["rows"]:
        assert METHODS[row["measure"]]["how"] and METHODS[row["measure"]]["source"]
        assert row["value"] and "NaN" not in row["value"] and row["n"]
    assert len(set(names(card))) == len(names(card))


def test_it_is_the_same_from_any_part() -> None:
    parts = lstm()
    cards = [card_of(parts, index) for index in range(len(parts))]
    assert all(card == cards[0] for card in cards)
    assert cards[0]["title"] == "enc l0, sample 0"


def test_what_cannot_be_had_is_a_sentence() -> None:
    cache = cache_of(lstm())
    cache.values = []  # every value was dropped
    card = build_card(cache, 0, 0)  # type: ignore[arg-type]
    assert names(card) == ["state size"]
    assert "time constants and retention: the value was dropped" in card["problems"]


def test_a_part_without_values_says_why() -> None:
    cache = cache_of({"hidden": (torch.ones(1, 2, 3), VECTOR)})
    cache.change(0, kept=False, note="not recovered: dropout")
    card = build_card(cache, 0, 0)  # type: ignore[arg-type]
    assert card["problems"] == ["enc hidden has no values: not recovered: dropout"]


def test_wishes_without_sense_are_refused() -> None:
    cache: Any = cache_of(lstm())
    with pytest.raises(PageRefusedError, match=r"no record 5; the recording has 5, counted from 0\."):
        build_card(cache, 5, 0)
    with pytest.raises(PageRefusedError, match=r"no sample 2 in 'enc cell'; expected 0 \.\. 1\."):
        build_card(cache, 0, 2)
    cache.change(0, memory="")
    with pytest.raises(PageRefusedError, match=r"record 'enc cell' is no part of a memory; give one of cache.memories"):
        build_card(cache, 0, 0)


def test_numbers_as_they_are_read() -> None:
    assert [number_text(value) for value in (0.82134, 1234.5, 2e7, 1e-7, 0.0, math.inf, -2.5)] == [
        *("0.821", "1,234", "2.00e+07", "1.00e-07", "0", "∞", "-2.5")
    ]
    assert [share_text(share) for share in (0, 1e-5, 0.123, 0.9999, 1)] == [
        "0 %",
        "< 0.1 %",
        "12.3 %",
        "> 99.9 %",
        "100 %",
    ]
    assert spread_text(torch.tensor([2.0]), "steps") == "2 steps"
    assert spread_text(torch.tensor([1.0, math.inf]), "steps") == "median ∞ steps (5-95 %: 1 to ∞)"
    assert mean_text(torch.tensor([1.0, math.nan, 3.0])) == (2.0, "mean 2 (1 to 3)")
