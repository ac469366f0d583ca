"""The code in docs/*.md runs as it stands, and the adapter of adapters.md does what the text says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import memviz_widgets as mv
from memviz_widgets.analysis.memory import keep_and_write
from memviz_widgets.capture.memory import registered

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if "```python" in page.read_text(encoding="utf-8")]


def run(page: Path) -> dict[str, Any]:
    """The names that the code of a page leaves behind."""
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(code, names)
    return names


@pytest.fixture(autouse=True)
def unregistered() -> Any:
    before = registered()
    yield
    for adapter in registered():
        if adapter not in before:
            mv.unregister_memory(adapter)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_runs(page: Path) -> None:
    assert run(page)


def test_the_adapter_records_a_memory_that_obeys_its_law() -> None:
    cache = run(DOCS / "adapters.md")["cache"]
    assert cache.get("", "memory").shape == (2, 10, 4, 3)
    parts = {record.kind: cache.get("", record.kind) for record in cache.memories()["(model)"]}
    keep, write, content = keep_and_write(parts)
    torch.testing.assert_close(keep[:, 1:] * content[:, :-1] + write[:, 1:], content[:, 1:])
    torch.testing.assert_close(write[:, 0], content[:, 0])
