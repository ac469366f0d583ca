"""Texts of tokens in the kernel as js/tests/token_texts.test.ts says of the browser's."""

from __future__ import annotations

import pytest

from memviz_widgets.frames.token_words import quoted, short_text, visible_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "\N{EMPTY SET}"),
        (" ", "\N{OPEN BOX}"),
        (" the", " the"),
        ("a\r\nb", "a\N{RETURN SYMBOL}b"),
        ("\t", "\N{RIGHTWARDS ARROW TO BAR}"),
        ("\x00", "\u2400"),
        ("a\u202eb", "a\\u202eb"),
        ("<b>", "<b>"),
    ],
)
def test_what_cannot_be_seen_is_made_visible(text: str, shown: str) -> None:
    assert visible_text(text) == shown


def test_long_texts_end_in_an_ellipsis() -> None:
    assert short_text("a" * 12) == "a" * 12
    assert short_text("a" * 13) == "a" * 11 + "\N{HORIZONTAL ELLIPSIS}"
    assert len(quoted("x" * 500)) == 42
