"""Every row of the checklist has a test that bears its number."""

from __future__ import annotations

import re
from pathlib import Path

ROWS = 40


def test_every_row_has_a_test() -> None:
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    numbers = {int(number) for number in re.findall(r"def test_(\d\d)_", sources)}
    assert numbers == set(range(1, ROWS + 1))
