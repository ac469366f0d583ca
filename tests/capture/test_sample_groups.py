"""Which ranks have the same samples follows from the meshes of the weights; where these contradict, nothing is guessed.

One process stands for one of several; tests/conformance/test_ranks_lockstep.py starts them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets.capture import Asked, CollectiveError, UnknownGroupError, sample_group, weights_as_kept
from memviz_widgets.capture.placement import asks_in_training
from memviz_widgets.capture.sample_groups import _group
from memviz_widgets.capture.trace import walk


class Mesh:
    """A DeviceMesh, as far as it is looked at."""

    def __init__(self, ranks: list[Any]) -> None:
        self.mesh = torch.tensor(ranks)
        self.mesh_dim_names = None

    def get_group(self, axis: int) -> str:
        return f"axis {axis} of {self.mesh.tolist()}"


class DTensor:
    """A weight, as far as it is looked at."""

    def __init__(self, ranks: list[Any]) -> None:
        self.device_mesh = Mesh(ranks)
        self.data = self


def weight(name: str, ranks: list[Any], *, sharded: bool = False) -> tuple[str, Tensor, bool]:
    return name, DTensor(ranks), sharded  # type: ignore[return-value]


SQUARE = [[0, 1], [2, 3]]


def test_every_rank_has_samples_of_its_own_under_fully_shard() -> None:
    for ranks, samples in (([0, 1, 2, 3], [{0, 1, 2, 3}]), (SQUARE, [{2, 3}, {0, 2}])):
        found = _group(2, {frozenset(each) for each in samples}, [weight("a", ranks, sharded=True)])
        assert (found.ranks, found.lines, found.first) == ((2,), (), True)


def test_ranks_of_a_tensor_parallel_mesh_have_the_same_samples() -> None:
    plain = ("norm", nn.Parameter(torch.ones(2)), False)
    found = _group(3, set(), [plain, weight("a", [2, 3])])
    assert (found.ranks, found.first) == ((2, 3), False)
    assert [(line.ranks, line.group) for line in found.lines] == [((2, 3), "axis 0 of [2, 3]")]
    both = _group(3, {frozenset((1, 3))}, [weight("a", SQUARE, sharded=True), weight("b", [1, 3], sharded=True)])
    assert [(line.ranks, line.group) for line in both.lines] == [((2, 3), "axis 1 of [[0, 1], [2, 3]]")]
    assert both.ranks == (2, 3)


def test_the_largest_mesh_counts_and_the_others_are_parts_of_it() -> None:
    found = _group(3, set(), [weight("a", [2, 3]), weight("b", SQUARE)])
    assert found.ranks == (0, 1, 2, 3) and [line.ranks for line in found.lines] == [(1, 3), (2, 3)]
    assert not found.first and _group(0, set(), [weight("b", SQUARE)]).first


@pytest.mark.parametrize(
    ("samples", "weights"),
    [
        ([], [weight("a", [2, 3]), weight("b", [1, 3])]),
        ([{2, 3}], [weight("a", [2, 3], sharded=True), weight("b", [2, 3])]),
        ([{1, 2, 3}], [weight("a", [1, 2, 3], sharded=True), weight("b", [2, 3])]),
    ],
)
def test_contradictions_are_refused(samples: list[set[int]], weights: list[tuple[str, Tensor, bool]]) -> None:
    """Weights over ranks that overlap; one over ranks to which fully_shard gives samples of their own."""
    with pytest.raises(UnknownGroupError, match=r"its weight 'b' lies over the ranks [0-9, ]+, and other weights say"):
        _group(3, {frozenset(each) for each in samples}, weights)


def test_weights_on_other_ranks_are_refused() -> None:
    with pytest.raises(UnknownGroupError, match="its weight 'a' lies on other ranks than this one"):
        _group(5, set(), [weight("a", [0, 1])])


def test_a_process_that_is_alone_has_no_group() -> None:
    assert sample_group(nn.Linear(2, 2)) is None


def test_plain_weights_are_those_of_the_model() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[0].bias = model[1].bias  # shared: named once
    expected = [*model.named_parameters(), *model.named_buffers()]
    assert [(name, id(value)) for name, value in weights_as_kept(model)] == [
        (name, id(value)) for name, value in expected
    ]


def test_only_layers_in_training_mix_samples() -> None:
    model = nn.Sequential(nn.SyncBatchNorm(2), nn.Dropout())
    assert asks_in_training(walk(model)) == "SyncBatchNorm asks the other ranks in training"
    model[0].eval()
    assert asks_in_training(walk(model)) == ""


def called_from(asked: Asked, *modules: str) -> None:
    """Begin a collective in a function of the last module, which one of the module before calls, and so on."""
    inner: Callable[[], None] = partial(asked.meet, "allreduce")
    for name in reversed(modules):
        namespace: dict[str, Any] = {"__name__": name, "inner": inner}
        exec("def outer():\n    inner()", namespace)
        inner = namespace["outer"]
    inner()


C10D, FSDP, TENSOR = (
    "torch.distributed.distributed_c10d",
    "torch.distributed.fsdp.hooks",
    "torch.distributed.tensor.api",
)


def test_collectives_are_told_by_who_begins_them() -> None:
    """Code of fully_shard or DTensor between the model and the collective."""
    asked = Asked()
    for modules in (("net", FSDP, C10D), ("net", "torch.nn", TENSOR, "torch._ops"), (TENSOR, "memviz_widgets.modes")):
        called_from(asked, *modules)
    assert asked.count == 3
    experimental = "torch.distributed.tensor.experimental.attention"
    for modules in (("net", C10D), (FSDP, "net", C10D), ("net", experimental, TENSOR), ("net", "torch.nn.sync", C10D)):
        with pytest.raises(CollectiveError, match=r"asks the other ranks by itself \(allreduce\), and nothing says"):
            called_from(asked, *modules)
    assert asked.count == 3
