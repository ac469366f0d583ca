"""Texts of tokens as people read them: visible, short, quoted. The browser's twin is js/src/token_texts.ts.

In: texts of somebody else: empty, line breaks, overrides of the writing direction, 10,000 characters. Out: texts.
"""

from __future__ import annotations

import re

EMPTY_TEXT = "\N{EMPTY SET}"
SPOKEN_CHARACTERS = 40
TICK_CHARACTERS = 12

_BREAKS = re.compile("\r\n|[\n\r\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x1f]")
_TURNS = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible_text(text: str) -> str:
    """``text`` with what cannot be seen made visible: nothing, blanks alone, line breaks, tabs, control characters."""
    if text == "":
        return EMPTY_TEXT
    shown = _BREAKS.sub("\N{RETURN SYMBOL}", text).replace("\t", "\N{RIGHTWARDS ARROW TO BAR}")
    shown = _CONTROLS.sub(lambda found: chr(0x2400 + ord(found.group())), shown)
    shown = _TURNS.sub(lambda found: f"\\u{ord(found.group()):04x}", shown)
    return shown if shown.strip() else re.sub(r"\s", "\N{OPEN BOX}", shown)


def short_text(text: str, most: int = TICK_CHARACTERS) -> str:
    """The first ``most`` characters, an ellipsis for the rest."""
    return text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def quoted(text: str, most: int = SPOKEN_CHARACTERS) -> str:
    """A token in a sentence."""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{short_text(visible_text(text), most)}\N{RIGHT DOUBLE QUOTATION MARK}"
