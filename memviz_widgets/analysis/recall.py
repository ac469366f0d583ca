"""The recall lab without its picture: tasks, recall curves, state size, and why an answer is not in memory.

In: a function from symbols (B, T) to logits (B, T, V); or ``keep``, ``write`` and read weights of one run. Out:
accuracy and bits kept, value by value, beside chance and n; a diagnosis with the numbers that say so. This module has
the names of all of them.

Said once: symbols are int64 from 0, and those that can be the answer come first; steps count from 0. Sequences are
drawn with a generator of their own, so that a seed gives the same ones again. Bits have base 2. MeasureError, which is
a ValueError, for settings and tensors that do not fit; UnknownOptionError for a setting that a task does not have.
"""

from __future__ import annotations

from .recall_curve import ModelFunction, RecallCurve, RecallPoint, SweepStep, measure, sweep, sweep_steps
from .recall_diagnosis import (
    ERASED_LEAST,
    KEPT_LEAST,
    READ_LEAST,
    REPLACED_LEAST,
    WRITTEN_LEAST,
    Diagnosis,
    diagnose,
)
from .recall_lookup import AssociativeRecall, NeedleRecall
from .recall_settings import setting_text, swept_settings, symbol_text
from .recall_state import StateSize, state_size
from .recall_tasks import NOT_ASKED, CopyTask, DelayedRecall, RecallBatch, RecallTask

__all__ = [
    "ERASED_LEAST",
    "KEPT_LEAST",
    "NOT_ASKED",
    "READ_LEAST",
    "REPLACED_LEAST",
    "WRITTEN_LEAST",
    "AssociativeRecall",
    "CopyTask",
    "DelayedRecall",
    "Diagnosis",
    "ModelFunction",
    "NeedleRecall",
    "RecallBatch",
    "RecallCurve",
    "RecallPoint",
    "RecallTask",
    "StateSize",
    "SweepStep",
    "diagnose",
    "measure",
    "setting_text",
    "state_size",
    "sweep",
    "sweep_steps",
    "swept_settings",
    "symbol_text",
]
