"""Records are frozen and say their own name."""

from __future__ import annotations

import dataclasses

import pytest

from memviz_widgets.records import DIMS, TensorRecord, TensorStats


def record(path: str, item: str) -> TensorRecord:
    return TensorRecord(0, path, "Linear", 0, "output", item, ("channel",), (3,), "float32", "cpu", 12, None, True, "")


@pytest.mark.parametrize(
    ("path", "item", "label"),
    [
        ("enc.lstm", "1.0", "enc.lstm[1.0]"),
        ("conv", "", "conv"),
        ("", "", "(model)"),
        ("", "k", "(model)[k]"),
    ],
)
def test_label(path: str, item: str, label: str) -> None:
    assert record(path, item).label == label


def test_records_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"cannot assign to field 'path'"):
        record("a", "").path = "b"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"cannot assign to field 'nan'"):
        TensorStats(0, 0, 0, 0, 1, 0, 0, 0, 1).nan = 1  # type: ignore[misc]


def test_equal_records_are_equal_and_hashable() -> None:
    assert record("a", "") == record("a", "") and len({record("a", ""), record("a", "")}) == 1


def test_vocabulary_has_no_word_twice() -> None:
    assert len(set(DIMS)) == len(DIMS)
