"""Attention flow: the layers as a network of pipes, and the most that could flow from a token to each input token.

In: weights (..., N, T, T) of every layer from the first to the last. Out: one number per input token.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from .numbers import PIECE_CELLS
from .rollout import Heads, at_least_one, mixing_steps, one_row

_GRID = 2.0**40
"""Flow capacities are whole multiples of 1 / this, so that float64 adds and subtracts them exactly."""


def attention_flow(layers: Iterable[Tensor], query: int, *, residual: float = 0.5, heads: Heads = "mean") -> Tensor:
    """Attention flow: the most that could flow from one token after the last layer to each input token.

    Abnar & Zuidema 2020 (arXiv 2005.00928), sec. 3: the maximum flow through the graph of all tokens after all layers,
    whose capacities are the ``A_l`` of :func:`rollout`; each input token is the only sink of a flow of its own. Takes
    far longer than a rollout: a second for 6 layers of 64 tokens. See ``LIMITS["attention_flow"]``.

    Args:
        layers: (..., N, T, T) each, from the first layer to the last.
        query: token after the last layer, 0..T-1; a negative one counts from the end.
        residual: as in :func:`rollout`.
        heads: as in :func:`rollout`.

    Returns:
        (..., T), 0..1, to about 1e-9. The parts need not sum to 1: each is the flow to one token alone.

    Raises:
        WeightsError: as in :func:`rollout`, and for a query that is not there.
    """
    steps, dtypes = [], []
    for step, layer_dtype in mixing_steps(enumerate(layers), residual, heads):
        steps.append(step)
        dtypes.append(layer_dtype)
    supply = one_row(at_least_one(steps[-1] if steps else None), query)  # (..., 1, T)
    flows = torch.empty_like(supply)
    for item in itertools.product(*map(range, supply.shape[:-2])):
        flows[item] = _flows([step[item] for step in steps[:-1]], supply[item])
    return flows.squeeze(-2).to(functools.reduce(torch.promote_types, dtypes, torch.float32))


def _flows(capacities: Sequence[Tensor], supply: Tensor) -> Tensor:
    """Largest flow to each input token, (T,). Capacities (T, T) of layers 1 .. L-1; supply (1, T) enters above them."""
    if not capacities:
        return supply[0]
    tokens = supply.shape[-1]
    at_once = max(1, PIECE_CELLS // (len(capacities) * tokens**2))
    groups = torch.arange(tokens, device=supply.device).split(at_once)
    return torch.cat([_FlowNetwork(capacities, supply, sinks).flow() for sinks in groups])


class _FlowNetwork:
    """The largest flow to each of S input tokens, S networks side by side.

    Push-relabel (Goldberg & Tarjan 1988), in sweeps from the top level to the bottom: the layers let all nodes of a
    level push at once. Before each sweep the labels are made exact distances, so that what can no longer reach the sink
    stays where it is; :meth:`flow` says why there is a last sweep. Level 0 is the sink alone, level m the tokens after
    layer m; arc m goes from level m + 1 to m.

    Attributes:
        excess: per level, what has come to a node and not left it, (S, nodes).
        down: per arc, the capacity that is left, (S, upper nodes, lower nodes).
        up: per arc, the flow that could be taken back, same shape.
    """

    def __init__(self, capacities: Sequence[Tensor], supply: Tensor, sinks: Tensor) -> None:
        to_sink = capacities[0][:, sinks].T.unsqueeze(-1)  # (S, T, 1)
        between = [each.expand(len(sinks), -1, -1) for each in capacities[1:]]  # (S, T, T)
        self.down = [_on_grid(each) for each in (to_sink, *between)]
        self.up = [torch.zeros_like(each) for each in self.down]
        empty = [torch.zeros_like(each[:, 0]) for each in self.down]
        self.excess = [*empty, _on_grid(supply.expand(len(sinks), -1))]

    def flow(self) -> Tensor:
        """(S,).

        The loop ends after n (n^2 + 1) sweeps at most, n being the nodes of one network; in practice after n or so.

        1. Amounts are multiples of 1 / _GRID and no more than about 1, so float64 is exact: a node that has pushed has
           either nothing left, or no capacity left to a node that is nearer to the sink by one.
        2. A push opens only the arc back, from nearer to farther: no distance falls. What is finite is below n, so
           distances rise n^2 times at most. The node of 1. with something left is farther after the sweep.
        3. So in a sweep after which no distance is larger, all that could be pushed went nearer by one, and what is
           farthest is nearer by one at least. There are n such sweeps at most between two with a rise.
        """
        distance = self._distances()
        while any(bool((self._spare(level, distance) > 0).any()) for level in range(1, len(self.excess))):
            for level in reversed(range(1, len(self.excess))):
                self._push_down(level, distance)
                self._push_up(level, distance)
            distance = self._distances()
        return self.excess[0][:, 0]

    def _distances(self) -> list[Tensor]:
        """Per level, the fewest arcs with capacity left from each node to the sink, inf where there is no way.

        Round k finds all distances up to k, and a shortest way has fewer arcs than there are nodes: the rounds end
        (Bellman 1958).
        """
        distance = [torch.full_like(each, torch.inf if level else 0.0) for level, each in enumerate(self.excess)]
        before: list[Tensor] = []
        while not before or not all(map(torch.equal, before, distance)):
            before = list(distance)
            for arc, left in enumerate(self.down):
                over = torch.where(left > 0, distance[arc].unsqueeze(-2), torch.inf).amin(-1) + 1
                distance[arc + 1] = distance[arc + 1].minimum(over)
            for arc in reversed(range(1, len(self.up))):
                over = torch.where(self.up[arc] > 0, distance[arc + 1].unsqueeze(-1), torch.inf).amin(-2) + 1
                distance[arc] = distance[arc].minimum(over)
        return distance

    def _spare(self, level: int, distance: list[Tensor]) -> Tensor:
        """What a node can push on: its excess, if there is a way from it to the sink."""
        return self.excess[level].masked_fill(distance[level].isinf(), 0.0)

    def _push_down(self, level: int, distance: list[Tensor]) -> None:
        nearer = distance[level].unsqueeze(-1) == distance[level - 1].unsqueeze(-2) + 1
        self._move(level - 1, _spread(self._spare(level, distance), self.down[level - 1] * nearer))

    def _push_up(self, level: int, distance: list[Tensor]) -> None:
        if level < len(self.up):
            nearer = distance[level].unsqueeze(-2) == distance[level + 1].unsqueeze(-1) + 1
            self._move(level, -_spread(self._spare(level, distance), (self.up[level] * nearer).mT).mT)

    def _move(self, arc: int, amount: Tensor) -> None:
        """Sends (S, upper, lower) down; a negative amount goes up."""
        self.down[arc] -= amount
        self.up[arc] += amount
        self.excess[arc + 1] -= amount.sum(-1)
        self.excess[arc] += amount.sum(-2)


def _on_grid(amounts: Tensor) -> Tensor:
    return (amounts * _GRID).round_().div_(_GRID)


def _spread(spare: Tensor, room: Tensor) -> Tensor:
    """Fills ``room``, (S, nodes, ways), way by way until ``spare``, (S, nodes), is used up."""
    used = room.cumsum(-1).sub_(room)
    return used.neg_().add_(spare.unsqueeze(-1)).clamp_(min=0).minimum(room)
