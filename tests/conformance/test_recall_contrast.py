"""Attention against a state of fixed size on associative recall: the contrast of Arora et al. 2023 (arXiv 2312.04927).

Four pairs of 16 values, two layers of attention of width 64, an LSTM of 64 units, 64 sequences per batch. After 200
batches attention has all answers right; the LSTM knows which values were shown, but not which belongs to which key: one
of four. (After 1,500 batches it still is, from this start; one of 128 units has come to 0.93 by then.)
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

import memviz_widgets as mv
from memviz_widgets import zoo
from memviz_widgets.analysis.recall import NOT_ASKED, AssociativeRecall

TASK = AssociativeRecall(pairs=4, symbols=16)
BATCHES = 200


def trained(model: nn.Module, optimizer: torch.optim.Optimizer) -> nn.Module:
    numbers = torch.Generator().manual_seed(0)
    for _ in range(BATCHES):
        batch = TASK.batch(64, numbers)
        logits = model(batch.inputs).flatten(0, 1)
        loss = nn.functional.cross_entropy(logits, batch.targets.flatten(), ignore_index=NOT_ASKED)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


@pytest.fixture(scope="module")
def lab() -> Iterator[mv.RecallLab]:
    torch.manual_seed(0)
    attention = zoo.RecallTransformer(TASK.vocabulary, TASK.answers)
    lstm = zoo.RecallLSTM(TASK.vocabulary, TASK.answers, width=64)
    models = {
        "attention": trained(attention, torch.optim.AdamW(attention.parameters(), 2e-3)),
        "lstm": trained(lstm, torch.optim.Adam(lstm.parameters(), 3e-3)),
    }
    made = mv.RecallLab(models, TASK, sweep={"pairs": [1, 2, 4]})
    yield made.run(progress=False)
    made.close()


def at_four(lab: mv.RecallLab, name: str) -> float:
    return lab.curve(name).points[-1].accuracy


def test_attention_recalls_what_an_lstm_of_the_same_training_does_not(lab: mv.RecallLab) -> None:
    assert at_four(lab, "attention") >= 0.99
    assert TASK.chance < 0.15 < at_four(lab, "lstm") < 0.6


def test_the_states_are_of_the_sizes_that_the_contrast_is_about(lab: mv.RecallLab) -> None:
    attention, lstm = lab.curves.curves[0]["rows"]
    assert attention["elements"] == 2 * 2 * TASK.steps * 64  # layers, keys and values
    assert lstm["elements"] == 2 * 64  # hidden and cell


def test_the_lstm_fails_for_a_reason_that_is_told(lab: mv.RecallLab) -> None:
    failure = lab.failure("lstm", 4)
    assert failure.verdict in ("decayed", "overwritten", "none of the four")
    assert list(failure.diagnoses) == ["lstm l0"] and not failure.unknown
    assert isinstance(lab.explorer, mv.MemoryExplorer)
    assert lab.explorer.selection.time == failure.asked_step
