"""The tensors inside whatever a module returned."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from memviz_widgets.capture.outputs import MAX_LEAVES, leaves

from .recording import records_of


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


@dataclasses.dataclass
class Fields:
    logits: Tensor
    extra: Any = None


class Plain:
    def __init__(self) -> None:
        self.state = torch.ones(2)
        self.name = "x"
        self.act = lambda: 1


class Slotted:
    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = torch.ones(2)


def items(value: Any) -> list[str]:
    return [leaf.item for leaf in leaves(value) if leaf.tensor is not None]


T = torch.ones(1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (T, [""]),
        ((T, T), ["0", "1"]),
        ([T, (T, T)], ["0", "1.0", "1.1"]),
        ({"a": T, "b": {"k": T}}, ["a", "b.k"]),
        (Pair(T, T), ["first", "second"]),
        (Fields(T, [T]), ["logits", "extra.0"]),
        (Plain(), ["state"]),
        (Slotted(), ["state"]),
        ((None, 3, "text", T), ["3"]),
    ],
)
def test_each_tensor_is_named_by_its_place(value: Any, expected: list[str]) -> None:
    assert items(value) == expected


def test_model_output_of_transformers() -> None:
    from transformers.modeling_outputs import BaseModelOutput

    assert items(BaseModelOutput(last_hidden_state=T, hidden_states=(T, T))) == [
        "last_hidden_state",
        "hidden_states.0",
        "hidden_states.1",
    ]


def test_key_value_cache_of_transformers() -> None:
    from transformers import DynamicCache

    cache = DynamicCache()
    cache.update(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), 0)
    assert items(cache) == ["layers.0.keys", "layers.0.values"]


def test_packed_sequence_gives_its_data_and_says_so() -> None:
    record = records_of(pack_sequence([torch.ones(3, 2), torch.ones(1, 2)]))[0]
    assert record.item == "data" and record.shape == (4, 2) and "PackedSequence" in record.note


def test_none_and_numbers_give_no_record() -> None:
    assert records_of((None, 1, 2.5, "text")) == ()


def test_a_cycle_ends() -> None:
    value: list[Any] = [T]
    value.append(value)
    assert items(value) == ["0"]


def test_too_deep_nesting_is_noted() -> None:
    value: Any = T
    for _ in range(12):
        value = (value,)
    assert "deeper than 8 levels" in records_of(value)[0].note


def test_too_many_tensors_are_noted() -> None:
    found = list(leaves([T] * (MAX_LEAVES + 5)))
    assert len(found) == MAX_LEAVES + 1 and "the first 512 are recorded" in found[-1].note


@pytest.mark.parametrize(
    ("value", "name"), [(lambda: 1, "function"), (nn.Linear(1, 1), "Linear"), (object(), "object")]
)
def test_what_is_no_tensor_is_noted(value: Any, name: str) -> None:
    record = records_of((T, value))[1]
    assert record.note == f"{name}: not a tensor, and no tensor in it" and not record.kept


def test_a_generator_is_noted_and_not_consumed() -> None:
    numbers = (n for n in range(3))
    assert "generator" in records_of(numbers)[0].note
    assert list(numbers) == [0, 1, 2]


def test_a_container_that_raises_is_noted() -> None:
    class Broken(dict[str, Tensor]):
        def items(self) -> Any:
            raise RuntimeError("no items today")

    assert "could not be opened (RuntimeError: no items today)" in records_of(Broken())[0].note
