"""Sizes that no machine here holds: does the arithmetic of docs/scale.md hold where it can be tried?

Run: ``python -m tests.benchmarks.scale``. A network of 70B weights is priced on the meta device, and captured scaled
down; data sets are recorded scaled down, on files that count requests, and one of a billion samples is opened. Leaves
with status 1 when something is not as the arithmetic says, or the page shows other numbers. ``--write`` puts the tables
into the page. Without transformers what needs it is left out, and said so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec

import torch

from memviz_widgets.cache import format_bytes

from . import scale_network
from .scale_capture import CHOICES, LLAMA_70B, TOKENS, by_kind, chosen, input_bytes, reduced_bytes, spill_files, total
from .scale_network import FEW, SMALL_TOKENS
from .scale_requests import Check, compared, full_scale, in_a_folder, same
from .scale_store import Layer, Layout, billion
from .scale_tables import CHOSEN, CHUNKS, PAGE, TABLES, WITH_TRANSFORMERS, placed

NARROW = (Layer("wide", 64), Layer("reduced", 16))
SIMULATED = (
    Layout(NARROW, rows=3_000, batch=32, shard_bytes=320 * 160),
    Layout(NARROW, rows=12_800, batch=32, shard_bytes=320 * 160),  # ends with a full shard
    Layout((Layer("wide", 4096), Layer("reduced", 1024)), rows=600, batch=16, shard_bytes=64 * 10_240),  # a row a chunk
)
LARGE = Layout((Layer("wide", 8192), Layer("reduced", 2048)), rows=30_000, batch=256, shard_bytes=1 << 26, top_k=0)
"""As the store of a billion, for the rate at which it is written. Without examples: after a hundred thousand samples
they hardly change and take no time."""


def network_checks() -> Iterator[Check]:
    """The price of a capture, kind by kind and choice by choice."""
    weights = scale_network.network(LLAMA_70B, "meta").parameters()
    yield same("weights", LLAMA_70B.parameters, sum(weight.numel() for weight in weights))
    alone = scale_network.prices_of(scale_network.estimated(LLAMA_70B, TOKENS))
    yield same("a capture by kind", by_kind(LLAMA_70B, TOKENS), alone)
    on_a_rank = scale_network.prices_of(scale_network.estimated_on_a_rank(LLAMA_70B, TOKENS, 8))
    yield same("a rank of tensor parallel 8", by_kind(LLAMA_70B, TOKENS, 8), on_a_rank)
    small = total(by_kind(FEW, SMALL_TOKENS)).nbytes
    said = spill_files(FEW, SMALL_TOKENS), small
    yield same("files and bytes spilled, scaled down", said, scale_network.spilled())
    for choice, kinds in CHOICES.items():
        found = scale_network.estimated(LLAMA_70B, TOKENS, choice)
        price = chosen(LLAMA_70B, TOKENS, choice)
        inputs = input_bytes(LLAMA_70B, TOKENS, choice)
        yield same(f"layers={choice}", (*price, inputs), (len(found.records), found.nbytes, found.input_bytes))
        if kinds:
            sample = reduced_bytes(FEW, choice)
            yield same(f"a reduced sample of layers={choice}, scaled down", sample, scale_network.reduced(choice))


def store_checks() -> Iterator[Check]:
    """Files, bytes and requests."""
    for layout in SIMULATED:
        yield from compared(layout)
        yield in_a_folder(layout)[0]
    yield from full_scale(billion(CHUNKS[CHOSEN]))


def main(words: list[str]) -> int:
    """Check, print, and say whether everything is as it was said."""
    with_network = find_spec("transformers") is not None
    checks = [*store_checks(), *(network_checks() if with_network else ())]
    wrong = [check for check in checks if not check.agree]
    for check in wrong:
        print(f"{check.what}: {check.found}, and the arithmetic says {check.said}")
    print(f"{len(checks) - len(wrong)} of {len(checks)} sizes and counts are as the arithmetic of docs/scale.md says")
    if not with_network:
        print("transformers is not installed: the network of 70B weights was not priced")
    took_s = in_a_folder(LARGE)[1]
    rate = LARGE.stored_bytes / took_s
    size = format_bytes(LARGE.stored_bytes)
    print(f"{size} recorded at {rate / 1e6:,.0f} MB/s on {torch.get_num_threads()} threads, statistics counted")
    page = before = PAGE.read_text(encoding="utf-8")
    for name, make in TABLES.items():
        if with_network or name not in WITH_TRANSFORMERS:
            page = placed(page, name, make())
    if "--write" in words:
        PAGE.write_text(page, encoding="utf-8")
    elif page != before:
        print("docs/scale.md shows other numbers; write them with: python -m tests.benchmarks.scale --write")
    return int(bool(wrong) or (page != before and "--write" not in words))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
