"""Page: a piece of a record as it goes to the browser, and the kinds of them.

In: an array with its ranges. Out: the same as bytes.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..errors import PageRefusedError
from ..records import TensorRecord

PageKind = Literal[
    "frame", "sheet", "series", "channels", "histogram",
    "tiles", "row", "log", "mean", "max", "difference", "rollout", "flow", "heads",
    "time", "timescale", "similarity", "wrote", "wrote_unit", "reads", "units", "saturation", "retention", "entries",
]  # fmt: skip
PAGE_KINDS: tuple[PageKind, ...] = get_args(PageKind)

ATTENTION_KINDS = PAGE_KINDS[PAGE_KINDS.index("tiles") : PAGE_KINDS.index("time")]
"""Pages that only records of attention weights have."""

MEMORY_KINDS = PAGE_KINDS[PAGE_KINDS.index("time") :]
"""Pages that only records of the parts of a memory have."""


def _no_range() -> npt.NDArray[np.float64]:
    return np.empty(0, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page, on the CPU.

    ``cells``, of shape (n, rows, cols): uint8 codes for frames, tiles and maps, float32 values for "series", "channels"
    and "heads", float64 counts for "histogram". ``lows``, ``highs``: float64 range per frame; the outer edges of a
    histogram; else empty. ``sampled``: whether values of a record too large to look at all of them were left out.
    ``residual``: largest error of the values, where they were recovered instead of read; None where they were read.
    ``absent``: which cells no rank recorded, of the shape of ``cells``; None where that is not asked, or none.
    """

    record: int
    kind: PageKind
    page: int
    cells: npt.NDArray[Any]
    lows: npt.NDArray[np.float64] = field(default_factory=_no_range)
    highs: npt.NDArray[np.float64] = field(default_factory=_no_range)
    sampled: bool = False
    residual: float | None = None
    absent: npt.NDArray[np.bool_] | None = None

    @property
    def dtype(self) -> str:
        """Name of the dtype of ``data``."""
        return str(self.cells.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, rows, cols)."""
        return self.cells.shape

    @property
    def data(self) -> memoryview:
        """The bytes of ``cells``, little endian, without a copy."""
        return _bytes_of(self.cells)

    @property
    def lo(self) -> memoryview:
        """The bytes of ``lows``."""
        return _bytes_of(self.lows)

    @property
    def hi(self) -> memoryview:
        """The bytes of ``highs``."""
        return _bytes_of(self.highs)


def page_header(page: Page) -> dict[str, Any]:
    """What a page is, as JSON: record, kind, page number, dtype of its data, shape (n, rows, cols), sampled, residual.

    Where cells are absent also "absent": first and number of cells of each run of them, one after the other.
    A residual that is no finite number, which JSON does not have, is the largest float: never to be trusted.
    """
    residual = page.residual
    if residual is not None and not math.isfinite(residual):
        residual = sys.float_info.max
    runs = {} if page.absent is None else {"absent": _runs(page.absent)}
    return {
        **runs,
        "record": page.record,
        "kind": page.kind,
        "page": page.page,
        "dtype": page.dtype,
        "shape": list(page.shape),
        "sampled": page.sampled,
        "residual": residual,
    }


def page_buffers(page: Page) -> dict[str, memoryview]:
    """The three buffers of a page in the order of the wire: data, lo (float64), hi (float64)."""
    return {"data": page.data, "lo": page.lo, "hi": page.hi}


def check_page(record: TensorRecord, kind: PageKind, page: int, pages: int) -> None:
    """Refuse the number of a page that is not there."""
    if not 0 <= page < pages:
        raise PageRefusedError(f"record {record.label!r} has {kind} pages 0 .. {pages - 1}, got {page}.")


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    """One-dimensional view of bytes; through uint8, because ``memoryview.cast`` refuses an empty array."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _runs(cells: npt.NDArray[np.bool_]) -> list[int]:
    """First and number of cells of each run of True."""
    edges = np.flatnonzero(np.diff(cells.reshape(-1).astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    edges[:, 1] -= edges[:, 0]
    found: list[int] = edges.reshape(-1).tolist()
    return found
