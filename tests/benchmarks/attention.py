"""What an AttentionExplorer weighs and how long it takes, beside BertViz.

Run: ``python -m tests.benchmarks.attention``. Prints a table and leaves with status 1 when a target is missed.

Weight: bytes of the HTML with the widget state of 12 layers x 12 heads x 128 tokens as the notebook saves it, beside
BertViz's head_view of the same weights. Long text: 24 layers x 16 heads x 2,048 tokens, held as query and key; seconds
from the capture to the widget with its first picture, and for another head; bytes that the cache holds afterwards
beyond those of the capture. The browser's part is a test (tests/browser/test_attention.py).
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import torch
from ipywidgets.embed import embed_data
from torch import Tensor, nn

import memviz_widgets as mv

MEGABYTE = 10**6
MOST_HTML = 3 * MEGABYTE
FIRST_PICTURE_S, NEXT_HEAD_S = 2.0, 0.25
HEADS_LOOKED_AT = 7


class LongText(nn.Module):
    """Layers that attend to their input, without weights of their own: nothing but attention is measured."""

    def __init__(self, layers: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Attends(heads) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Attends(nn.Module):
    """Causal attention of the input, in heads, to itself."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        parts = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, N, T, D)
        out = nn.functional.scaled_dot_product_attention(parts, parts, parts, is_causal=True)
        return out.transpose(1, 2).flatten(2)


def main() -> int:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    checks = [*weight_checks(), *time_checks()]
    for text, held in checks:
        print(f"{'held  ' if held else 'MISSED'} {text}")
    return 0 if all(held for _, held in checks) else 1


def weight_checks() -> list[tuple[str, bool]]:
    """HTML of a short text, ours and BertViz's."""
    attentions = [torch.randn(1, 12, 128, 128).softmax(-1) for _ in range(12)]
    tokens = [f"token{position}" for position in range(128)]
    explorer = mv.AttentionExplorer(mv.ActivationCache.from_attentions(attentions, tokens=tokens))
    ours = len(json.dumps(embed_data(views=[explorer])))
    explorer.close()
    theirs = bertviz_bytes(attentions, tokens)
    print(f"widget state {ours / MEGABYTE:.2f} MB, BertViz head_view {theirs / MEGABYTE:.2f} MB (12 x 12 x 128)")
    return [(f"widget state of 12 x 12 x 128: {ours / MEGABYTE:.2f} <= 3 MB", ours <= MOST_HTML)]


def bertviz_bytes(attentions: list[Tensor], tokens: list[str]) -> int:
    """Bytes of the HTML that BertViz's head view puts into the notebook."""
    from bertviz import head_view  # installed by `make bench`

    return len(head_view(attentions, tokens, html_action="return").data)


def time_checks() -> list[tuple[str, bool]]:
    """A long text whose weights are never computed as a whole."""
    model, x = LongText(24, 16), torch.randn(1, 2048, 16 * 64)
    with torch.no_grad():
        cache = mv.ActivationCache.capture(model, x, budget="1 GiB", layers="layers.*")
    before = cache.held_bytes
    start = time.perf_counter()
    explorer = mv.AttentionExplorer(cache)
    first = time.perf_counter() - start
    others = []
    record = explorer.selection.record
    for head in range(1, 1 + HEADS_LOOKED_AT):
        start = time.perf_counter()
        explorer.selection.store._source.page(record, "frame", head)
        others.append(time.perf_counter() - start)
    added = cache.held_bytes - before
    explorer.close()
    other = statistics.median(others)
    print(f"24 x 16 x 2,048: first picture {first:.2f} s, another head {other * 1000:.0f} ms, cache +{added} bytes")
    return [
        (f"first picture {first:.2f} <= {FIRST_PICTURE_S} s", first <= FIRST_PICTURE_S),
        (f"another head {other:.3f} <= {NEXT_HEAD_S} s", other <= NEXT_HEAD_S),
        (f"cache over its budget by {max(0, cache.held_bytes - cache.budget_bytes)} bytes", added <= 0),
    ]


if __name__ == "__main__":
    sys.exit(main())
