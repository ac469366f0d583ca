"""Budgets as text and bytes as text."""

from __future__ import annotations

import numpy as np
import pytest

from memviz_widgets.cache.budget import budget_text, format_bytes, parse_budget
from memviz_widgets.errors import BudgetError


@pytest.mark.parametrize(
    ("budget", "nbytes"),
    [
        ("1 GiB", 1 << 30),
        ("512MB", 512_000_000),
        ("1.5 kib", 1536),
        ("2e9", 2_000_000_000),
        ("100", 100),
        ("7 B", 7),
        (1e9, 1_000_000_000),
        (123, 123),
        (0, 0),
        (np.int64(5), 5),
        (2**70, 2**70),
    ],
)
def test_budgets(budget: object, nbytes: int) -> None:
    assert parse_budget(budget) == nbytes


@pytest.mark.parametrize(
    "budget", ["", "lots", "1 GiBs", "-1 GiB", "1e999", -1, float("nan"), float("inf"), True, None, [1]]
)
def test_nonsense_is_refused(budget: object) -> None:
    with pytest.raises(BudgetError, match=r"budget=.* is no number of bytes; write text like '1 GiB' or '512 MB'"):
        parse_budget(budget)


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 30, "1.0 GiB"),
        ((1 << 30) - 1, "1.0 GiB"),
        (3 << 40, "3.0 TiB"),
    ],
)
def test_bytes_as_text(nbytes: int, text: str) -> None:
    assert format_bytes(nbytes) == text


@pytest.mark.parametrize("nbytes", [0, 5, 1024, 1025, 5_000_000, (3 << 30) + 1])
def test_suggested_budget_is_enough_and_readable(nbytes: int) -> None:
    assert nbytes <= parse_budget(budget_text(nbytes)) <= 2 * nbytes + 1
