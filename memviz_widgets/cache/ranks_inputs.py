"""Tokens and pictures of the samples of several ranks, in the order of the samples.

In: the part of each rank, and records that were put together. Out: tokens and picture of the whole, or a remark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..capture import Trace
from ..records import TensorRecord
from .opening import Opened
from .ranks_samples import sample_groups


def joined_tokens(parts: Mapping[int, Opened], records: Sequence[TensorRecord], trace: Trace) -> Any:
    """Texts by sequence, sample and position of all samples; None when no rank has any.

    Ranks that saw the same samples, as those of a tensor-parallel group, count once. Samples of a rank that is missing
    have no texts.
    """
    first = next(iter(parts.values()))
    if all(part.index.tokens == first.index.tokens for part in parts.values()):
        return first.tokens
    given = [None if rank is None else parts[rank].index.tokens for rank in _sample_ranks(records, parts)]
    known = [tokens for tokens in given if tokens]
    lengths = {tuple(len(rows[0]) for rows in tokens) for tokens in known}
    if len(lengths) != 1 or any(tokens == [] for tokens in given):
        trace.remark("the tokens of the ranks are of different lengths or number, so they are not shown")
        return None
    counts = {tuple(map(len, tokens)) for tokens in known}
    # As for the values: samples that nobody recorded have a place where their number is known.
    blank = [[[""] * len(row) for row in rows] for rows in known[0]] if len(counts) == 1 else [[] for _ in known[0]]
    texts = [
        [row for tokens in given for row in (blank if tokens is None else tokens)[place]] for place in range(len(blank))
    ]
    return dict(zip(first.index.token_names, texts, strict=True)) if first.index.token_names else texts[0]


def joined_image(parts: Mapping[int, Opened], records: Sequence[TensorRecord], trace: Trace) -> Any:
    """The pictures of all samples; None when no rank has any, or one lacks them."""
    first = next(iter(parts.values())).image
    if all(_same(first, part.image) for part in parts.values()):
        return first
    images = [None if rank is None else parts[rank].image for rank in _sample_ranks(records, parts)]
    if any(image is None for image in images):
        trace.remark("not every rank's pictures are there, so none is shown")
        return None
    batches = [image for image in images if isinstance(image, Tensor) and image.dim() == 4]
    if len(batches) == len(images) and len({image.shape[1:] for image in batches}) == 1:
        return torch.cat(batches)
    return [picture for image in images for picture in (image if isinstance(image, list) else [image])]


def _sample_ranks(records: Sequence[TensorRecord], parts: Mapping[int, Opened]) -> list[int | None]:
    """A rank of each group that had samples of its own, in the order of the samples; None where all of it is lost.

    Without samples of their own every rank that is there.
    """
    for record in records:
        placement = record.placement
        if placement is not None and "batch" in placement.placements:
            groups = sample_groups(placement)
            return [next((rank for rank in group if rank in parts), None) for group in groups]
    return list(parts)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return one is other
