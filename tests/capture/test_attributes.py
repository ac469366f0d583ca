"""Attributes and what containers in them hold come back, of the modules that changed them and of no others."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache


class Does(nn.Module):
    """Calls a function of itself in its forward."""

    def __init__(self, act: Callable[[Any], object], **attributes: object) -> None:
        super().__init__()
        self.act = act
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        """The same tensor."""
        self.act(self)
        return x


def capture(model: nn.Module) -> tuple[str, ...]:
    return ActivationCache.capture(nn.Sequential(nn.ReLU(), model, nn.ReLU()), torch.ones(1, 2)).remarks


def test_contents_of_nested_containers_come_back() -> None:
    inner: dict[str, Any] = {"a": [1, 2], "b": {3}, "c": deque([4])}
    model: Any = Does(change_all, nested=([inner],), empty=[], ordered=OrderedDict(x=1, y=2))
    parts = [inner["a"], inner["b"], inner["c"], model.empty, model.ordered, inner]
    assert not capture(model)
    assert inner == {"a": [1, 2], "b": {3}, "c": deque([4])} and list(inner) == ["a", "b", "c"]
    assert model.empty == [] and list(model.ordered) == ["x", "y"]
    now = [inner["a"], inner["b"], inner["c"], model.empty, model.ordered, model.nested[0][0]]
    assert all(one is other for one, other in zip(now, parts, strict=True))


def change_all(module: Any) -> None:
    inner = module.nested[0][0]
    inner["a"].append(5)
    inner["b"].add(6)
    inner["c"].appendleft(7)
    inner["a"], inner["d"] = [], 8
    module.nested[0].append(9)
    module.empty.append(10)
    module.ordered.move_to_end("x")


def test_equal_values_that_are_other_objects_are_exchanged_too() -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            raise AssertionError("nobody compares the user's objects")

        __hash__ = None  # type: ignore[assignment]

    first = Equal()
    model: Any = Does(lambda module: setattr(module, "value", Equal()), value=first)
    assert not capture(model) and model.value is first


def test_attributes_that_were_deleted_or_made_and_a_dict_that_was_exchanged() -> None:
    def exchange(module: Any) -> None:
        module.__dict__ = {**module.__dict__, "made": 1}
        del module.there

    model = Does(exchange, there=2)
    assert not capture(model)
    assert model.there == 2 and "made" not in vars(model)


def test_tensors_in_containers_get_their_numbers_back() -> None:
    tensor, deep = torch.zeros(3), torch.zeros(2, 2)

    def write(module: Any) -> None:
        module.held["x"][0].add_(1)
        module.deep[0][0][0][0][0].data.add_(1)

    model = Does(write, held={"x": (tensor,)}, deep=[[[[[deep]]]]])
    assert not capture(model)
    assert not tensor.any() and not deep.any()


def test_module_whose_parameters_are_in_a_mapping_of_another_class_is_restored() -> None:
    class Own(OrderedDict[str, Any]):
        """As libraries put into modules whose weights they move around."""

    model = Does(lambda module: setattr(module, "steps", module.steps + 1), steps=0)
    model.weight = nn.Parameter(torch.ones(1))
    model.__dict__["_parameters"] = Own(model._parameters)
    assert not capture(model)
    assert model.steps == 0 and type(model._parameters) is Own


def test_module_that_got_parts_keeps_them_and_others_are_restored() -> None:
    grows = Does(lambda module: setattr(module, "part", nn.ReLU()))
    counts = Does(lambda module: setattr(module, "steps", module.steps + 1), steps=0)
    capture(nn.Sequential(grows, counts))
    assert isinstance(grows.part, nn.ReLU) and counts.steps == 0


def test_tensor_that_could_not_be_put_back_is_named() -> None:
    class Stuck(Tensor):
        """Refuses to be written to once it was."""

        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(func, "__name__", "") == "copy_":
                raise RuntimeError("stuck")
            return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]

    stuck = torch.zeros(2).as_subclass(Stuck)
    model = Does(lambda module: module.held[0].add_(1), held=[stuck])
    assert capture(model) == ("the tensor '1.held' could not be put back: stuck",)
