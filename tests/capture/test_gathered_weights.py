"""Memories that are units of fully_shard: their weights are read as the call had them.

A hook that takes the weights away stands for fully_shard; tests/conformance/test_ranks_placement.py runs the real one.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets.capture.gathered_weights import GatheredWeights
from memviz_widgets.capture.memory import RecoveredValue
from memviz_widgets.capture.memory_adapters import adapters_of
from memviz_widgets.capture.trace import Trace, survey, walk


class Taken(nn.Module):
    """Takes its weights away when a call ends, and brings them back when one begins."""

    def _get_fsdp_state(self) -> None:
        """Its presence marks a unit of fully_shard."""

    def begin(self) -> Any:
        """The weights, which are there only during a call from now on."""
        held = [(part, dict(part._parameters)) for _, part in walk(self)]

        def bring(*_: object) -> None:
            for part, own in held:
                self.put(part, own)

        def take(*_: object) -> None:
            for part, own in held:
                self.put(part, dict.fromkeys(own, GONE))

        self.register_forward_pre_hook(bring)
        self.register_forward_hook(take)
        return held

    def put(self, part: nn.Module, weights: dict[str, Any]) -> None:
        for name, weight in weights.items():
            setattr(part, name, weight)


GONE = nn.Parameter(torch.zeros(0))


class UnitLSTM(Taken, nn.LSTM):
    pass


class UnitCell(Taken, nn.GRUCell):
    pass


def read(weights: GatheredWeights, module: nn.Module, *args: Any) -> dict[str, Any]:
    """The values of one call of a module, by kind."""
    result = module(*args)
    return {found.kind: found for found in weights.adapters[id(module)].read(module, args, {}, result)}


def gathered(module: nn.Module) -> GatheredWeights:
    return GatheredWeights(walk(module), adapters_of(survey(module, Trace()), Trace()))


@pytest.fixture(params=["lstm", "cell"])
def unit(request: pytest.FixtureRequest) -> tuple[Any, nn.Module, tuple[Tensor, ...]]:
    """A unit, the same module with its weights, and an input."""
    torch.manual_seed(0)
    made = UnitLSTM(3, 4, batch_first=True) if request.param == "lstm" else UnitCell(3, 4)
    whole = copy.deepcopy(made)
    return made, whole, (torch.randn(2, 5, 3) if request.param == "lstm" else torch.randn(2, 3),)


def test_values_are_those_of_the_weights_of_the_call(unit: tuple[Any, nn.Module, tuple[Tensor, ...]]) -> None:
    module, whole, args = unit
    module.begin()
    weights, plain = gathered(module), gathered(whole)
    with weights.attached(), plain.attached(), torch.no_grad():
        found, expected = read(weights, module, *args), read(plain, whole, *args)
    assert found.keys() == expected.keys() and len(found) > 2
    recovered = [kind for kind in found if isinstance(found[kind].value, RecoveredValue)]
    for kind in recovered:
        torch.testing.assert_close(found[kind].value.load(), expected[kind].value.load(), rtol=0, atol=0)
    assert recovered and all(value is GONE for value in module._parameters.values()), "as it was"


def test_without_the_copy_there_would_be_nothing_to_read(unit: tuple[Any, nn.Module, tuple[Tensor, ...]]) -> None:
    module, _, args = unit
    module.begin()
    found = read(gathered(module), module, *args)  # not attached
    value = next(each.value for each in found.values() if isinstance(each.value, RecoveredValue))
    with pytest.raises((RuntimeError, IndexError)):
        value.load()


def test_the_same_weights_are_copied_once_and_others_anew(unit: tuple[Any, nn.Module, tuple[Tensor, ...]]) -> None:
    module, _, args = unit
    held = module.begin()
    weights = gathered(module)
    with weights.attached(), torch.no_grad():
        module(*args)
        (first,) = [dict(each) for each in weights._whole.values()]
        module(*args)
        assert all(weights._whole[id(module)][key] is first[key] for key in first)
        held[0][1]["weight_hh_l0" if "weight_hh_l0" in held[0][1] else "weight_hh"].data.add_(1)
        module(*args)
        changed = [key for key in first if weights._whole[id(module)][key] is not first[key]]
    assert len(changed) == 1 and not weights._whole


def test_nothing_stays_on_the_model(unit: tuple[Any, nn.Module, tuple[Tensor, ...]]) -> None:
    module, _, args = unit
    module.begin()
    before, flat = dict(module._forward_hooks), module.__dict__.get("_flat_weights")
    weights = gathered(module)
    with weights.attached():
        assert len(module._forward_hooks) == len(before) + 1
        module(*args)
        with weights.whole(module):
            assert all(value is not GONE for value in module._parameters.values())
    assert list(module._forward_hooks) == list(before) and all(value is GONE for value in module._parameters.values())
    assert module.__dict__.get("_flat_weights") is flat


def test_modules_that_are_no_unit_are_left_alone() -> None:
    module = nn.LSTM(3, 4)
    weights = gathered(module)
    with weights.attached():
        assert not module._forward_hooks
    assert weights.adapters == weights._memories
