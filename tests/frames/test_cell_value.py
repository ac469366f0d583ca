"""Text and number of one element of every dtype."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memviz_widgets.frames.cell_value import cell_value, float_text

TEXTS: list[tuple[Any, torch.dtype, str, Any]] = [
    (0.1, torch.float64, "0.1", 0.1),
    (0.1, torch.float32, "0.1", 0.10000000149011612),
    (0.1, torch.float16, "0.1", 0.0999755859375),
    (0.1, torch.bfloat16, "0.100097656", 0.10009765625),
    (1 / 3, torch.float32, "0.33333334", 0.3333333432674408),
    (1e-10, torch.float32, "1e-10", 1.000000013351432e-10),
    (2.5, torch.float8_e5m2, "2.5", 2.5),
    (3, torch.int64, "3", 3.0),
    (9007199254740993, torch.int64, "9007199254740993", 9007199254740992.0),
    (65535, torch.uint16, "65535", 65535.0),
    (True, torch.bool, "True", 1.0),
    (False, torch.bool, "False", 0.0),
    (3 + 4j, torch.complex64, "(3+4j)", 5.0),
    (0.1 + 0.2j, torch.complex64, "(0.1+0.2j)", pytest.approx(math.hypot(0.1, 0.2))),
    (1 + 2j, torch.complex128, "(1+2j)", math.hypot(1, 2)),
    (complex(math.inf, 0), torch.complex64, "(inf+0j)", None),
    (math.nan, torch.float32, "nan", None),
    (math.inf, torch.float16, "inf", None),
    (-math.inf, torch.float64, "-inf", None),
]


@pytest.mark.parametrize(("value", "dtype", "text", "number"), TEXTS)
def test_text_and_number(value: Any, dtype: torch.dtype, text: str, number: Any) -> None:
    cell = cell_value(
        torch.tensor(value).to(dtype) if dtype == torch.float8_e5m2 else torch.tensor(value, dtype=dtype), (4,)
    )
    assert (cell.text, cell.number, cell.index) == (text, number, (4,))


@given(st.floats(width=32, allow_nan=False))
def test_float32_text_reads_back_as_the_same_value(value: float) -> None:
    assert torch.tensor(float(float_text(value, "float32")), dtype=torch.float32).item() == value
