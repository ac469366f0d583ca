"""Every model of the zoo: a what-if is the model with a hook that a user would write, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.capture.what_if_places import exchanged, tensor_at
from memviz_widgets.records import TensorRecord

from .catalog import NAMES, build
from .reference import same_bits, watched


def edited(cache: ActivationCache) -> TensorRecord:
    """The output in the middle of the recording that is a plain tensor of numbers with a channel."""
    found = [
        record
        for record in cache.records
        if record.kind == "output" and record.available and record.dtype in ("float32", "bfloat16") and not record.note
        if not record.parts and "channel" in record.dims
    ]
    return found[len(found) // 2]


@pytest.mark.parametrize("name", NAMES)
def test_a_channel_of_a_layer_in_the_middle(name: str) -> None:
    model, keywords = build(name)
    with torch.no_grad():
        cache = ActivationCache.capture(model, keywords)
        record = edited(cache)
        axis, label = record.dims.index("channel"), f"{record.path or '(model)'}[{record.item}]"
        given = None if cache.origin is not None and cache.origin.inputs is not None else build(name)[1]
        twin = cache.what_if({label: mv.edit.scale(0.5, channel=0)}, x=given)

        def by_hand(module: Any, args: Any, result: Any) -> Any:
            value: Tensor = tensor_at(result, record.item, label).clone()
            value.select(axis, 0).mul_(0.5)
            return exchanged(result, record.item, value, label)

        model, keywords = build(name)
        model.get_submodule(record.path).register_forward_hook(by_hand)
        with watched(model) as reference:
            model(**keywords)
    for other in twin.records:
        if other.kind == "output" and other.available and not other.parts:
            value = twin.get(other.path, call=other.call, item=other.item)
            assert same_bits(value, reference[other.path, other.call, other.item]), other.label
    # vits computes from its values how long its result is.
    sizes = slice(4 if name == "vits" else 5)
    assert [place(each)[sizes] for each in twin.records] == [place(each)[sizes] for each in cache.records]


def place(record: TensorRecord) -> tuple[Any, ...]:
    return record.path, record.kind, record.item, record.call, record.shape
