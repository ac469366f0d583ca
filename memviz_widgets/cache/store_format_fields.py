"""Fields: the entries of JSON that somebody else may have written, each asked for by its type and range.

In: text, or what it was parsed to. Out: plain values of the type that was asked for; or FormatError, which names the
place, what stands there and what was expected. Nothing is evaluated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from ..errors import FormatError

MOST_AXES = 64
"""Axes of a tensor; torch itself takes 64."""
MOST_ELEMENTS = 2**48
"""Elements of an axis and of a tensor: far from where sizes in bytes leave 64 bits."""
_UNFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def parsed(text: bytes, where: str) -> Fields:
    """The object that JSON stands for.

    Raises:
        FormatError: when it is no JSON, nested without end, or no object.
    """
    try:
        return Fields(json.loads(text.decode("utf-8")), where)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise FormatError(f"{where} is no JSON ({error})") from error


def number_as_json(number: float | None) -> float | str | None:
    """A float for JSON, which knows no NaN and no infinity: those become text."""
    return number if number is None or math.isfinite(number) else str(float(number))


class Fields:
    """An object of JSON whose entries are asked for by type.

    Args:
        entries: What was parsed.
        where: What the object is, for messages: "record 3".

    Raises:
        FormatError: here when ``entries`` is no object, from each method when an entry is missing or of another type.
    """

    __slots__ = ("_entries", "_where")

    def __init__(self, entries: Any, where: str) -> None:
        if not isinstance(entries, dict):
            raise FormatError(f"{where} is {_shown(entries)}; expected an object")
        self._entries = entries
        self._where = where

    def refuse(self, name: str, expected: str) -> FormatError:
        """The error about an entry."""
        there = _shown(self._entries[name]) if name in self._entries else "missing"
        return FormatError(f"{name!r} of {self._where} is {there}; expected {expected}")

    def text(self, name: str) -> str:
        """A text."""
        value = self._entries.get(name)
        if not isinstance(value, str):
            raise self.refuse(name, "a text")
        return value

    def truth(self, name: str) -> bool:
        """True or false."""
        value = self._entries.get(name)
        if not isinstance(value, bool):
            raise self.refuse(name, "true or false")
        return value

    def whole(self, name: str, below: int = MOST_ELEMENTS) -> int:
        """A whole number, 0 .. below - 1."""
        value = self._entries.get(name)
        if not _is_whole(value, below):
            raise self.refuse(name, f"a whole number below {below}")
        return int(value)  # type: ignore[arg-type]  # checked

    def number(self, name: str) -> float | None:
        """A float, "nan", "inf" or "-inf"; None for null."""
        value = self._entries.get(name)
        if isinstance(value, str) and value in _UNFINITE:
            return _UNFINITE[value]
        if name not in self._entries or isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
            raise self.refuse(name, "a number or null")
        try:
            return None if value is None else float(value)
        except OverflowError:
            raise self.refuse(name, "a number that a float holds") from None

    def wholes(self, name: str, below: int = MOST_ELEMENTS, most: int = MOST_AXES) -> tuple[int, ...]:
        """At most ``most`` whole numbers, each 0 .. below - 1."""
        value = self.array(name)
        if len(value) > most or not all(_is_whole(each, below) for each in value):
            raise self.refuse(name, f"at most {most} whole numbers below {below}")
        return tuple(value)

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        value = self.array(name)
        if not all(isinstance(each, str) for each in value):
            raise self.refuse(name, "a list of texts")
        return value

    def text_of(self, name: str) -> dict[str, str]:
        """An object of texts."""
        value = self._entries.get(name)
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise self.refuse(name, "an object of texts")
        return value

    def array(self, name: str) -> list[Any]:
        """A list, whatever is in it."""
        value = self._entries.get(name)
        if not isinstance(value, list):
            raise self.refuse(name, "a list")
        return value

    def inner(self, name: str) -> Fields | None:
        """An object; None for null."""
        if name not in self._entries:
            raise self.refuse(name, "an object or null")
        value = self._entries[name]
        return None if value is None else Fields(value, f"{name!r} of {self._where}")

    def inners(self, name: str, singular: str) -> Iterator[Fields]:
        """A list of objects; ``singular``: what one of them is."""
        for place, value in enumerate(self.array(name)):
            yield Fields(value, f"{singular} {place}")

    def is_null(self, name: str) -> bool:
        """Whether an entry is there and null."""
        return name in self._entries and self._entries[name] is None

    def has(self, name: str) -> bool:
        """Whether there is such an entry."""
        return name in self._entries


def _is_whole(value: object, below: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below


def _shown(value: object) -> str:
    """A value as short text."""
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)} entries"
    if isinstance(value, int) and abs(value) > MOST_ELEMENTS:
        return "a number of many digits"  # writing out thousands of them is an error of its own
    return f"{value!r:.60}"
