"""The memory card of real families: what applies is shown, nothing else; a trained memory is told from a fresh one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.analysis.recall import DelayedRecall, measure
from memviz_widgets.frames.entries import Card
from memviz_widgets.frames.memory_card import build_card
from memviz_widgets.frames.memory_card_recall import recall_rows

from .slot_models import NTM, Hopfield

TASK = DelayedRecall()
DELAYS = (0, 5, 20)


def card_of(cache: mv.ActivationCache, label: str = "", sample: int = 0) -> Card:
    """The card of a memory, the first one unless named, with all that takes long."""
    memories = cache.memories()
    return build_card(cache, memories[label or next(iter(memories))][0].index, sample, patient=True)


def measured(card: Card) -> set[str]:
    """The measures of a card; it is whole: JSON, no problem, no number that is none."""
    json.dumps(card, allow_nan=False)
    assert card["problems"] == [] and card["offers"] == []
    assert not [row for row in card["rows"] if "NaN" in row["value"]]
    return {row["measure"] for row in card["rows"]}


def captured(model: nn.Module, x: Any = None, **options: Any) -> mv.ActivationCache:
    with torch.no_grad():
        return mv.ActivationCache.capture(model.eval(), x, **options)


GATED = {"time constant", "half-life", "retention horizon"}
STATES = {"effective rank", "participation ratio", "state size"}


@pytest.mark.parametrize(
    ("make", "more"),
    [
        (lambda: nn.LSTM(3, 5), GATED | {"saturation", "gradient horizon"}),
        (lambda: nn.GRU(3, 5, bidirectional=True), GATED | {"saturation", "gradient horizon"}),
        (lambda: nn.RNN(3, 5), {"gradient horizon"}),
    ],
    ids=["lstm", "gru", "rnn"],
)
def test_recurrent_layers(make: Callable[[], nn.Module], more: set[str]) -> None:
    torch.manual_seed(0)
    cache = captured(make(), torch.randn(30, 2, 3))
    for label in cache.memories():
        card = card_of(cache, label, sample=1)
        assert measured(card) == STATES | more
        assert "no KV cache here: no H2O, SnapKV and sink share" in card["absent"]
        assert "no slots here: no usage, sharpness, overwriting or likeness of slots" in card["absent"]


def test_a_neural_turing_machine() -> None:
    torch.manual_seed(0)
    model, x = NTM("rw"), torch.randn(2, 6, 4)
    model.memory.reset(2)
    with torch.no_grad(), mv.record(model) as cache:
        for step in x.unbind(1):
            model(step)
    found = measured(card_of(cache, "memory"))
    assert {"slots in use", "sharpness", "erased mass", "coherence"} | GATED <= found
    assert not found & {"H2O", "SnapKV", "sink share", "gradient horizon", "linear memory capacity", "separation"}


def test_a_hopfield_layer() -> None:
    torch.manual_seed(2)
    cache = captured(Hopfield(4, updates=5), torch.randn(2, 6, 4))
    records = next(iter(cache.memories().values()))
    for record in records:
        card = build_card(cache, record.index, 1)
        found = measured(card)
        assert {"sharpness", "patterns in an answer", "separation", "coherence", "energy", "state size"} == found
        before, after = next(row["value"] for row in card["rows"] if row["measure"] == "energy").split(" to ")
        assert float(after) < float(before)


def test_a_kv_cache_of_a_generation() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    config = transformers.LlamaConfig(vocab_size=50, num_attention_heads=4, num_key_value_heads=2, **sizes)
    ids = torch.randint(0, 50, (1, 12))
    cache = captured(
        transformers.LlamaForCausalLM(config), call=lambda m: m.generate(ids, max_new_tokens=6, do_sample=False)
    )
    card = card_of(cache)
    assert measured(card) == {"H2O", "SnapKV", "sink share", "state size"}
    [sink] = [row for row in card["rows"] if row["measure"] == "sink share"]
    assert sink["n"] == "17 entries, 2 heads, 17 queries"


def test_a_state_space_layer() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, state_size=4)
    card = card_of(captured(transformers.MambaModel(config), {"input_ids": torch.randint(0, 50, (1, 20))}))
    assert measured(card) == GATED | STATES | {"rank of the matrix"}


# A trained memory and a fresh one


class Recaller(nn.Module):
    """An LSTM with an embedding in front and a readout behind."""

    def __init__(self, units: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TASK.vocabulary, units)
        self.lstm = nn.LSTM(units, units, batch_first=True)
        self.readout = nn.Linear(units, TASK.answers)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.lstm(self.embedding(inputs))[0])
        return logits


def trained(seed: int, iterations: int = 600) -> Recaller:
    """On delays 0..20: Adam 5e-3, 64 sequences, gradients clipped at 1."""
    torch.manual_seed(seed)
    model = Recaller()
    optimizer, numbers = torch.optim.Adam(model.parameters(), 5e-3), torch.Generator().manual_seed(seed)
    for iteration in range(iterations):
        batch = TASK.with_(delay=iteration * 7 % 21).batch(64, numbers)
        loss = nn.functional.cross_entropy(model(batch.inputs).mT, batch.targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
    return model


def numbers_of(model: Recaller) -> dict[str, float | None]:
    """The card of the LSTM over one sequence of delay 20, and the rows of its recall."""
    batch = TASK.with_(delay=20).batch(1, torch.Generator().manual_seed(9))
    card = card_of(captured(model, batch.inputs))
    assert measured(card) == GATED | STATES | {"saturation", "gradient horizon"}
    rows = [*card["rows"], *recall_rows(measure(model, TASK, DELAYS))]
    return {row["name"]: row["number"] for row in rows}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_card_tells_a_trained_memory_from_a_fresh_one(seed: int) -> None:
    """By retention and recall. The gradient horizon does not tell: a gate that is shut passes no gradient either."""
    torch.manual_seed(seed)
    fresh, after = numbers_of(Recaller()), numbers_of(trained(seed))

    def number(rows: dict[str, float | None], name: str) -> float:
        return 22.0 if rows[name] is None else float(rows[name] or 0)  # None: beyond the 21 lags that were recorded

    assert number(fresh, "retention horizon") <= 3 and number(after, "retention horizon") >= 10
    assert number(after, "time constant") > 5 * number(fresh, "time constant")
    assert number(fresh, "recall at delay 20") < 0.3 and number(after, "recall at delay 20") > 0.95
    assert number(fresh, "bits kept at delay 20") < 0.3 and number(after, "bits kept at delay 20") > 2.5
