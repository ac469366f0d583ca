"""Inlined: bytes that a page carries, deflated, as text of a data block.

In: bytes. Out: base64, and how many characters of the page it takes.
"""

from __future__ import annotations

import base64
import html
import zlib
from dataclasses import dataclass, field

LEVEL = 9
"""Of deflate, for what is the same in every page."""
PAGES_LEVEL = 6
"""For frames: the next level takes three times as long, for a hundredth less."""


@dataclass(frozen=True, slots=True)
class Inlined:
    """What one data block of a page carries.

    ``kind``: "style", "script", "state" or "bytes", which is what js/src/frozen_loader.ts does with it. ``name``: of
    the bytes, by which the state refers to them.
    """

    kind: str
    name: str
    text: str = field(repr=False)

    @classmethod
    def of(cls, kind: str, name: str, data: bytes, level: int = PAGES_LEVEL) -> Inlined:
        """The block that carries these bytes."""
        return cls(kind, name, deflated(data, level))

    @property
    def element(self) -> str:
        """The block as HTML: a script of a type that no browser runs."""
        facts = f'data-kind="{self.kind}" data-name="{html.escape(self.name)}"'
        return f'<script type="application/octet-stream" {facts}>{self.text}</script>'

    @property
    def size(self) -> int:
        """Bytes that it takes in the page."""
        return len(self.element) + 1


def deflated(data: bytes, level: int) -> str:
    """The bytes as raw deflate (RFC 1951) in base64; the same text for the same bytes and zlib."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return base64.b64encode(packer.compress(data) + packer.flush()).decode("ascii")
