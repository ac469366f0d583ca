"""What the adapters of slot memories match, what they refuse, and which attentions are reads in a row."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.capture.memory_dnc import DncAdapter
from memviz_widgets.capture.memory_hopfield import HopfieldAdapter
from memviz_widgets.capture.memory_hops import hop_groups
from memviz_widgets.capture.memory_ntm import NtmAdapter
from memviz_widgets.capture.memory_titans import TitansAdapter
from memviz_widgets.records import TensorRecord

from ..conformance.slot_models import NTM, HopfieldCore, NeuralMemory, NTMMemory, NTMReadHead

ADAPTERS = (DncAdapter, NtmAdapter, HopfieldAdapter, TitansAdapter)


class Memory(nn.Module):
    """Of another package: the name is no proof."""

    def __init__(self) -> None:
        super().__init__()
        self.mem_size = 3


class HasMemory(nn.Module):
    """A tensor called memory makes no head."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = torch.zeros(2, 3)
        self.fc_read = nn.Linear(2, 2)


@pytest.mark.parametrize(
    "module", [Memory(), HasMemory(), nn.Linear(2, 2), nn.MultiheadAttention(4, 2), nn.TransformerEncoderLayer(4, 2)]
)
def test_other_modules_match_no_adapter(module: nn.Module) -> None:
    assert not any(adapter().match(module) for adapter in ADAPTERS)


def test_each_adapter_matches_its_own() -> None:
    ntm = NTM()
    assert [NtmAdapter().match(each) for each in (ntm, ntm.memory, *ntm.heads)] == [False, False, True, True]
    assert HopfieldAdapter().match(HopfieldCore(4))
    assert TitansAdapter().match(NeuralMemory(1, 4, 2))


def test_a_head_without_content_is_refused() -> None:
    adapter, head = NtmAdapter(), NTMReadHead(NTMMemory(3, 2), 4)
    assert adapter.match(head)
    with pytest.raises(ValueError, match=r"NTMMemory holds no content \(B, slots, width\) under memory"):
        list(adapter.read(head, (torch.zeros(1, 4),), {}, (torch.zeros(1, 2), torch.zeros(1, 3))))


def test_a_head_without_weights_is_refused() -> None:
    adapter, head = NtmAdapter(), NTMReadHead(NTMMemory(3, 2), 4)
    adapter.match(head)
    head.memory.reset(1)
    with pytest.raises(ValueError, match=r"returned tuple without weights over the slots \(B, 3\)"):
        list(adapter.read(head, (), {}, (torch.zeros(1, 2),)))


def test_a_dnc_memory_that_returns_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="got Tensor; expected read vectors and a state with 'memory'"):
        list(DncAdapter().read(nn.Linear(2, 2), (), {}, torch.zeros(2)))


def test_a_memory_of_weights_without_a_state_is_refused() -> None:
    with pytest.raises(ValueError, match="returned Tensor without a state that has updates"):
        list(TitansAdapter().read(NeuralMemory(1, 4, 2), (), {}, torch.zeros(2)))


def test_the_adapter_of_heads_keeps_no_module() -> None:
    adapter = NtmAdapter()
    head = NTMReadHead(NTMMemory(3, 2), 4)
    adapter.match(head)
    assert len(adapter._memories) == 1
    del head
    assert len(adapter._memories) == 0


class Asks(nn.Module):
    """Asks with some queries, a number of times."""

    def __init__(self, queries: int, times: int, grows: bool = False) -> None:
        super().__init__()
        self.queries, self.times, self.grows = queries, times, grows

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, D) -> (B, queries, D)."""
        state = x[:, : self.queries]
        for number in range(self.times):
            memory = x[:, : x.shape[1] - self.times + number] if self.grows else x
            state = (state @ memory.transpose(1, 2)).softmax(-1) @ memory
        return state


def groups(model: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    cache = ActivationCache.capture(model, torch.randn(2, 6, 4))
    found = hop_groups(cache.records)
    cache.close()
    return found


def test_one_query_that_asks_twice_is_a_row() -> None:
    [(label, members)] = groups(nn.Sequential(Asks(1, 2)))
    assert label == "0 reads" and len(members) == 2


@pytest.mark.parametrize("model", [Asks(1, 1), Asks(2, 3), Asks(1, 3, grows=True)], ids=["once", "several", "grows"])
def test_other_attentions_are_no_row(model: nn.Module) -> None:
    assert groups(nn.Sequential(model)) == []


def attention(index: int, step: int, path: str, keys: int, queries: int = 1) -> TensorRecord:
    """A record of attention weights."""
    dims, shape = ("batch", "head", "query", "key"), (1, 2, queries, keys)
    place = {"path": path, "module_type": "Attention", "call": 0, "kind": "attention", "item": "", "step": step}
    about = {"dtype": "float32", "device": "cpu", "nbytes": 0, "stats": None, "kept": True, "note": ""}
    return TensorRecord(index=index, dims=dims, shape=shape, **place, **about)  # type: ignore[arg-type]


def layers(*steps: tuple[int, int]) -> list[TensorRecord]:
    """Two layers; per step (queries, keys)."""
    return [
        attention(2 * step + layer, step, f"layers.{layer}.self", keys, queries)
        for step, (queries, keys) in enumerate(steps)
        for layer in range(2)
    ]


def test_steps_of_a_training_loop_are_rows_of_their_own() -> None:
    assert hop_groups(layers((1, 5), (1, 9))) == [("layers.*.self reads", (0, 1)), ("layers.*.self reads", (2, 3))]


@pytest.mark.parametrize(
    "steps",
    [((4, 4), (1, 5), (1, 6)), ((1, 2), (1, 3), (1, 4)), ((4, 32), (1, 32), (1, 32))],
    ids=["prompt", "no prompt", "static cache"],
)
def test_steps_that_generate_are_no_rows(steps: tuple[tuple[int, int], ...]) -> None:
    assert hop_groups(layers(*steps)) == []


def test_a_step_that_adds_one_entry_to_a_cache_generates() -> None:
    entry = replace(
        layers((1, 5))[0], index=2, kind="key", memory="layers.0", dims=("batch", "head", "time", "channel")
    )
    assert hop_groups([*layers((1, 5)), entry]) == []
