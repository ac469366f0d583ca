"""What a quiz asks: a field per axis of the answer, with the positions to choose from and their names.

In: a cursor, the answer and the choices that an author wrote. Out: QuizField entries; the cursor at the right answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import QuizError, SelectionError, nearest_hint
from ..frames.entries import QuizField
from ..selection import AXES, Selection
from .axis_slider import AXIS_NAMES

MOST_LISTED = 12
"""Positions without a name of their own that are listed one by one; of a longer axis a number is typed."""
MOST_NAMED = 500
"""Tokens that are listed by their text."""
SEVERAL = (set, frozenset, list, tuple, range)

Choices = int | Iterable[Any] | Mapping[str, Any] | None


def quiz_fields(cursor: Selection, answer: Any, choices: Choices, question: str, layers: list[int]) -> list[QuizField]:
    """The fields of a quiz, in the order of the selection's axes; ``cursor`` is left at the first right answer.

    Args:
        cursor: A selection that nobody else uses, at the place that the question is about.
        answer: Trait of the selection -> the right value, or several.
        choices: As in Quiz.
        question: Decides which wrong positions are offered where only their number is given.
        layers: Positions of the layers that the view shows.

    Raises:
        SelectionError: for a trait or a value that the recording does not have.
        QuizError: when there is no answer, or the choices and the answer do not fit each other.
    """
    with cursor.hold_sync():
        start = {axis: getattr(cursor, axis) for axis in AXES}
        right = _right(cursor, answer)
        offered = _offered(right, choices)
        _go(cursor, start | {trait: values[0] for trait, values in right.items()})
        layers = _layers_with(cursor, list(right), layers)
        fields = []
        for trait, values in right.items():  # the layer first: the others are positions in the layers to choose from
            size = _size(cursor, trait, right, layers)
            options = _options(cursor, trait, values, offered.get(trait), layers, (size, question))
            layers = options if trait == "layer" else layers
            fields.append(_field(cursor, trait, values, options, size))
        _go(cursor, start | {trait: values[0] for trait, values in right.items()})
    return fields


def _right(cursor: Selection, answer: Any) -> dict[str, list[int]]:
    """The right positions of each trait, every one checked in every right layer."""
    if not isinstance(answer, Mapping) or not answer:
        raise QuizError(
            f"answer is {answer!r}; expected what is asked with what is right, as in "
            "{'channel': 20} or {'layer': 'conv1', 'head': {3, 5}}."
        )
    for trait in answer:
        if trait not in AXES:
            hint = nearest_hint(str(trait), AXES)
            raise SelectionError(f"no axis {trait!r} to ask for{hint}. Axes: {', '.join(AXES)}.")
    asked = {trait: answer[trait] for trait in AXES if trait in answer}
    layers = _positions(cursor, "layer", asked.pop("layer", [cursor.layer]))
    right: dict[str, list[int]] = {"layer": layers} if "layer" in answer else {}
    for layer in layers:
        cursor.layer = layer
        for trait, value in asked.items():
            right[trait] = _positions(cursor, trait, value)
    return right


def _positions(cursor: Selection, trait: str, value: Any) -> list[int]:
    """One or several values as positions that exist at the cursor, without repetition."""
    values = list(value) if isinstance(value, SEVERAL) else [value]
    if not values:
        raise QuizError(f"{trait} has no right value; expected one, or a set of some.")
    if cursor.extent(trait) == 0:
        there = [axis for axis in AXES if cursor.extent(axis) > 0]
        raise SelectionError(f"{cursor.path!r} has no {trait} to ask for; it has {', '.join(there)}.")
    found = []
    for each in values:
        setattr(cursor, trait, each)
        found.append(getattr(cursor, trait))
    return sorted(set(found)) if isinstance(value, set | frozenset) else list(dict.fromkeys(found))


def _go(cursor: Selection, place: dict[str, int]) -> None:
    """Move the cursor; an index past the end of its axis becomes the last."""
    for axis in AXES:
        setattr(cursor, axis, min(place[axis], max(cursor.extent(axis) - 1, 0)))


def _offered(right: dict[str, list[int]], choices: Choices) -> dict[str, Any]:
    """What the author offers, by trait."""
    if choices is None:
        return {}
    if isinstance(choices, int):
        return dict.fromkeys(right, choices)
    if isinstance(choices, Mapping):
        for trait in choices:
            if trait not in right:
                raise QuizError(f"choices are given for {trait!r}, which is not asked; asked: {', '.join(right)}.")
        return dict(choices)
    if len(right) > 1:
        both = ", ".join(f"{trait!r}: [...]" for trait in right)
        raise QuizError(f"one list of choices for {' and '.join(right)}; expected a list for each, as in {{{both}}}.")
    return {next(iter(right)): list(choices)}


def _layers_with(cursor: Selection, asked: list[str], layers: list[int]) -> list[int]:
    """The layers in which everything can be chosen that is asked for."""
    place = {axis: getattr(cursor, axis) for axis in AXES}
    found = []
    for layer in layers:
        cursor.layer = layer
        if all(cursor.extent(trait) for trait in asked):
            found.append(layer)
    _go(cursor, place)
    return found


def _size(cursor: Selection, trait: str, right: dict[str, list[int]], layers: list[int]) -> int:
    """Positions along an axis; where the layer is asked too, in the layer that has most of them."""
    if trait == "layer" or "layer" not in right:
        return cursor.extent(trait)
    place = {axis: getattr(cursor, axis) for axis in AXES}
    sizes = []
    for layer in {*layers, *right["layer"]}:
        cursor.layer = layer
        sizes.append(cursor.extent(trait))
    _go(cursor, place)
    return max(sizes)


def _options(
    cursor: Selection, trait: str, right: list[int], offered: Any, layers: list[int], rest: tuple[int, str]
) -> list[int]:
    """Positions that are listed; [] = any position may be typed."""
    size, question = rest
    everything = sorted({*layers, *right}) if trait == "layer" else list(range(size))
    if len(everything) < 2:
        raise QuizError(f"{trait} has one position in {cursor.path!r}, so there is nothing to choose.")
    if offered is None:
        most = MOST_NAMED if _texts(cursor, trait, everything[:1]) else MOST_LISTED
        return everything if trait == "layer" or len(everything) <= most else []
    if isinstance(offered, int):
        return _drawn(trait, right, everything, offered, question)
    at = getattr(cursor, trait)
    options = _positions(cursor, trait, list(offered))
    setattr(cursor, trait, at)
    if not set(options) & set(right):
        raise QuizError(f"the choices for {trait} lack the right value {right[0]}; add it.")
    if set(options) <= set(right):
        raise QuizError(f"the choices for {trait} are all right; add a wrong one.")
    return options


def _drawn(trait: str, right: list[int], everything: list[int], count: int, question: str) -> list[int]:
    """The right positions and as many wrong ones as make ``count``: the same ones each time, in order."""
    if not len(right) < count <= len(everything):
        raise QuizError(
            f"{count} choices for {trait}; expected {len(right) + 1} .. {len(everything)}: "
            "the right ones, at least one wrong one, and no more than there are."
        )
    wrong = [position for position in everything if position not in right]
    return sorted(right + random.Random(f"{question}\n{trait}").sample(wrong, count - len(right)))


def _field(cursor: Selection, trait: str, right: list[int], options: list[int], size: int) -> QuizField:
    listed = options or right
    texts = _texts(cursor, trait, listed)
    return {
        "trait": trait,
        "name": AXIS_NAMES.get(trait, trait),
        "right": right,
        "options": options,
        "size": size,
        "texts": {str(position): text for position, text in zip(listed, texts, strict=True)} if texts else {},
    }


def _texts(cursor: Selection, trait: str, positions: list[int]) -> list[str]:
    """Names of positions: of layers, and of tokens where there are any; [] = they have none."""
    catalog = cursor.store.catalog
    if trait == "layer":
        return [catalog["layers"][position]["label"] for position in positions]
    record = catalog["records"][cursor.record] if cursor.record >= 0 else {}
    part, key = {
        "query": ("attention", "query_tokens"),
        "key": ("attention", "key_tokens"),
        "time": ("memory", "tokens"),
    }.get(trait, ("", ""))
    entry = (record.get(part) or {}).get(key)
    if entry is None or entry["sequence"] < 0:
        return []
    texts = catalog["tokens"][entry["sequence"]][cursor.sample]
    places = [position + entry["offset"] for position in positions]
    return [texts[place] if 0 <= place < len(texts) else "" for place in places]
