"""StoredAttention: attention weights whose query, key and mask lie on disk; only the heads asked for are read.

In: the options of a QueryKey, and a tensor or LazyValue each for query, key, mask. Out: weights, as from a QueryKey.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..capture import LazyValue, QueryKey
from ..capture.attention import span
from ..capture.lazy import Index

_ALL = slice(None)


class StoredAttention:
    """A LazyValue (B, N, Q, K). Queries and keys of the samples and heads asked for are read, at all positions.

    Args:
        template: The attention without its tensors: mask rules, scale, note.
        parts: "query", "key" and perhaps "mask".
    """

    __slots__ = ("_parts", "_template", "dtype", "note", "shape")

    def __init__(self, template: QueryKey, parts: Mapping[str, Tensor | LazyValue]) -> None:
        self._template = template
        self._parts = dict(parts)
        self.note = template.note
        query, key = parts["query"], parts["key"]
        outer = (key.shape[axis] if query.shape[axis] == 1 else query.shape[axis] for axis in (0, 1))
        self.shape: tuple[int, ...] = (*outer, query.shape[2], key.shape[2])
        self.dtype = torch.float64 if query.dtype is torch.float64 else torch.float32

    def read(self, index: Index) -> Tensor:
        """Weights of a part, see :meth:`~memviz_widgets.capture.attention.QueryKey.read`.

        Raises:
            IndexError: when the index has another length than 4, or an int is out of range.
            ClosedError, SpillError, FormatError: when the tensors cannot be read.
        """
        if len(index) != 4:
            raise IndexError(f"the index has {len(index)} entries; attention weights have 4 axes.")
        batch, heads = (span(entry, size) for entry, size in zip(index[:2], self.shape, strict=False))
        span(index[2], self.shape[2])
        # Neighbouring heads share a key: whole groups of heads are cut out, and the heads asked for from them.
        together = max(1, self.shape[1] // max(1, self._parts["key"].shape[1]))
        groups = slice(heads.start // together, -(-heads.stop // together))
        if not len(heads):
            groups = slice(0, 0)
        spans = slice(batch.start, batch.stop), slice(groups.start * together, groups.stop * together)
        tensors = {
            name: _cut(part, groups if name == "key" and together > 1 else spans[1], spans[0])
            for name, part in self._parts.items()
        }
        inside = _within(index[0], batch, batch.start), _within(index[1], heads, spans[1].start)
        return self._template.with_tensors(tensors).read((*inside, index[2], index[3]))

    def load(self) -> Tensor:
        """All weights."""
        return self.read((_ALL,) * 4)

    def __repr__(self) -> str:
        return f"<StoredAttention: {' x '.join(map(str, self.shape))}>"


def _cut(part: Tensor | LazyValue, heads: slice, batch: slice) -> Tensor:
    """Some samples and heads of a query, key or mask; an axis of size 1, or that is missing, stands for all."""
    missing = 4 - len(part.shape)
    wanted = (batch, heads, _ALL, _ALL)[missing:]
    index = tuple(
        slice(0, min(1, entry.stop - entry.start)) if size == 1 and entry is not _ALL else entry
        for entry, size in zip(wanted, part.shape, strict=True)
    )
    return part[index] if isinstance(part, Tensor) else part.read(index)


def _within(entry: int | slice, positions: range, start: int) -> int | slice:
    """The same entry of an axis of which only what begins at ``start`` is there."""
    if isinstance(entry, slice):
        return slice(positions.start - start, positions.stop - start)
    return positions.start - start
