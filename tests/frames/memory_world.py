"""Caches of memories for the tests: parts run in a loop in float64, with what wrote them found by brute force."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from memviz_widgets.frames import Page, PageSource, dequantise
from memviz_widgets.frames.quantise import NEG_INF_CODE, Quantised

from .fake_cache import FakeCache, FakeLazy

VECTOR = ("batch", "time", "channel")
SLOTS = ("batch", "time", "slot", "width")
OF_HEADS = ("batch", "time", "head", "slot")
VECTORS = ("batch", "time", "head", "width")
CACHED = ("batch", "head", "time", "channel")
AFTER, BEFORE = "reads after the write", "reads before the write"
Part = tuple["Tensor | FakeLazy", tuple[str, ...]]


def memory_cache(
    parts: Mapping[str, Part], *, memory: str = "enc l0", item: str = "", texts: list[list[list[str]]] | None = None
) -> FakeCache:
    """A record per part of one memory, by kind; "kind:item" gives one an item of its own."""
    cache = FakeCache(*parts.values())
    cache.token_texts = texts or []
    for index, name in enumerate(parts):
        kind, _, own = name.partition(":")
        cache.change(index, kind=kind, item=own or item, memory=memory, path="enc", stats=None)
    return cache


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def run(keep: Tensor, write: Tensor, before: Tensor) -> Tensor:
    """Contents (B, T, ...) of a memory that starts as ``before`` (B, ...)."""
    states, state = [], before
    for step in range(write.shape[1]):
        state = keep[:, step] * state + write[:, step]
        states.append(state)
    return torch.stack(states, 1)


def lstm(batch: int = 2, steps: int = 6, units: int = 4, seed: int = 0) -> dict[str, Part]:
    """A cell that was not empty before, and its gates."""
    i, f = (numbers(batch, steps, units, seed=seed + place).sigmoid() for place in (1, 2))
    g = numbers(batch, steps, units, seed=seed + 3).tanh()
    cell = run(f, i * g, numbers(batch, units, seed=seed + 4))
    parts = {"cell": cell, "gate.i": i, "gate.f": f, "gate.g": g, "hidden": cell.tanh()}
    return {kind: (part, VECTOR) for kind, part in parts.items()}


def constant_gate(keep: list[float], steps: int = 5) -> dict[str, Part]:
    """A cell whose units keep a constant part, and in which every step writes 1. Empty before."""
    f = torch.tensor(keep).double().expand(1, steps, len(keep)).clone()
    ones = torch.ones_like(f)
    cell = run(f, ones, torch.zeros(1, len(keep)).double())
    return {kind: (part, VECTOR) for kind, part in (("cell", cell), ("gate.f", f), ("gate.i", ones), ("gate.g", ones))}


def slots(batch: int = 2, steps: int = 5, heads: int = 2, size: int = 4, width: int = 3) -> dict[str, Part]:
    """A memory of slots with several heads, which reads after its writes."""
    weights = numbers(batch, steps, heads, size, seed=1).softmax(-1)
    erase, add = numbers(batch, steps, heads, width, seed=2).sigmoid(), numbers(batch, steps, heads, width, seed=3)
    memory, states = numbers(batch, size, width, seed=4), []
    for step in range(steps):
        for head in range(heads):
            w, e, a = weights[:, step, head, :, None], erase[:, step, head, None, :], add[:, step, head, None, :]
            memory = memory * (1 - w * e) + w * a
        states.append(memory)
    return {
        "memory": (torch.stack(states, 1), SLOTS),
        "write_weights": (weights, OF_HEADS),
        "erase": (erase, VECTORS),
        "add": (add, VECTORS),
        "read_weights": (numbers(batch, steps, heads, size, seed=5).softmax(-1), OF_HEADS),
    }


def shares_by_hand(keep: Tensor, write: Tensor, content: Tensor) -> Tensor:
    """Share of each step in what one sample holds, (T, T), of keep, write and content (T, ...): no cleverness."""
    steps = len(write)
    left = content[0] - write[0]
    found = torch.zeros(steps, steps + 1).double()
    for t in range(steps):
        for s in range(t + 1):
            part = write[s].clone()
            for k in range(s + 1, t + 1):
                part = part * keep[k]
            found[t, s + 1] = part.norm()
        initial = left.clone()
        for k in range(1, t + 1):
            initial = initial * keep[k]
        found[t, 0] = initial.norm()
    whole = found.sum(1, keepdim=True)
    return (found / torch.where(whole > 0, whole, 1.0))[:, 1:]


def page_of(cache: FakeCache, index: int, kind: str, page: int = 0) -> Page:
    return PageSource(cache).page(index, kind, page)


def shown(page: Page) -> np.ndarray:
    """The values that the codes of a page stand for; 0 where the code says exactly 0."""
    values = dequantise(Quantised(page.cells, page.lows, page.highs))
    return np.where(page.cells == NEG_INF_CODE, 0.0, values)


def half_step(page: Page) -> float:
    """How far a code may be from its value."""
    return float(np.nanmax(page.highs - page.lows)) / 504 + 1e-6
