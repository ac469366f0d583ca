"""KeyValueCache: keys and values of the steps that attention has seen, with eviction.

In: keys and values of new steps. Out: those of all steps, and which of them each query may read.
"""

from __future__ import annotations

import torch
from torch import Tensor


class CacheLayer:
    """What one layer of attention keeps.

    Attributes:
        keys, values: (B, N, K, D), entry k of step k.
    """

    keys: Tensor
    values: Tensor


class KeyValueCache:
    """Keys and values of every layer, and a rule of eviction (Xiao et al. 2023, "StreamingLLM", arXiv 2309.17453).

    Entries that are evicted stay in the tensors, so that an entry keeps its number in every picture, and are closed by
    the mask. A cache that saves memory drops them instead; what is read is the same.

    Args:
        window: how many of the latest entries a query may read, itself among them; None = all.
        sinks: how many of the first entries are never evicted.

    Attributes:
        layers: what each layer keeps, in order.
    """

    def __init__(self, window: int | None = None, sinks: int = 0) -> None:
        self.window, self.sinks = window, sinks
        self.layers: list[CacheLayer] = []

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Add entries (B, N, T, D) to a layer; gives all that it has."""
        if layer == len(self.layers):
            self.layers.append(CacheLayer())
            kept = self.layers[layer]
            kept.keys, kept.values = keys, values
        else:
            kept = self.layers[layer]
            kept.keys, kept.values = torch.cat([kept.keys, keys], 2), torch.cat([kept.values, values], 2)
        return kept.keys, kept.values

    def readable(self, queries: int, entries: int) -> Tensor:
        """Which entry each of the last queries may read, bool (queries, entries)."""
        entry = torch.arange(entries)
        query = entry[-queries:, None]
        open_entries = entry <= query
        if self.window is not None:
            open_entries &= (entry > query - self.window) | (entry < self.sinks)
        return open_entries

    def get_seq_length(self) -> int:
        """Steps seen so far."""
        return int(self.layers[0].keys.shape[2]) if self.layers else 0

    def held(self) -> int:
        """Entries per layer that the next query may read, or that a cache that drops the others would hold."""
        seen = self.get_seq_length()
        return seen if self.window is None else min(seen, self.window + self.sinks)
