"""Data blocks carry bytes and know their size."""

from __future__ import annotations

import base64
import re
import zlib

from memviz_widgets.export.inlined import Inlined


def test_a_block_carries_its_bytes() -> None:
    data = bytes(range(256)) * 40
    block = Inlined.of("bytes", "s0.3", data)
    found = re.fullmatch(r'<script type="application/octet-stream" (.*?)>(.*?)</script>', block.element)
    assert found and found[1] == 'data-kind="bytes" data-name="s0.3"'
    assert zlib.decompress(base64.b64decode(found[2]), -zlib.MAX_WBITS) == data
    assert len(found[2]) < len(data) / 4


def test_size_is_that_of_the_element_and_its_line_end() -> None:
    block = Inlined.of("bytes", "x", b"abc")
    assert block.size == len(f"{block.element}\n")


def test_a_name_cannot_end_its_attribute() -> None:
    assert 'data-name="&quot;&gt;&lt;b"' in Inlined.of("bytes", '"><b', b"").element
