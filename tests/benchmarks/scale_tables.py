"""The tables of docs/scale.md about sizes that no test can run: a network of 70B weights, a store of a billion rows.

In: the arithmetic of ``scale_capture`` and ``scale_store``. Out: Markdown; the page with the tables in their places.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from memviz_widgets.cache import format_bytes
from memviz_widgets.cache.budget import budget_text

from . import scale_capture, scale_network
from .scale_capture import CHOICES, LLAMA_70B, TOKENS
from .scale_store import BILLION, REDUCED, WIDE, Layout, Traffic, billion

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
BUDGETS = {"256 MB": 256 * 10**6, "1 GB": 10**9, "10 GB": 10**10, "25 GB": 25 * 10**9, "100 GB": 10**11}
CHUNKS = {"64 MiB": 1 << 26, "256 MiB": 1 << 28, "1 GiB": 1 << 30}
CHOSEN = "1 GiB"
"""Of CHUNKS: what a store of this size is recorded with."""
LIST_PAGE, LIST_S = 1000, 0.1
"""Keys that one LIST gives, and seconds that it takes."""
PUT_DOLLARS, GET_DOLLARS = 5e-6, 4e-7
"""A request: PUT or LIST, and GET, as S3 lists them for its standard class."""
RATES = {"100 MB/s": 10**8, "1 GB/s": 10**9}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def kinds() -> str:
    """Bytes of a capture by kind of record."""
    prices = scale_capture.by_kind(LLAMA_70B, TOKENS)
    whole = scale_capture.total(prices)
    rows = [
        [
            kind,
            f"{price.records:,}",
            format_bytes(price.nbytes // LLAMA_70B.layers) if price.records % LLAMA_70B.layers == 0 else "",
            format_bytes(price.nbytes),
            f"{price.nbytes / whole.nbytes:.1%}",
        ]
        for kind, price in prices.items()
    ]
    last = ["**all**", f"**{whole.records:,}**", "", f"**{format_bytes(whole.nbytes)}**", ""]
    return table(["records", "number", "one block", "all 80", "share"], [*rows, last])


def facts() -> str:
    """What else there is to say of that network."""
    every, head = scale_capture.attention_bytes(LLAMA_70B, TOKENS)
    whole = scale_capture.total(scale_capture.by_kind(LLAMA_70B, TOKENS)).nbytes
    weights = LLAMA_70B.parameters
    flops = 2 * weights * TOKENS / 1e12
    files = scale_capture.spill_files(LLAMA_70B, TOKENS)
    return "\n".join(
        [
            f"- The weights, {weights / 1e9:.1f} billion of them, are {format_bytes(2 * weights)}. A forward is some",
            f"  {flops:,.0f} TFLOP, a block {flops / LLAMA_70B.layers:.1f}.",
            f"- The attention weights themselves would be {format_bytes(every)} in float32, one head"
            f" {format_bytes(head)}.",
            "  They are computed from query and key when they are looked at, and never kept.",
            f'- `spill="captures"` writes what the budget does not hold. All of it is {files:,} files of at most',
            f"  1 MiB, {format_bytes(whole)}, in {whole / 2**30:.0f} s at 1 GiB/s.",
        ]
    )


def choices() -> str:
    """Bytes of a capture, and of a recorded data set, by what is chosen."""
    rows = []
    for choice in CHOICES:
        price = scale_capture.chosen(LLAMA_70B, TOKENS, choice)
        budget = budget_text(price.nbytes + scale_capture.input_bytes(LLAMA_70B, TOKENS, choice))
        cells: list[object] = [choice, f"{price.records:,}", format_bytes(price.nbytes), f'`"{budget}"`']
        if CHOICES[choice]:
            sample = scale_capture.reduced_bytes(LLAMA_70B, choice)
            cells += [format_bytes(sample), format_bytes(sample * 10**6)]
        else:
            cells += ["", ""]
        rows.append(cells)
    head = ["`layers=`", "records", "a capture", "`budget=` that keeps all"]
    return table([*head, '`reduce="mean"`: a sample', "a million samples"], rows)


def budgets() -> str:
    """What budgets keep, measured on the network that is scaled down. Needs transformers."""
    everything = scale_capture.total(scale_capture.by_kind(LLAMA_70B, TOKENS)).records
    rows = []
    for text, nbytes in BUDGETS.items():
        kept = scale_network.kept(nbytes)
        alone = f"{kept.blocks} of {LLAMA_70B.layers}"
        cost = "its block again" if kept.blocks == LLAMA_70B.layers else "its block again, or all before it"
        if kept.records == everything:
            alone, cost = "", "nothing"
        rows.append([f'`"{text}"`', format_bytes(kept.held_bytes), f"{kept.records:,} of {everything:,}", alone, cost])
    head = ["`budget=`", "held", "records with values", "blocks with their input", "to look at another value costs"]
    return table(head, rows)


def ranks() -> str:
    """Bytes by rank."""
    alone = scale_capture.spread(LLAMA_70B, TOKENS, 1, 1)
    rows: list[Sequence[object]] = [["one process", 1, format_bytes(alone.most), format_bytes(alone.together)]]
    for text, parallel, stages in (
        ("tensor parallel 8", 8, 1),
        ("tensor parallel 8, pipeline of 10 stages", 8, 10),
    ):
        rank = scale_capture.spread(LLAMA_70B, TOKENS, parallel, stages)
        rows.append([text, rank.ranks, format_bytes(rank.most), format_bytes(rank.together)])
    data = "FSDP or DDP over 64, a sequence each"
    rows.append([data, 64, format_bytes(alone.most), format_bytes(64 * alone.together)])
    return table(["the network is spread by", "ranks", "a rank, at most", "all ranks"], rows)


def layouts() -> str:
    """The store of a billion rows by size of shard."""
    columns = [_layout(billion(nbytes)) for nbytes in CHUNKS.values()]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    return table(["`chunk=`", *(f'`"{text}"`' for text in CHUNKS)], rows)


def _layout(store: Layout) -> dict[str, str]:
    shards = [store.shard_file(layer, store.shard_rows) for layer in store.layers]
    pages, puts = math.ceil(store.objects / LIST_PAGE), store.recording().puts
    return {
        "samples of a shard": f"{store.shard_rows:,}",
        "its two files": " and ".join(map(format_bytes, shards)),
        "objects": f"{store.objects:,}",
        "LIST requests to list them all": f"{pages:,}: {pages * LIST_S:,.0f} s, ${pages * PUT_DOLLARS:.4f}",
        "PUT requests of the recording": f"{puts:,}: ${puts * PUT_DOLLARS:,.2f}",
        "commits, beside the bytes of shards": f"{store.commits * store.commit_bytes / store.stored_bytes:.1%}",
        "memory of the writer": format_bytes(store.shard_files(store.shard_rows) + max(shards)),
    }


def operations() -> str:
    """What readers and writers of it ask for."""
    store = billion(CHUNKS[CHOSEN])
    half = store.shard_rows // 2
    commit = Traffic(puts=2 * len(store.layers) + 1, nbytes=store.shard_files(store.shard_rows) + store.commit_bytes)
    rows: list[tuple[str, Traffic]] = [
        ("open it", store.opening()),
        ("statistics and top examples of any channel, once it is open", Traffic()),
        ("one sample of 8,192 channels", store.one_sample(WIDE)),
        ("one sample of 2,048 channels", store.one_sample(REDUCED)),
        ("one channel of all samples (8,192 channels)", store.one_channel(WIDE)),
        ("one channel of all samples (2,048 channels)", store.one_channel(REDUCED)),
        ("a commit, with a full shard", commit),
        ("go on in the middle of a shard, without the inputs", store.going_on(BILLION // 2 + half)),
    ]
    return table(["to", "requests", "bytes", "at 100 MB/s", "price"], [_operation(*row) for row in rows])


def _operation(what: str, traffic: Traffic) -> list[object]:
    requests = traffic.puts + traffic.gets + traffic.heads + traffic.lists
    dollars = PUT_DOLLARS * (traffic.puts + traffic.lists) + GET_DOLLARS * (traffic.gets + traffic.heads)
    price = f"${dollars:,.2f}" if dollars >= 0.005 else "under a cent" if requests else ""
    return [what, f"{requests:,}", format_bytes(traffic.nbytes), duration(traffic.nbytes / 10**8), price]


def rates() -> str:
    """How long it takes to write, and what it costs to open, by number of ranks."""
    store = billion(CHUNKS[CHOSEN])
    rows = []
    for count in (1, 8, 64, 256):
        share = store.stored_bytes / count
        times = [duration(share / rate) for rate in RATES.values()]
        opening = store.opening()
        requests, nbytes = count * (opening.gets + opening.heads), count * opening.nbytes
        rows.append([count, *times, f"{BILLION / count:,.0f}", f"{requests:,}", format_bytes(nbytes)])
    head = ["ranks", *(f"written at {rate} each" for rate in RATES), "samples of a rank"]
    return table([*head, "requests to open all", "bytes to open all"], rows)


def breaks() -> str:
    """What stands in the way first."""
    store, small = billion(CHUNKS[CHOSEN]), billion(CHUNKS["64 MiB"])
    channel = store.commit_bytes // sum(layer.channels for layer in store.layers)
    few = replace(store, top_k=4)
    share = small.commits * small.commit_bytes / small.stored_bytes
    column = store.one_channel(WIDE)
    return f"""1. **Commits.** Each has the statistics of all channels, {channel} bytes of each, and comes with every
   shard: {share:.0%} more to write with the default `chunk="64 MiB"`. Choose a shard a hundred times the
   commit: here `chunk="{CHOSEN}"`. With `top_k=4` a commit is
   {format_bytes(few.commit_bytes)} instead of {format_bytes(store.commit_bytes)}.
2. **One writer.** A shard is written while the model waits, over one connection, and a core counts the
   statistics of 60 to 100 MB of such values in a second: more than {duration(store.stored_bytes / 1e8)}
   for one process. Use ranks.
3. **A column.** Samples lie one after the other: one channel of all samples reads the whole layer,
   {format_bytes(column.nbytes)} in {column.gets:,} requests. What the commit says of a channel (mean, variance,
   extremes, histogram, top examples) takes none. If you will look at a few channels only, record only those,
   with a function as `reduce=`.
4. **Many ranks.** Each has a commit of its own, and who opens the store reads them all: the last column above.
5. **A loader that begins at its front.** To go on, it makes every batch again, to be thrown away. A DataLoader
   with numbered samples, or a list of batches, makes one."""


def duration(seconds: float) -> str:
    """Seconds as text: "3 ms", "4 s", "5 min", "6 h", "7 days"."""
    for size, name in ((86_400 * 2, "days"), (7200, "h"), (120, "min"), (1, "s")):
        if seconds >= size:
            unit = {"days": 86_400, "h": 3600, "min": 60, "s": 1}[name]
            return f"{seconds / unit:,.0f} {name}"
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.0005 else "at once"


TABLES: dict[str, Callable[[], str]] = {
    "kinds": kinds,
    "facts": facts,
    "choices": choices,
    "ranks": ranks,
    "layouts": layouts,
    "operations": operations,
    "rates": rates,
    "breaks": breaks,
    "budgets": budgets,
}
WITH_TRANSFORMERS = ("budgets",)


def placed(page: str, name: str, text: str) -> str:
    """The page with a table in its place, between two comments."""
    pattern = rf"(<!-- {name}, by tests/benchmarks/scale.py -->\n).*?(<!-- end -->)"
    made, count = re.subn(pattern, lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{PAGE.name} has {count} places for the table {name!r}; expected one.")
    return made
