"""Which token texts stand along the queries and keys of a record of attention weights.

In: a record, the texts by sequence and sample. Out: sequence and offset for both axes; the texts as they are sent.

A sequence fits an axis by its length alone, so the rules are: the keys have the first sequence with as many texts as
there are keys; in a recording of several steps (generation), else the first with more. The queries have the same
sequence, of which they are the last keys; in attention to another text, another sequence of their number. Where several
sequences fit, as when source and target are equally long, the path decides: modules within a "decoder" read the last
one, and attention that is called cross-attention has its keys in the first and its queries in the last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..records import TensorRecord

MOST_CHARACTERS = 10_000
"""Longest text that is sent."""

_CROSS = re.compile(r"cross|enc_?dec|encoder_att|multihead_attn|src_att", re.IGNORECASE)
"""Names that modules of torch and transformers have for attention to another text."""

Texts = Sequence[Sequence[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Texts along an axis: position ``i`` has text ``i + offset`` of a sequence; -1 = no texts."""

    sequence: int = -1
    offset: int = 0


def token_places(
    record: TensorRecord, texts: Texts, *, growing: bool = False, earlier: int = 0
) -> tuple[TokenPlace, TokenPlace]:
    """Texts of the queries and of the keys of a record of attention weights.

    Args:
        record: Its shape is (batch, head, query, key).
        texts: By sequence, sample, position. A sequence of one sample is for all; other numbers must be the batch's.
        growing: Whether the recording has several steps, in which texts may come one by one.
        earlier: Queries of the same layer in the steps before: where a generation step stands in its own text.
    """
    batch, _, queries, keys = record.shape
    lengths = [len(rows[0]) if rows and len(rows) in (1, batch) else -1 for rows in texts]
    cross = is_cross(record) and len(lengths) > 1
    last = "decoder" in record.path.lower().split(".") and not cross
    of_keys = _fitting(lengths, keys, last, growing)
    if of_keys < 0:
        return TokenPlace(), TokenPlace()
    others = [length if place != of_keys else -1 for place, length in enumerate(lengths)]
    if not cross and (queries == keys or (queries < keys and queries not in others)):
        return TokenPlace(of_keys, keys - queries), TokenPlace(of_keys)
    place = _fitting(others, queries, last=True, growing=False)
    if place < 0 and cross and growing:
        offset = earlier if queries == 1 else 0  # a model without a cache of keys gives all queries at each step
        return TokenPlace(_fitting(others, offset + queries, last=True, growing=True), offset), TokenPlace(of_keys)
    return TokenPlace(place), TokenPlace(of_keys)


def is_cross(record: TensorRecord) -> bool:
    """Whether the path of an attention says that its queries and keys are two texts."""
    return _CROSS.search(record.path) is not None


def sent_texts(texts: Texts, batches: Sequence[int]) -> list[list[list[str]]]:
    """The texts for the catalog: a sequence that is for all samples once per sample; long ones cut with "...".

    Args:
        texts: By sequence, sample, position.
        batches: Per sequence, the most samples of a record that has it.
    """
    sent = []
    for rows, batch in zip(texts, batches, strict=True):
        cut = [[_cut(text) for text in row] for row in rows]
        sent.append(cut * max(1, batch) if len(cut) == 1 else cut)
    return sent


def ids_of_texts(row: Sequence[str]) -> list[int]:
    """A number per text, the same for the same text."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(text, len(numbers)) for text in row]


def _fitting(lengths: list[int], size: int, last: bool, growing: bool) -> int:
    """Place of the sequence for so many positions, -1 = none."""
    rules = [[length == size for length in lengths], [growing and length > size for length in lengths]]
    for fits in rules:
        places = [place for place, fit in enumerate(fits) if fit]
        if places:
            return places[-1 if last else 0]
    return -1


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."
