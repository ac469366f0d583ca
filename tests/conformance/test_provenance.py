"""Who wrote what, summed over all writers, is what the memory holds: for every family whose law is known.

The largest difference is held against the rounding of float32, in units of the largest content where that is above 1.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.analysis.memory import keep_and_write, provenance, read_provenance

from .slot_models import NTM

ROUNDING = 1e-6
STEPS = 12


def lstm() -> mv.ActivationCache:
    rnn, x = nn.LSTM(3, 5, 2, bidirectional=True), torch.randn(STEPS, 2, 3)
    return mv.ActivationCache.capture(rnn, (x, (torch.randn(4, 2, 5), torch.randn(4, 2, 5))))


def gru() -> mv.ActivationCache:
    return mv.ActivationCache.capture(nn.GRU(3, 5, 2), (torch.randn(STEPS, 2, 3), torch.randn(2, 2, 5)))


def gru_cell() -> mv.ActivationCache:
    cell, x = nn.GRUCell(3, 5), torch.randn(STEPS, 2, 3)
    with mv.record(cell) as cache:
        state = torch.randn(2, 5)
        for step in x:
            state = cell(step, state)
    return cache


def ntm() -> mv.ActivationCache:
    model, x = NTM("rw"), torch.randn(2, STEPS, 4)
    model.memory.reset(2)
    with mv.record(model) as cache:
        for step in x.unbind(1):
            model(step)
    return cache


def dnc() -> mv.ActivationCache:
    model = importlib.import_module("dnc").DNC(4, 8, nr_cells=7, cell_size=5, read_heads=2)
    return mv.ActivationCache.capture(model, torch.randn(2, STEPS, 4))


def mamba() -> mv.ActivationCache:
    transformers = importlib.import_module("transformers")
    config = transformers.MambaConfig(vocab_size=50, hidden_size=8, num_hidden_layers=2, state_size=4)
    model = transformers.MambaModel(config).eval()
    for layer in model.layers:  # states of the size of 1
        nn.init.normal_(layer.mixer.x_proj.weight)
        nn.init.normal_(layer.mixer.in_proj.weight)
    return mv.ActivationCache.capture(model, torch.randint(0, 50, (2, STEPS)))


def laws(cache: mv.ActivationCache) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Label of a memory -> keep, write, content, each (T, B, ...) in the order in which the memory runs."""
    found = {}
    for label, records in cache.memories().items():
        parts = {
            record.kind: cache.get(
                record.path, record.kind, item=record.item, call=None if record.parts else record.call
            )
            for record in records
        }
        if {"gate.f", "gate.z", "erase", "keep"} & set(parts):
            law = [tensor.transpose(0, 1) for tensor in keep_and_write(parts)]
            backwards = records[0].item.endswith("_reverse")
            keep, write, content = (tensor.flip(0) if backwards else tensor for tensor in law)
            found[label] = keep, write, content
    return found


@pytest.mark.parametrize(("made", "memories"), [(lstm, 4), (gru, 2), (gru_cell, 1), (ntm, 1), (dnc, 3), (mamba, 2)])
def test_what_all_wrote_is_what_is_held(made: Callable[[], mv.ActivationCache], memories: int) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        found = laws(made())
    assert len(found) == memories
    for label, (keep, write, content) in found.items():
        initial = (content[0] - write[0]).double() / keep[0].double()
        shares = provenance(keep, write, initial=initial, content=content)
        assert shares.residual <= ROUNDING * max(1.0, float(content.abs().max())), label
        assert shares.amount.shape == (2, STEPS, STEPS)
        torch.testing.assert_close(shares.share.sum(-1) + shares.initial_share, torch.ones(2, STEPS), rtol=0, atol=1e-5)
        assert not shares.amount.triu(1).any()  # nothing is there before it is written
        assert content.std() > 0
        assert shares.amount.diagonal(dim1=1, dim2=2).min() > 0, label


@pytest.mark.parametrize("made", [ntm, dnc])
def test_what_is_read_was_written_by_somebody(made: Callable[[], mv.ActivationCache]) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        cache = made()
    label = next(label for label, records in cache.memories().items() if any(r.kind == "erase" for r in records))
    records = cache.memories()[label]
    parts: dict[str, Any] = {record.kind: cache.get(record.path, record.kind, item=record.item) for record in records}
    keep, write, _ = keep_and_write(parts)
    phase = "before_write" if any("reads before the write" in record.note for record in records) else "after_write"
    reads = read_provenance(parts["read_weights"], keep, write, phase)
    later = torch.ones(STEPS, STEPS, dtype=torch.bool).triu(0 if phase == "before_write" else 1)
    assert not reads.amount[..., later].any()
    assert reads.amount[..., ~later].min() > 0


def test_a_memory_that_never_changes_was_written_by_nobody() -> None:
    keep, write = torch.ones(STEPS, 2, 5), torch.zeros(STEPS, 2, 5)
    held = torch.randn(2, 5)
    shares = provenance(keep, write, initial=held, content=held.expand(STEPS, 2, 5))
    assert not shares.amount.any()
    assert not shares.share.any()
    assert torch.equal(shares.initial_share, torch.ones(2, STEPS))
    assert shares.residual == 0
