"""Token texts in every form that users have, and the sentences for what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from memviz_widgets.cache import ActivationCache
from memviz_widgets.cache.tokens import token_texts
from memviz_widgets.errors import InputError

WORDS = ["the", "cat", "sat"]


class Transformers:
    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [f"Ġ{number}" for number in ids]

    def decode(self, ids: list[int]) -> str:
        raise AssertionError("the texts of single tokens are asked for")


class Tokenizers:
    def id_to_token(self, number: int) -> str | None:
        return WORDS[number] if number < 3 else None


class Other:
    def decode(self, ids: list[int]) -> str:
        return "".join(WORDS[number] for number in ids)


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        (None, []),
        (WORDS, [[WORDS]]),
        (tuple(WORDS), [[WORDS]]),
        (["a", "b"], [[["a", "b"]]]),
        (np.array(WORDS), [[WORDS]]),
        ([WORDS, ["a", "b", "c"]], [[WORDS, ["a", "b", "c"]]]),
        ({"encoder": WORDS, "decoder": ["x"]}, [[WORDS], [["x"]]]),
        ({"source": [WORDS, WORDS], "target": (Other(), [0])}, [[WORDS, WORDS], [["the"]]]),
        ([1, 2.5, None, b"caf\xc3\xa9", ""], [[["1", "2.5", "", "café", ""]]]),
        ((Transformers(), torch.tensor([5, 7])), [[["Ġ5", "Ġ7"]]]),
        ((Tokenizers(), [[0, 1], [2, 9]]), [[["the", "cat"], ["sat", ""]]]),
        ((Other(), np.array([2, 0])), [[["sat", "the"]]]),
        ((["a", "b"], ["c", "d"]), [[["a", "b"], ["c", "d"]]]),
        (("\ud83d\ude00", "\ud83d"), [[["😀", "�"]]]),
    ],
    ids=str,
)
def test_form_is_read(given: object, texts: object) -> None:
    assert token_texts(given) == texts


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("the cat", r"tokens is 'the cat' \(str\); expected a list of texts, .* must be split into its tokens first"),
        (5, r"tokens is 5 \(int\); expected a list of texts, a list of them per sample, \(tokenizer, ids\), or"),
        ([], r"tokens is \[\] \(list\); expected a list of texts.* Leave tokens out to see indices\."),
        (torch.tensor([1, 2]), r"tokens is Tensor of shape \(2,\); .* For ids, give \(tokenizer, ids\)\."),
        ({}, r"tokens is an empty mapping; expected"),
        ({"encoder": 5}, r"tokens\['encoder'\] is 5 \(int\); expected"),
        ([["a"], "b"], r"tokens has lists among texts or within a sample; expected"),
        ([[["a"]]], r"tokens has lists among texts or within a sample; expected"),
        ([["a", "b"], ["c"]], r"tokens has 1 texts for sample 1 and 2 for sample 0; give every sample as many"),
        ((Other(), "text"), r"tokens is \(tokenizer, ids\); expected ids as integers .* Give enc\['input_ids'\]"),
        ((Other(), [[1], [1, 2]]), r"tokens is \(tokenizer, ids\); expected ids as integers"),
        ((Other(), torch.tensor([0.5])), r"got torch.float32 of shape \(1,\)"),
        ((Other(), torch.zeros(1, 1, 1, dtype=torch.long)), r"got torch.int64 of shape \(1, 1, 1\)"),
    ],
    ids=str,
)
def test_anything_else_is_refused(given: object, text: str) -> None:
    with pytest.raises(InputError, match=text):
        token_texts(given)


def test_cache_keeps_what_was_given_and_has_its_texts() -> None:
    given = (Other(), [0, 1])
    cache = ActivationCache.capture(nn.Linear(2, 2), torch.ones(1, 2), tokens=given)
    assert cache.tokens is given and cache.token_texts == [[["the", "cat"]]]


def test_tokens_that_are_none_are_refused_before_the_model_runs() -> None:
    class Fails(nn.Module):
        def forward(self, x: Any) -> Any:
            raise AssertionError("the model ran")

    with pytest.raises(InputError, match="tokens is 'abc'"):
        ActivationCache.capture(Fails(), torch.ones(1), tokens="abc")


def test_attentions_with_a_tokenizer_are_checked_by_its_texts() -> None:
    weights = torch.full((1, 1, 2, 2), 0.5)
    assert ActivationCache.from_attentions([weights], tokens=(Other(), [0, 1])).token_texts == [[["the", "cat"]]]
    with pytest.raises(InputError, match="tokens has 3 texts, but the attention is over 2 keys"):
        ActivationCache.from_attentions([weights], tokens=(Other(), [0, 1, 2]))
