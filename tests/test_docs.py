"""The code in docs/*.md and the README runs as it stands, and says what its comments say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import memviz_widgets as mv
from memviz_widgets.analysis.memory import keep_and_write
from memviz_widgets.capture.memory import registered

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if "```python" in page.read_text(encoding="utf-8")]


def run(page: Path, **names: Any) -> dict[str, Any]:
    """The names that the code of a page leaves behind, and those that it is given."""
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(code, names)
    return names


class Reader(torch.nn.Module):
    """Attention and memory, as the README's model has them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.rnn = torch.nn.LSTM(16, 24, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rnn(self.encoder(x))[0]


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


def test_the_readme_runs_and_its_comments_are_true() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    words = ["the", "cat", "sat", "on", "the", "mat"]
    names = run(ROOT / "README.md", model=Reader().eval(), x=torch.randn(2, 6, 16), words=words)
    kinds = tuple(record.kind for record in names["memory"].cache.memories()["rnn l0"])
    assert kinds[:3] == ("hidden", "cell", "gate.i")
    price, summary = re.findall(r"estimate\(model, x\)  # (.*)", text), re.findall(r"cache.summary  # '(.*)'", text)
    assert str(mv.ActivationCache.estimate(names["model"], names["x"])).splitlines()[:1] == price
    assert [names["cache"].summary] == summary
    assert all((ROOT / target).exists() for target in re.findall(r"\]\(([^):#]+)\)", text))
