"""MemoryNetwork: reads a story in several hops and answers a question (Sukhbaatar et al. 2015, arXiv 1503.08895).

In: sentences (B, S, W) and a question (B, W) as numbers of words. Out: logits of the answers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MemoryNetwork(nn.Module):
    """An end-to-end memory network with adjacent tying, position encoding and an encoding of each sentence's age.

    The slots are the sentences. In each hop the question, and what earlier hops have read, weighs them by softmax;
    their sum, embedded another way, is added to the question.

    Args:
        words: number of words.
        answers: number of answers.
        width: of the embeddings.
        hops: number of hops.
        longest: most sentences.
        sentence: words of a sentence.
    """

    def __init__(
        self, words: int, answers: int, width: int = 20, hops: int = 3, longest: int = 10, sentence: int = 5
    ) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(words, width, padding_idx=0) for _ in range(hops + 1))
        self.ages = nn.ParameterList(nn.Parameter(torch.randn(longest + 1, width) * 0.1) for _ in range(hops + 1))
        self.head = nn.Linear(width, answers, bias=False)
        self.encoding: Tensor
        self.register_buffer("encoding", position_encoding(sentence, width))
        for table in self.parameters():
            nn.init.normal_(table, std=0.1)
        with torch.no_grad():
            for embedding in self.embeddings:
                next(embedding.parameters())[0] = 0

    def forward(self, sentences: Tensor, question: Tensor) -> Tensor:
        """(B, S, W), (B, W) -> (B, answers)."""
        told = sentences.any(2)  # (B, S)
        age = told.flip(1).cumsum(1).flip(1)  # 1 for the last sentence, 0 where there is none
        state = self._embed(0, question)
        for hop in range(len(self.embeddings) - 1):
            key = self._embed(hop, sentences) + self.ages[hop][age]
            value = self._embed(hop + 1, sentences) + self.ages[hop + 1][age]
            scores = torch.einsum("bd,bsd->bs", state, key).masked_fill(~told, -torch.inf)
            weights = scores.softmax(1)
            state = state + torch.einsum("bs,bsd->bd", weights, value)
        logits: Tensor = self.head(state)
        return logits

    def _embed(self, hop: int, words: Tensor) -> Tensor:
        """(..., W) -> (..., D)."""
        embedded: Tensor = (self.embeddings[hop](words) * self.encoding).sum(-2)
        return embedded


def position_encoding(words: int, width: int) -> Tensor:
    """Weights (W, D) by which the order of words counts: section 4.1 of the paper."""
    word = torch.arange(1, words + 1)[:, None] / words
    part = torch.arange(1, width + 1) / width
    return (1 - word) - part * (1 - 2 * word)
