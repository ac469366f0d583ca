"""A lesson of attention as one file: how large it is and how fast it opens, beside BertViz's page of the same weights.

Run: ``python -m tests.benchmarks.frozen``. Prints a table and leaves with status 1 when a target is missed.

12 layers x 12 heads x 128 tokens of noise, which deflates worse than what a model gives. Opening: from the address to
the last view, with the network cut; the median of several, each in a new page. BertViz's page takes its scripts from
the network, so that without one it shows nothing: for it only the reading of the page is timed, without any drawing.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from playwright.sync_api import Browser
from torch import Tensor

import memviz_widgets as mv

from ..browser.jupyter_lab import chromium

MEGABYTE = 10**6
MOST_BYTES, OPENS_S = 5 * MEGABYTE, 2.0
ROUNDS = 5
OURS, READ = "document.documentElement.dataset.state === 'ready'", "document.readyState === 'complete'"


def main() -> int:
    torch.manual_seed(0)
    attentions = [torch.randn(1, 12, 128, 128).softmax(-1) for _ in range(12)]
    tokens = [f"token{position}" for position in range(128)]
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        file = Path(folder) / "ours.html"
        took = save(attentions, tokens, file)
        ours, opened = file.stat().st_size, opens(browser, file, OURS)
        print(f"frozen page {ours / MEGABYTE:.2f} MB, written in {took:.2f} s, opens in {opened:.2f} s (12 x 12 x 128)")
        theirs = Path(folder) / "theirs.html"
        theirs.write_text(bertviz_page(attentions, tokens), encoding="utf-8")
        size, read = theirs.stat().st_size, opens(browser, theirs, READ)
        print(f"BertViz head_view {size / MEGABYTE:.2f} MB, read in {read:.2f} s, and draws nothing without a network")
    checks = [
        (f"frozen page of 12 x 12 x 128: {ours / MEGABYTE:.2f} <= 5 MB", ours <= MOST_BYTES),
        (f"opens in {opened:.2f} <= {OPENS_S} s", opened <= OPENS_S),
    ]
    for text, held in checks:
        print(f"{'held  ' if held else 'MISSED'} {text}")
    return 0 if all(held for _, held in checks) else 1


def save(attentions: list[Tensor], tokens: list[str], file: Path) -> float:
    """Write our page; the seconds that took."""
    explorer = mv.AttentionExplorer(mv.ActivationCache.from_attentions(attentions, tokens=tokens))
    start = time.perf_counter()
    explorer.save_html(file, budget="5 MB")
    took = time.perf_counter() - start
    explorer.close()
    return took


def opens(browser: Browser, file: Path, ready: str) -> float:
    """Median of the seconds from the address to what ``ready`` says."""
    seconds = []
    for _ in range(ROUNDS):
        context = browser.new_context(viewport={"width": 1400, "height": 1100}, offline=True)
        page = context.new_page()
        start = time.perf_counter()
        page.goto(file.as_uri(), wait_until="commit")
        page.wait_for_function(f"() => {ready}", timeout=120_000)
        seconds.append(time.perf_counter() - start)
        context.close()
    return statistics.median(seconds)


def bertviz_page(attentions: list[Tensor], tokens: list[str]) -> str:
    """The page that BertViz's head view makes."""
    from bertviz import head_view  # installed by `make bench`

    return f"<!DOCTYPE html><meta charset='utf-8'>{head_view(attentions, tokens, html_action='return').data}"


if __name__ == "__main__":
    sys.exit(main())
