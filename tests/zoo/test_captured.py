"""Every model of the zoo: a capture records what plain hooks see, and changes nothing."""

from __future__ import annotations

from .reference import differing
from .runs import Runs


def test_values_are_what_hooks_see(runs: Runs) -> None:
    outputs = [record for record in runs.cache.records if record.kind == "output" and record.kept]
    values = {
        (record.path, record.call, record.item): runs.cache.get(record.path, call=record.call, item=record.item)
        for record in outputs
    }
    assert differing(runs.reference, values) == []


def test_result_is_the_same_bits(runs: Runs) -> None:
    # For all: with a build and a seed for each run, no model of the zoo gives two results.
    assert differing(runs.plain, runs.captured) == []


def test_model_is_as_it_was(runs: Runs) -> None:
    assert differing(runs.before.tensors, runs.after.tensors) == []
    assert runs.before.hooks == runs.after.hooks
