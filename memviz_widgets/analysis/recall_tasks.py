"""Recall tasks in which a sequence is shown and asked for later: what every task has, copy, delayed recall.

In: the settings of a task, a number of sequences, a generator. Out: sequences of symbols, where an answer is asked,
which one is right, and at which step it was shown.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import MeasureError, UnknownOptionError, nearest_hint
from .memory_numbers import needs_whole

if TYPE_CHECKING:
    from typing_extensions import Self  # typing has it from Python 3.11

NOT_ASKED = -100
"""Target where nothing is asked: what torch.nn.functional.cross_entropy ignores by default."""


@dataclass(frozen=True, slots=True)
class RecallBatch:
    """Sequences of one recall task, with their answers.

    Attributes:
        inputs: int64 (B, T), symbols 0..vocabulary - 1, what the model sees.
        targets: int64 (B, T), the right answer, 0..answers - 1, where one is asked; ``NOT_ASKED`` elsewhere.
        asked: bool (B, T): the positions that are scored, equally many in each sequence.
        written: int64 (B, T): step at which the answer was shown, where one is asked; -1 elsewhere.
    """

    inputs: Tensor
    targets: Tensor
    asked: Tensor
    written: Tensor


class RecallTask(ABC):
    """What every recall task has. A task is its settings: frozen, equal when they are equal.

    Symbols are whole numbers from 0. The first ``answers`` of them are those that can be right, each equally often.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def answers(self) -> int:
        """K, how many symbols can be right."""

    @property
    @abstractmethod
    def vocabulary(self) -> int:
        """V, how many symbols there are in all: the size of an embedding of the inputs."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """T, length of a sequence."""

    @property
    @abstractmethod
    def asked_per_sequence(self) -> int:
        """L, how many answers are asked in each sequence."""

    @property
    @abstractmethod
    def context_chance(self) -> float:
        """Accuracy, 0..1, of a model that picks any of the answers in its sequence: it knows what, but not which."""

    @abstractmethod
    def batch(self, size: int, generator: torch.Generator) -> RecallBatch:
        """Draws sequences.

        Args:
            size: B, 1 or more.
            generator: decides them, and is moved on; the tensors are on its device.
        """

    @property
    def chance(self) -> float:
        """Accuracy, 0..1, of a model that remembers nothing: ``1 / K``."""
        return 1 / self.answers

    def with_(self, **changes: float) -> Self:
        """The same task with other settings.

        Raises:
            UnknownOptionError: for a setting that the task does not have.
            MeasureError: for a value that does not fit the others.
        """
        known = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        for name in changes:
            if name not in known:
                raise UnknownOptionError(
                    f"{type(self).__name__} has no setting {name!r}{nearest_hint(name, known)}. "
                    f"It has {', '.join(known)}."
                )
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


class MarkedTask(RecallTask):
    """A task of K symbols with a blank and a marker after them."""

    __slots__ = ()
    symbols: int

    @property
    def answers(self) -> int:
        """K, how many symbols can be right."""
        return self.symbols

    @property
    def blank(self) -> int:
        """The symbol of a step that shows nothing."""
        return self.symbols

    @property
    def marker(self) -> int:
        """The symbol that says: answer now."""
        return self.symbols + 1

    @property
    def vocabulary(self) -> int:
        """V: the K symbols, the blank and the marker."""
        return self.symbols + 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTask(MarkedTask):
    """Copy: say a sequence again, in order, after a delay.

    Sequence: L random symbols, ``delay`` blanks, a marker, L - 1 blanks. The first answer is asked at the marker, the
    others at the blanks after it, so that ``length + delay`` steps lie between a symbol and its answer. After
    Hochreiter & Schmidhuber 1997; Arjovsky, Shah & Bengio 2016 (arXiv 1511.06464), who ask one step later.

    Attributes:
        length: L, symbols to copy, 1 or more.
        delay: blanks between the last symbol and the marker, 0 or more.
        symbols: K, how many symbols there are to choose from, 2 or more.
    """

    length: int = 5
    delay: int = 5
    symbols: int = 8

    def __post_init__(self) -> None:
        """Refuses settings out of range."""
        needs_whole("length", self.length, 1)
        needs_whole("delay", self.delay, 0)
        needs_whole("symbols", self.symbols, 2)

    @property
    def steps(self) -> int:
        """T, length of a sequence: ``2 length + delay``."""
        return 2 * self.length + self.delay

    @property
    def asked_per_sequence(self) -> int:
        """L, how many answers are asked in each sequence."""
        return self.length

    @property
    def context_chance(self) -> float:
        """``1 / L + (1 - 1 / L) / K``: another symbol of the sequence is the same one by chance."""
        return (1 + (self.length - 1) / self.symbols) / self.length

    def batch(self, size: int, generator: torch.Generator) -> RecallBatch:
        """Draws sequences; see :meth:`RecallTask.batch`."""
        shown = symbols_drawn(self.symbols, (needs_whole("size", size, 1), self.length), generator)
        inputs = shown.new_full((size, self.steps), self.blank)
        inputs[:, : self.length] = shown
        inputs[:, self.length + self.delay] = self.marker
        written = torch.arange(self.length, device=shown.device).expand(size, -1)
        return asked_at(inputs, written + self.length + self.delay, written)


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayedRecall(MarkedTask):
    """Delayed recall: say after a delay which symbol came first.

    Sequence: one random symbol, ``delay`` steps, a marker at which the answer is asked. The steps between are blanks,
    of which some, at random places, are random symbols instead: distractors, that are of no concern.

    Attributes:
        delay: steps between the symbol and the marker, 0 or more.
        symbols: K, how many symbols there are to choose from, 2 or more.
        distractors: how many of the steps between show a symbol, 0..delay.
    """

    delay: int = 10
    symbols: int = 8
    distractors: int = 0

    def __post_init__(self) -> None:
        """Refuses settings out of range."""
        needs_whole("delay", self.delay, 0)
        needs_whole("symbols", self.symbols, 2)
        needs_whole("distractors", self.distractors, 0)
        if self.distractors > self.delay:
            raise MeasureError(
                f"distractors={self.distractors} do not fit into delay={self.delay}; expected 0 to {self.delay}. "
                "Take fewer, or a longer delay."
            )

    @property
    def steps(self) -> int:
        """T, length of a sequence: ``delay + 2``."""
        return self.delay + 2

    @property
    def asked_per_sequence(self) -> int:
        """L, how many answers are asked in each sequence: one."""
        return 1

    @property
    def context_chance(self) -> float:
        """``1 / N + (1 - 1 / N) / K`` for N symbols in the sequence: a distractor is the same one by chance."""
        return (1 + self.distractors / self.symbols) / (1 + self.distractors)

    def batch(self, size: int, generator: torch.Generator) -> RecallBatch:
        """Draws sequences; see :meth:`RecallTask.batch`."""
        shown = symbols_drawn(self.symbols, (needs_whole("size", size, 1), 1 + self.distractors), generator)
        inputs = shown.new_full((size, self.steps), self.blank)
        places = 1 + distinct(self.delay, self.distractors, size, generator)
        inputs.scatter_(1, torch.cat([torch.zeros_like(shown[:, :1]), places], 1), shown)
        inputs[:, -1] = self.marker
        written = torch.zeros_like(shown[:, :1])
        return asked_at(inputs, written + self.delay + 1, written)


def symbols_drawn(count: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Independent symbols 0..count - 1, each equally likely, int64 of the shape."""
    return torch.randint(count, shape, generator=generator, device=generator.device)


def distinct(count: int, chosen: int, size: int, generator: torch.Generator) -> Tensor:
    """Numbers 0..count - 1 in random order, none of them twice in a row of the result, int64 (size, chosen)."""
    return torch.rand(size, count, generator=generator, device=generator.device).argsort(1)[:, :chosen]


def asked_at(inputs: Tensor, steps: Tensor, written: Tensor) -> RecallBatch:
    """A batch of inputs (B, T) that asks at ``steps`` (B, L) for what was shown at the steps ``written`` (B, L)."""
    targets = torch.full_like(inputs, NOT_ASKED).scatter(1, steps, inputs.gather(1, written))
    return RecallBatch(inputs, targets, targets != NOT_ASKED, torch.full_like(inputs, -1).scatter(1, steps, written))
