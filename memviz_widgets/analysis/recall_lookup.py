"""Recall tasks in which a key says what is asked for: associative recall, and a needle in a long context.

In: the settings of a task, a number of sequences, a generator. Out: sequences of symbols, where an answer is asked,
which one is right, and at which step it was shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..errors import MeasureError
from .memory_numbers import needs_whole
from .recall_tasks import RecallBatch, RecallTask, asked_at, distinct, symbols_drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociativeRecall(RecallTask):
    """Associative recall with many queries (MQAR): say which value came with each key.

    Sequence: ``pairs`` times a key and its value, ``gap`` blanks, then every key once, in random order; at each of
    these the answer is asked. No key and no value comes twice. Arora et al. 2023, "Zoology" (arXiv 2312.04927), with
    all queries after the gap in place of their power law of distances.

    Attributes:
        pairs: load, 1..symbols.
        symbols: K, how many values there are to choose from, and as many keys; 2 or more. The paper's vocabulary is
            about 2 K.
        gap: blanks between the pairs and the first query, 0 or more.
    """

    pairs: int = 4
    symbols: int = 8
    gap: int = 0

    def __post_init__(self) -> None:
        """Refuses settings out of range."""
        needs_whole("symbols", self.symbols, 2)
        needs_whole("pairs", self.pairs, 1)
        needs_whole("gap", self.gap, 0)
        if self.pairs > self.symbols:
            raise MeasureError(
                f"pairs={self.pairs} need as many keys; symbols={self.symbols}. Take fewer pairs, or more symbols."
            )

    @property
    def answers(self) -> int:
        """K, how many symbols can be right. Values are the symbols 0..K - 1, keys K..2 K - 1."""
        return self.symbols

    @property
    def blank(self) -> int:
        """The symbol of a step that shows nothing."""
        return 2 * self.symbols

    @property
    def vocabulary(self) -> int:
        """V: values, keys and the blank."""
        return 2 * self.symbols + 1

    @property
    def steps(self) -> int:
        """T, length of a sequence: ``3 pairs + gap``."""
        return 3 * self.pairs + self.gap

    @property
    def asked_per_sequence(self) -> int:
        """L, how many answers are asked in each sequence: one per pair."""
        return self.pairs

    @property
    def context_chance(self) -> float:
        """``1 / pairs``."""
        return 1 / self.pairs

    def batch(self, size: int, generator: torch.Generator) -> RecallBatch:
        """Draws sequences; see :meth:`RecallTask.batch`."""
        values = distinct(self.symbols, self.pairs, needs_whole("size", size, 1), generator)
        keys = self.symbols + distinct(self.symbols, self.pairs, size, generator)
        order = distinct(self.pairs, self.pairs, size, generator)
        inputs = values.new_full((size, self.steps), self.blank)
        inputs[:, 0 : 2 * self.pairs : 2] = keys
        inputs[:, 1 : 2 * self.pairs : 2] = values
        inputs[:, self.steps - self.pairs :] = keys.gather(1, order)
        queries = torch.arange(self.steps - self.pairs, self.steps, device=values.device)
        return asked_at(inputs, queries.expand(size, -1), 2 * order + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedleRecall(RecallTask):
    """Needle in context: find one key with its value in a long text of no meaning.

    Sequence: random filler with the needle (a key and then its value) at one depth, and distractors (other keys with
    other values) at random places; at the last step the key of the needle comes again and the answer is asked. After
    Kamradt 2023, "Needle in a haystack"; with distractors as in RULER (Hsieh et al. 2024, arXiv 2404.06654).

    Attributes:
        length: T, steps of the whole sequence, 3 or more.
        depth: place of the needle, 0 (first steps) .. 1 (just before the question).
        symbols: K, how many values there are to choose from, and as many keys; 2 or more.
        fillers: how many symbols the filler is made of, 1 or more.
        distractors: other pairs of key and value, 0..symbols - 1, as far as they fit.
    """

    length: int = 64
    depth: float = 0.5
    symbols: int = 8
    fillers: int = 8
    distractors: int = 0

    def __post_init__(self) -> None:
        """Refuses settings out of range."""
        needs_whole("length", self.length, 3)
        needs_whole("symbols", self.symbols, 2)
        needs_whole("fillers", self.fillers, 1)
        needs_whole("distractors", self.distractors, 0, self.symbols - 1)
        if not 0 <= self.depth <= 1:
            raise MeasureError(f"depth={self.depth!r}; expected a number from 0, the start, to 1, the end.")
        room = self.needle_step // 2 + (self.length - 3 - self.needle_step) // 2
        if self.distractors > room:
            raise MeasureError(
                f"distractors={self.distractors} do not fit beside the needle at depth {self.depth:g} of "
                f"length={self.length}; expected 0 to {room}. Take fewer, or a longer sequence."
            )

    @property
    def needle_step(self) -> int:
        """Step of the needle's key; its value comes one step later."""
        return math.floor(self.depth * (self.length - 3) + 0.5)

    @property
    def answers(self) -> int:
        """K, how many symbols can be right. Values are the symbols 0..K - 1, keys K..2 K - 1, filler from 2 K."""
        return self.symbols

    @property
    def vocabulary(self) -> int:
        """V: values, keys and filler."""
        return 2 * self.symbols + self.fillers

    @property
    def steps(self) -> int:
        """T, length of a sequence."""
        return self.length

    @property
    def asked_per_sequence(self) -> int:
        """L, how many answers are asked in each sequence: one."""
        return 1

    @property
    def context_chance(self) -> float:
        """``1 / (1 + distractors)``: without distractors the needle is the only value, and no key is needed."""
        return 1 / (1 + self.distractors)

    def batch(self, size: int, generator: torch.Generator) -> RecallBatch:
        """Draws sequences; see :meth:`RecallTask.batch`."""
        pairs = 1 + self.distractors
        inputs = 2 * self.symbols + symbols_drawn(self.fillers, (needs_whole("size", size, 1), self.length), generator)
        values = distinct(self.symbols, pairs, size, generator)
        keys = self.symbols + distinct(self.symbols, pairs, size, generator)
        # Pairs stand at even distances from the needle, so that no two of them share a step.
        needle = self.needle_step
        free = torch.arange(needle % 2, self.length - 2, 2, device=inputs.device)
        free = free[free != needle]
        others = free[distinct(len(free), self.distractors, size, generator)]
        places = torch.cat([torch.full_like(inputs[:, :1], needle), others], 1)  # (B, 1 + distractors)
        inputs.scatter_(1, places, keys).scatter_(1, places + 1, values)
        inputs[:, -1] = keys[:, 0]
        last = torch.full_like(inputs[:, :1], self.length - 1)
        return asked_at(inputs, last, places[:, :1] + 1)
