"""What there is to see of a cache, as digests: every value, every page, the catalog.

In: a cache. Out: name -> digest, equal for caches that show the same. ``python -m tests.zoo.digests`` reads paths of
saved captures, a line each, and prints the digests of each as a line of JSON, in a process without transformers.
"""

from __future__ import annotations

import hashlib
import json
import sys

import torch
from torch import Tensor

from memviz_widgets import ActivationCache
from memviz_widgets.errors import MemvizError, PageRefusedError
from memviz_widgets.frames.catalog import build_catalog
from memviz_widgets.frames.page import PAGE_KINDS
from memviz_widgets.frames.pages import PageSource


def digests(cache: ActivationCache) -> dict[str, str]:
    """Every value, the first page of every kind, and what views know beforehand."""
    found = {}
    source = PageSource(cache)
    for record in cache.records:
        for kind in PAGE_KINDS:
            try:
                page = source.page(record.index, kind, 0)
            except PageRefusedError as error:
                found[f"{record.index} {kind}"] = str(error)
                continue
            found[f"{record.index} {kind}"] = _digest(bytes(page.data), bytes(page.lo), bytes(page.hi))
        if record.available:
            found[f"{record.index} value"] = _value(cache, record.index)
    found["catalog"] = _digest(json.dumps(build_catalog(cache)).encode())
    found["texts"] = _digest(json.dumps(cache.token_texts).encode())
    found["said"] = repr((cache.names(), cache.never_called, cache.remarks, cache.opaque))
    return found


def _value(cache: ActivationCache, index: int) -> str:
    try:
        value = cache.value(cache.records[index])
    except MemvizError as error:
        return str(error)
    whole = value.detach() if isinstance(value, Tensor) else value.load()
    flat = whole.resolve_conj().contiguous().reshape(-1).view(torch.uint8)
    return _digest(flat.cpu().numpy().tobytes(), str((whole.shape, whole.dtype)).encode())


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"|".join(parts)).hexdigest()


def main() -> None:
    """Answer paths with digests until the input ends."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        cache = ActivationCache.open(line.strip())
        answer = digests(cache)
        cache.close()
        assert "transformers" not in sys.modules
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
