"""Stories: who went where, and where somebody is now, as in task 1 of bAbI (Weston et al. 2015, arXiv 1502.05698).

In: a number of stories, a generator. Out: sentences and questions as numbers of words, answers, who has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PEOPLE = ("mary", "john", "daniel", "sandra")
PLACES = ("kitchen", "garden", "office", "hallway", "bathroom", "bedroom")
VERBS = ("went", "moved", "journeyed", "travelled", "walked")
PADDING = "-"
"""The word where a sentence or a story has ended."""
WORDS = (PADDING, *PEOPLE, *VERBS, "to", "the", "where", "is", *PLACES)
SENTENCE_WORDS = 5
LONGEST = 10
"""Most sentences of a story."""

_NUMBER = {word: number for number, word in enumerate(WORDS)}


@dataclass(frozen=True, slots=True)
class Stories:
    """Stories as numbers of words.

    Attributes:
        sentences: int64 (B, S, 5), 0 where there is none.
        question: int64 (B, 5).
        answer: int64 (B,), position in PLACES.
        support: int64 (B,), the sentence that has the answer.
    """

    sentences: Tensor
    question: Tensor
    answer: Tensor
    support: Tensor

    def text(self, story: int) -> list[str]:
        """The sentences of one story as texts."""
        return [words for sentence in self.sentences[story] if (words := in_words(sentence))]


def in_words(numbers: Tensor) -> str:
    """A sentence as text."""
    return " ".join(WORDS[number] for number in numbers.tolist() if number)


def tell(count: int, generator: torch.Generator) -> Stories:
    """Stories of 2 to 10 sentences, each "person verb to the place", and the question "where is person"."""

    def drawn(most: int, *shape: int) -> Tensor:
        return torch.randint(most, shape, generator=generator)

    people, places, verbs = (
        drawn(len(PEOPLE), count, LONGEST),
        drawn(len(PLACES), count, LONGEST),
        drawn(5, count, LONGEST),
    )
    lengths = 2 + drawn(LONGEST - 1, count)
    asked = people.gather(
        1, (torch.rand(count, generator=generator) * lengths).long()[:, None]
    )  # somebody in the story
    inside = torch.arange(LONGEST) < lengths[:, None]
    support = ((people == asked) & inside).long().mul(torch.arange(1, LONGEST + 1)).argmax(1)
    first = _NUMBER[PEOPLE[0]]
    words = [people + first, verbs + _NUMBER[VERBS[0]], torch.full_like(people, _NUMBER["to"])]
    words += [torch.full_like(people, _NUMBER["the"]), places + _NUMBER[PLACES[0]]]
    sentences = torch.stack(words, 2) * inside.unsqueeze(2)
    empty = torch.zeros_like(asked)
    question = torch.cat([empty + _NUMBER["where"], empty + _NUMBER["is"], asked + first, empty, empty], 1)
    return Stories(sentences, question, places.gather(1, support[:, None])[:, 0], support)
