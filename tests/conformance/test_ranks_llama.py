"""A Llama of transformers over two ranks, as it generates: what is opened is what one process records, all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from memviz_widgets import ActivationCache
from memviz_widgets.records import TensorRecord

from .rank_launch import launched

pytest.importorskip("zarr")
pytest.importorskip("transformers")
SUMS = 5e-6
"""Largest difference where a sum over channels is cut into the ranks' sums."""


def value(cache: ActivationCache, record: TensorRecord) -> Tensor:
    found = cache.value(record)
    return found if isinstance(found, Tensor) else found.load()


def test_a_generation_is_put_together(tmp_path: Path) -> None:
    exits, errors = launched("tests.conformance.ranks_llama_run", 2, tmp_path)
    assert exits == [0, 0], errors
    alone, together = (ActivationCache.open(tmp_path / name) for name in ("alone.zarr", "together.zarr"))
    assert [each.label for each in together.records] == [each.label for each in alone.records]
    assert {each.rank for each in together.records} == {None}
    for own, other in zip(together.records, alone.records, strict=True):
        assert (own.kind, own.step, own.shape, own.dims) == (other.kind, other.step, other.shape, other.dims), own.label
        assert float((value(together, own) - value(alone, other)).abs().max()) <= SUMS, own.label
    for record in together.records:
        if record.kind in ("attention", "key", "value"):
            assert record.note == "" or "2 ranks: head" in record.note
    steps = {each.step for each in together.records if each.kind == "attention"}
    assert steps == {0, 1, 2}
    whole = [each for each in together.records if each.kind == "key" and each.parts]
    assert [each.shape for each in whole] == [(2, 4, 6, 4)] * 2
