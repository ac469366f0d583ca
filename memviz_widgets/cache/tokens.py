"""Token texts in the forms in which users have them, as one form: the texts by sequence, sample and position.

In: what was given as ``tokens=``. Out: list per sequence of a list per sample of texts; or InputError. Nothing is
evaluated: a tokenizer is asked for the text of ids, anything else is taken as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError

TokenTexts = list[list[list[str]]]
"""Texts by sequence, sample, position."""

EXPECTED = (
    "expected a list of texts, a list of them per sample, (tokenizer, ids), or a mapping of names to those for several "
    'sequences: {"encoder": ..., "decoder": ...}'
)


def token_texts(tokens: object) -> TokenTexts:
    """Texts by sequence, sample and position; a sequence that was given once, for all samples, has one sample.

    Args:
        tokens: None: no sequence. A list of texts, or a list of those per sample, all equally long. ``(tokenizer,
            ids)``: a tokenizer of transformers (``convert_ids_to_tokens``), of tokenizers (``id_to_token``), or any
            with ``decode``; ids of shape (T,) or (B, T). A mapping of names to these, in order: the source of a
            translation before its target. Entries that are not text become text.

    Raises:
        InputError: for anything else.
    """
    if tokens is None:
        return []
    if isinstance(tokens, Mapping):
        if not tokens:
            raise InputError(f"tokens is an empty mapping; {EXPECTED}.")
        return [_sequence(given, f"tokens[{name!r}]") for name, given in tokens.items()]
    return [_sequence(tokens, "tokens")]


def _sequence(given: Any, label: str) -> list[list[str]]:
    """The texts of one sequence per sample."""
    if isinstance(given, tuple) and len(given) == 2 and not _is_rows(given) and not isinstance(given[0], (str, bytes)):
        to_text = _reader(given[0])
        if to_text is not None:
            return [[_text(to_text(number)) for number in row] for row in _ids(given[1], label)]
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if not isinstance(given, (list, tuple)) or not given:
        raise InputError(f"{label} is {_described(given)}; {EXPECTED}. {_advice(given)}")
    rows = list(given) if _is_rows(given) else [given]
    for place, row in enumerate(rows):
        if any(isinstance(entry, (list, tuple)) for entry in row):
            raise InputError(f"{label} has lists among texts or within a sample; {EXPECTED}.")
        if len(row) != len(rows[0]):
            raise InputError(
                f"{label} has {len(row)} texts for sample {place} and {len(rows[0])} for sample 0; "
                "give every sample as many, padding included."
            )
    return [[_text(entry) for entry in row] for row in rows]


def _is_rows(given: Sequence[Any]) -> bool:
    """Whether every entry is a list: texts per sample."""
    return all(isinstance(row, (list, tuple)) for row in given)


def _reader(tokenizer: Any) -> Callable[[int], Any] | None:
    """What gives the text of one id; None for what is no tokenizer."""
    many = getattr(tokenizer, "convert_ids_to_tokens", None)
    if callable(many):
        return lambda number: many([number])[0]
    one: Callable[[int], Any] | None = getattr(tokenizer, "id_to_token", None)
    if callable(one):
        return one
    decode = getattr(tokenizer, "decode", None)
    return (lambda number: decode([number])) if callable(decode) else None


def _ids(given: Any, label: str) -> list[list[int]]:
    """Ids per sample as ints."""
    expected = f"{label} is (tokenizer, ids); expected ids as integers of shape (T,) or (B, T)"
    try:
        ids = given.detach().cpu() if isinstance(given, Tensor) else torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{expected}, got {_described(given)} ({error}). Give enc['input_ids'].") from error
    whole = not (ids.is_floating_point() or ids.is_complex() or ids.dtype is torch.bool)
    if not whole or ids.dim() not in (1, 2) or not ids.numel():
        raise InputError(f"{expected}, got {ids.dtype} of shape {tuple(ids.shape)}. Give enc['input_ids'].")
    rows: list[list[int]] = ids.reshape(-1, ids.shape[-1]).tolist()
    return rows


def _text(entry: object) -> str:
    """An entry as text that can be sent: bytes are read as UTF-8, halves of a surrogate pair are put together."""
    if isinstance(entry, str):
        text = entry
    elif isinstance(entry, bytes):
        text = entry.decode("utf-8", "replace")
    else:
        text = "" if entry is None else str(entry)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _described(given: object) -> str:
    if isinstance(given, (Tensor, np.ndarray)):
        return f"{type(given).__name__} of shape {tuple(given.shape)}"
    return f"{given!r:.80} ({type(given).__name__})"


def _advice(given: object) -> str:
    if isinstance(given, str):
        return "A text must be split into its tokens first: give (tokenizer, ids)."
    if isinstance(given, Tensor):
        return "For ids, give (tokenizer, ids)."
    return "Leave tokens out to see indices."
