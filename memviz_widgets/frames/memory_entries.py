"""Measures of the entries of a key-value cache: norms, attention received, how long they stay, bytes.

In: the record of the keys, that of the values, and the attention that reads them. Out: a table per sample.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ..capture.lazy import LazyValue
from ..records import TensorRecord
from .attention_plan import is_attention
from .memory_maps import Read
from .memory_measures import Table
from .memory_plan import MemoryRecords, size_of
from .reading import GATHER_CELLS

ENTRY_MEASURES = ("key norm", "value norm", "attention received", "uniform baseline", "held until", "bytes")
"""Rows of a page "entries".

key norm, value norm: over the channels. attention received: sum over all queries of the weights on the entry, mean over
the heads that share it; uniform baseline: the same if each query attended alike to every key that it could see, which
are those with a weight that is not exactly 0 in some head. held until: last position at which the entry is in the
cache. bytes: of the keys and values of this layer, all heads and samples, after that many entries. NaN where a measure
means nothing, or is of too many weights to be summed while you wait.
"""

ATTENDED_CELLS = 2**25
"""Most weights of a sample that are summed, about a second."""

KEYS = ("batch", "head", "time", "channel")

_WINDOW = re.compile(r"sliding window of (\d+)")
_STATIC = re.compile(r"static cache of (\d+)")


def entries_table(
    key: TensorRecord, records: Sequence[TensorRecord], memories: MemoryRecords, read: Read, sample: int
) -> Table:
    """Measures of each entry, (measures, Hkv, T), of one sample."""
    _, heads, steps, _ = key.shape
    value = next(iter(memories.parts(key, "value")), None)
    attention = attention_of(key, records)
    cells = sum(size_of(each, "head") * size_of(each, "query") * size_of(each, "key") for each in attention)
    nothing = torch.full((heads, steps), torch.nan, dtype=torch.float64)
    received = baseline = nothing
    if attention and cells <= ATTENDED_CELLS and not size_of(attention[0], "head") % heads:
        received, baseline = _received(attention, read, sample, heads, steps)
    rows = [
        _norms(key, read, sample),
        nothing if value is None or value.dims != KEYS else _norms(value, read, sample),
        received,
        baseline.expand(heads, steps),
        _held_until(key).expand(heads, steps),
        _bytes(key, value).expand(heads, steps),
    ]
    return Table(torch.stack(rows).float(), cells > ATTENDED_CELLS)


def attention_of(key: TensorRecord, records: Sequence[TensorRecord]) -> list[TensorRecord]:
    """The attention weights of the calls that made these keys, in order."""
    made = [records[index] for index in key.parts] or [key]
    calls = {(part.step, part.call) for part in made}
    return [
        record
        for record in records
        if record.path == key.path
        and is_attention(record)
        and not record.parts
        and record.available
        and (record.step, record.call) in calls
        and record.shape[0] == key.shape[0]
    ]


def _received(
    attention: Sequence[TensorRecord], read: Read, sample: int, heads: int, steps: int
) -> tuple[Tensor, Tensor]:
    """Attention received by each entry, (Hkv, T), and that of uniform attention, (1, T)."""
    received, baseline = torch.zeros(heads, steps, dtype=torch.float64), torch.zeros(1, steps, dtype=torch.float64)
    earlier = 0  # queries up to this call
    for record in attention:
        _, count, queries, keys = record.shape
        earlier += queries
        first = max(0, earlier - keys)  # of a sliding window only the last keys are there; a static one has room left
        stop = min(steps, first + keys)
        values = read(record)
        at_once = max(1, GATHER_CELLS // (count * keys))
        for top in range(0, queries, at_once):
            block = _block(values, sample, slice(top, min(queries, top + at_once)))[..., : stop - first]  # (N, q, K)
            received[:, first:stop] += block.sum(1).unflatten(0, (heads, -1)).mean(1)
            open_keys = (block != 0).any(0).double()  # (q, K)
            baseline[0, first:stop] += (open_keys / open_keys.sum(-1, keepdim=True).clamp(min=1)).sum(0)
    return received, baseline


def _block(values: Tensor | LazyValue, sample: int, rows: slice) -> Tensor:
    """Weights (N, q, K) of some queries, float64."""
    index = (sample, slice(0, values.shape[1]), rows, slice(0, values.shape[3]))
    block = values.detach()[index] if isinstance(values, Tensor) else values.read(index)
    return block.to("cpu", torch.float64)


def _norms(record: TensorRecord, read: Read, sample: int) -> Tensor:
    """Norm of each entry over its channels, (Hkv, T)."""
    values = read(record)
    _, heads, steps, width = record.shape
    at_once = max(1, GATHER_CELLS // (heads * width))
    found = []
    for start in range(0, steps, at_once):
        index = (sample, slice(0, heads), slice(start, min(steps, start + at_once)), slice(0, width))
        part = values.detach()[index] if isinstance(values, Tensor) else values.read(index)
        found.append(part.to("cpu", torch.float64).norm(dim=-1))
    return torch.cat(found, dim=-1)


def _held_until(key: TensorRecord) -> Tensor:
    """Last position at which each entry is still there, (T,): a sliding window of W holds W."""
    steps = size_of(key, "time")
    window = _WINDOW.search(key.note)
    held = int(window[1]) if window else steps
    return (torch.arange(steps, dtype=torch.float64) + held - 1).clamp(max=steps - 1)


def _bytes(key: TensorRecord, value: TensorRecord | None) -> Tensor:
    """Bytes of the layer's cache after 1, 2 ... entries, (T,); a static cache has all of them from the start."""
    steps = size_of(key, "time")
    per_entry = (key.nbytes + (value.nbytes if value is not None else 0)) / steps
    entries = torch.arange(1, steps + 1, dtype=torch.float64)
    window, static = _WINDOW.search(key.note), _STATIC.search(key.note)
    if static:
        entries = torch.full_like(entries, int(static[1]))
    return per_entry * (entries.clamp(max=int(window[1])) if window else entries)
