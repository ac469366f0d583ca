"""Maps of attention through several layers: the rollout to a layer, and the flow to it from one query.

In: a record of attention weights, and the cache for the layers before it. Out: the map of one sample, or a refusal.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ..analysis.attention import attention_flow, rollout
from ..cache.ranks_values import not_recorded
from ..capture.lazy import LazyValue
from ..errors import PageRefusedError
from ..records import TensorRecord
from .attention_maps import mean_map
from .attention_plan import rollout_chains
from .catalog import Recorded

RESIDUAL = 0.5
"""What a layer of a rollout, or of a flow, leaves as it is; Abnar & Zuidema's own."""

ROLLOUT_CELLS = 2**23
"""Most T * T * layers of a rollout: some seconds, in which the kernel does nothing else."""

FLOW_SECONDS = 2.0
"""Longest flow, by `flow_seconds`: 6 layers of 64 tokens or 12 of 32, say. The kernel does nothing else meanwhile."""


class AttentionCache(Recorded, Protocol):
    """What is needed of a cache."""

    def value(self, record: TensorRecord) -> Tensor | LazyValue:
        """The value of a record, or a `MemvizError`."""
        ...


class JoinedLayers:
    """Rollouts and flows of one cache. Holds the last rollout: the numbers of its cells are asked for one by one.

    For the same reason the flows to the last record and sample, by query; and its layers, heads averaged: as the query
    moves, they are not read again.
    """

    def __init__(self) -> None:
        self._rollout: tuple[tuple[int, int], Tensor] | None = None
        self._layers: tuple[tuple[int, int], list[Tensor]] | None = None
        self._flows: dict[int, Tensor] = {}

    def rollout(self, record: TensorRecord, sample: int, cache: AttentionCache) -> Tensor:
        """Attention rollout of one sample to this layer, (T, T): heads averaged, residual 0.5.

        Raises:
            PageRefusedError: when there is none, or it is too much.
            WeightsError: for what are no attention weights.
        """
        place = (record.index, sample)
        if self._rollout is None or self._rollout[0] != place:
            layers = _chain(record, "rollout", cache)
            _check_rollout(record, len(layers))
            maps = (_mean_map(each, sample, cache) for each in layers)
            self._rollout = place, rollout(maps, residual=RESIDUAL)
        return self._rollout[1]

    def flow(self, record: TensorRecord, sample: int, query: int, cache: AttentionCache) -> Tensor:
        """Attention flow of one sample to this layer from one query, (T,): heads averaged, residual 0.5.

        Raises:
            PageRefusedError: when there is none, or it takes too long.
            WeightsError: for what are no attention weights.
        """
        layers = self._averaged(record, sample, cache)
        if query not in self._flows:
            self._flows[query] = attention_flow(layers, query, residual=RESIDUAL)
        return self._flows[query]

    def _averaged(self, record: TensorRecord, sample: int, cache: AttentionCache) -> list[Tensor]:
        """The layers of a flow, (1, T, T) each."""
        place = (record.index, sample)
        if self._layers is None or self._layers[0] != place:
            layers = _chain(record, "flow", cache)
            _check_flow(record, len(layers))
            self._layers = place, [_mean_map(each, sample, cache) for each in layers]
            self._flows.clear()
        return self._layers[1]


def flow_seconds(layers: int, tokens: int) -> float:
    """About how long the flow from one query takes on one core, measured on weights that take longest.

    Reading is per weight. Flow is found in sweeps over all layers, T networks of T * T pipes side by side; how many
    sweeps depends on the weights, and grows with the layers or (few layers, many tokens) with the tokens. Through one
    layer nothing flows but its row, and two layers need one sweep.
    """
    sweeps = max(layers, tokens / 10) if layers > 2 else 0.005
    return 2e-7 * (layers * tokens**2 + (layers - 1) * tokens**3 * sweeps)


def no_joined(record: TensorRecord, kind: str) -> str:
    """Why a record has no rollout and no flow."""
    return (
        f"record {record.label!r} has no {kind}: the attention layers up to it are not all self-attention over the "
        "same tokens."
    )


def _chain(record: TensorRecord, kind: str, cache: AttentionCache) -> list[TensorRecord]:
    """The layers up to this record, or a refusal."""
    chain = rollout_chains(cache.records).get(record.index)
    if chain is None:
        raise PageRefusedError(no_joined(record, kind))
    indices, count = chain
    return [cache.records[index] for index in indices[:count]]


def _check_rollout(record: TensorRecord, layers: int) -> None:
    tokens = record.shape[2]
    if tokens * tokens * layers > ROLLOUT_CELLS:
        raise PageRefusedError(
            f"the rollout to {record.label!r} is of {layers} layers over {tokens:,} x {tokens:,} tokens: more than is "
            f"computed while you wait ({ROLLOUT_CELLS:,} numbers). Use mv.analysis.attention.rollout(weights) with the "
            "cache.attention(path) of each layer."
        )


def _check_flow(record: TensorRecord, layers: int) -> None:
    tokens = record.shape[2]
    seconds = flow_seconds(layers, tokens)
    if seconds > FLOW_SECONDS:
        raise PageRefusedError(
            f"the attention flow to {record.label!r} is through {layers} layers over {tokens:,} x {tokens:,} tokens: "
            f"about {seconds:,.0f} s for one query, more than is computed while you wait ({FLOW_SECONDS:.0f} s). Use "
            "mv.analysis.attention.attention_flow(weights, query) with the cache.attention(path) of each layer."
        )


def _mean_map(record: TensorRecord, sample: int, cache: AttentionCache) -> Tensor:
    values = cache.value(record)
    if not_recorded(values, (sample, -1, -1, -1)):
        raise PageRefusedError(
            f"the attention of {record.label!r} in sample {sample} was not recorded on all ranks: {record.note}."
        )
    return mean_map(values.detach() if isinstance(values, Tensor) else values, sample)
