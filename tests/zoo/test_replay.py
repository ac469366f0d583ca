"""Every model of the zoo: values that the budget does not hold come back as they were."""

from __future__ import annotations

import pytest
import torch

from memviz_widgets import ActivationCache
from memviz_widgets.errors import NotReproducibleError
from memviz_widgets.records import TensorRecord

from .catalog import build
from .reference import same_bits
from .runs import Runs


def spread(records: list[TensorRecord]) -> list[TensorRecord]:
    """An early, a middle and a late one."""
    return [records[0], records[len(records) // 2], records[-1]]


@pytest.mark.parametrize("share", [0.0, 0.2], ids=["nothing kept", "a fifth kept"])
def test_values_come_back(runs: Runs, share: float) -> None:
    # With nothing kept the whole model runs again; a fifth has room for the inputs of its blocks.
    model, keywords = build(runs.name)
    with torch.no_grad():
        cache = ActivationCache.capture(model, keywords, budget=int(runs.cache.recorded_bytes * share))
    missing = [record for record in cache.records if record.on_demand]
    for record in spread([record for record in missing if record.kind == "output"]):
        value = cache.get(record.path, call=record.call, item=record.item)
        assert same_bits(value, runs.reference[record.path, record.call, record.item]), record.label
    for record in [record for record in missing if record.kind == "attention"][:1]:
        weights = cache.attention(record.path, call=record.call, item=record.item)
        assert same_bits(weights, runs.cache.attention(record.path, call=record.call, item=record.item)), record.label
    assert cache.reproducible


def test_a_changed_input_is_noticed() -> None:
    # llama_step's forward adds to the key-value cache it is given; a second call through ``call=`` finds it longer.
    model, keywords = build("llama_step")
    with torch.no_grad():
        cache = ActivationCache.capture(model, call=lambda model: model(**keywords), budget=0)
    with pytest.raises(NotReproducibleError, match="another run gave other values"):
        cache.get("model.layers.1")
    assert cache.reproducible is False
