"""Which texts stand along queries and keys, and how they are sent."""

from __future__ import annotations

import json

import pytest

from memviz_widgets.frames import build_catalog
from memviz_widgets.frames.token_places import TokenPlace, ids_of_texts, sent_texts, token_places

from .attention_cache import attention_cache, query_key

SOURCE, TARGET = list("abcdefg"), list("uvwx")
NONE = TokenPlace()


def places(
    queries: int, keys: int, *texts: list[str], path: str = "attn", growing: bool = False, earlier: int = 0
) -> tuple[TokenPlace, TokenPlace]:
    """Of queries and keys of a record with these sizes."""
    cache = attention_cache(query_key((1, 2, queries, keys)))
    cache.change(0, path=path)
    return token_places(cache.records[0], [[row] for row in texts], growing=growing, earlier=earlier)


def test_no_texts_no_places() -> None:
    assert places(4, 4) == (NONE, NONE)


@pytest.mark.parametrize(("tokens", "sequence"), [(7, 0), (4, 1)], ids=["encoder", "decoder"])
def test_self_attention_has_the_sequence_of_its_length(tokens: int, sequence: int) -> None:
    assert places(tokens, tokens, SOURCE, TARGET) == (TokenPlace(sequence), TokenPlace(sequence))


def test_cross_attention_has_two_sequences() -> None:
    assert places(4, 7, SOURCE, TARGET) == (TokenPlace(1), TokenPlace(0))


def test_queries_without_a_sequence_of_their_own_have_none() -> None:
    assert places(9, 7, SOURCE) == (NONE, TokenPlace(0))


def test_queries_over_a_cache_are_the_last_keys() -> None:
    assert places(2, 7, SOURCE) == (TokenPlace(0, 5), TokenPlace(0))


def test_generation_step_has_the_first_texts() -> None:
    assert places(1, 5, SOURCE, growing=True) == (TokenPlace(0, 4), TokenPlace(0))
    assert places(1, 7, SOURCE, growing=True) == (TokenPlace(0, 6), TokenPlace(0)), "the last step has all"


def test_in_one_forward_more_texts_than_keys_do_not_fit() -> None:
    assert places(5, 5, SOURCE) == (NONE, NONE), "a window of 5 tokens need not be the first 5"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("model.encoder.layers.0.self_attn", (TokenPlace(0), TokenPlace(0))),
        ("model.decoder.layers.0.self_attn", (TokenPlace(1), TokenPlace(1))),
        ("model.decoder.layers.0.encoder_attn", (TokenPlace(1), TokenPlace(0))),
        ("decoder.layers.0.multihead_attn", (TokenPlace(1), TokenPlace(0))),
        ("decoder.block.0.layer.1.EncDecAttention", (TokenPlace(1), TokenPlace(0))),
    ],
)
def test_path_decides_between_sequences_of_one_length(path: str, expected: tuple[TokenPlace, TokenPlace]) -> None:
    assert places(4, 4, list("abcd"), TARGET, path=path) == expected


def test_generation_of_a_decoder_reads_the_target() -> None:
    path = "decoder.block.0.layer.0.SelfAttention"
    assert places(1, 3, SOURCE, TARGET, path=path, growing=True) == (TokenPlace(1, 2), TokenPlace(1))


def test_generation_with_cross_attention_counts_the_steps_before() -> None:
    path = "decoder.block.0.layer.1.EncDecAttention"
    assert places(1, 7, SOURCE, TARGET, path=path, growing=True, earlier=2) == (TokenPlace(1, 2), TokenPlace(0))
    assert places(1, 7, SOURCE, TARGET, path=path, growing=True, earlier=4)[0].sequence == -1, "beyond its end"
    assert places(3, 7, SOURCE, TARGET, path=path, growing=True, earlier=3) == (TokenPlace(1), TokenPlace(0))


def test_texts_of_other_samples_do_not_fit() -> None:
    cache = attention_cache(query_key((3, 2, 4, 4)))
    assert token_places(cache.records[0], [[TARGET, TARGET]]) == (NONE, NONE)
    assert token_places(cache.records[0], [[TARGET] * 3]) == (TokenPlace(0), TokenPlace(0))


def test_catalog_has_the_steps_of_a_generation_in_place() -> None:
    cache = attention_cache(*[query_key((1, 2, *sides)) for sides in ((3, 3), (1, 4), (1, 5))], texts=[[list("abcde")]])
    for step in range(3):
        cache.change(step, step=step, path="attn")
    catalog = build_catalog(cache)
    offsets = [record["attention"] and record["attention"]["query_tokens"] for record in catalog["records"]]
    assert offsets == [{"sequence": 0, "offset": offset} for offset in (0, 3, 4)]
    assert catalog["tokens"] == [[list("abcde")]]


def test_one_list_of_texts_is_sent_for_every_sample_that_has_it() -> None:
    cache = attention_cache(query_key((3, 2, 4, 4)), texts=[[TARGET], [SOURCE]])
    assert build_catalog(cache)["tokens"] == [[TARGET] * 3, [SOURCE]]


def test_hostile_texts_are_sent_as_text() -> None:
    texts = ["<img src=x onerror=alert(1)>", "", "\u202eabc", "👩‍👩‍👧", "x" * 10_001]
    sent = json.loads(json.dumps(sent_texts([[texts]], [1])))
    assert sent[0][0][:4] == texts[:4]
    assert sent[0][0][4] == "x" * 10_000 + "..."


def test_same_texts_have_the_same_id() -> None:
    assert ids_of_texts(list("abca")) == [0, 1, 2, 0]
