"""A device that computes on the CPU and counts how often somebody waits for it, in place of a GPU.

In: tensors and modules. Out: the same on the device "fake". Run as a script it captures models there and prints what it
found as JSON: registering a device is for the whole process.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from memviz_widgets import ActivationCache

WAITING = ("aten._local_scalar_dense", "aten.equal", "aten.nonzero", "aten.is_nonzero", "aten.item")


class FakeTensorOnDevice(Tensor):
    """A tensor of the device, whose numbers are in ``held``."""

    held: Tensor
    waits = 0

    @staticmethod
    def __new__(cls, held: Tensor) -> FakeTensorOnDevice:  # noqa: PYI034 (typing has Self from Python 3.11)
        strides, offset = held.stride(), held.storage_offset()
        device = torch.device("fake:0")
        made = Tensor._make_wrapper_subclass(cls, held.shape, strides, offset, dtype=held.dtype, device=device)
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch calls it with the function first
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        to = kwargs.get("device")
        if to is not None and torch.device(to).type == "fake":
            kwargs["device"] = "cpu"
        args, kwargs = tree_map(lambda each: each.held if isinstance(each, cls) else each, (args, kwargs))
        result = func(*args, **kwargs)
        leaves = to is not None and torch.device(to).type == "cpu"
        FakeTensorOnDevice.waits += leaves or str(func).startswith(WAITING)
        return result if leaves else tree_map(lambda each: cls(each) if type(each) is Tensor else each, result)


def to_device(module: nn.Module) -> nn.Module:
    """The module with parameters and buffers on the device."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(FakeTensorOnDevice(parameter.detach()))
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = FakeTensorOnDevice(buffer)
    return module


class Scale(nn.Module):
    """Times a buffer."""

    by: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("by", torch.linspace(0.5, 1.5, 32))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.by


class Pass(nn.Module):
    """Returns its child's own output, which is met twice; ``sly`` changes it without a trace."""

    def __init__(self, child: nn.Module, *, sly: bool = False) -> None:
        super().__init__()
        self.child, self.sly = child, sly

    def forward(self, x: Tensor) -> Tensor:
        out = self.child(x)
        if self.sly:
            out.held.add_(1.0)
        return out


def deep(depth: int, *, sly: bool = False) -> nn.Module:
    torch.manual_seed(0)
    parts = [nn.Sequential(nn.Linear(32, 32), Scale(), Pass(nn.Tanh(), sly=sly)) for _ in range(depth)]
    return nn.Sequential(*parts).eval()


def numbers(value: Any) -> list[float]:
    flat = value.held if isinstance(value, FakeTensorOnDevice) else value
    return [float(number) for number in flat.flatten()]


def captured(depth: int, *, budget: object = "1 GiB", sly: bool = False) -> dict[str, Any]:
    """Waits of a capture and of the first reading of its records, and how they compare with those of the CPU."""
    x = torch.randn(16, 32, generator=torch.Generator().manual_seed(1))
    there, model = FakeTensorOnDevice(x.clone()), to_device(deep(depth, sly=sly))
    with torch.no_grad():
        plain = ActivationCache.capture(deep(depth), x)
        FakeTensorOnDevice.waits = 0
        cache = ActivationCache.capture(model, there, budget=budget)
        capture = FakeTensorOnDevice.waits
        records = cache.records
        read = FakeTensorOnDevice.waits - capture
        same = [record for record in records if record.stats is not None]
        own = {record.path: record.stats for record in plain.records}
        return {
            "waits": [capture, read],
            "records": len(records),
            "kept": sum(record.kept for record in records),
            "notes": {record.path: record.note for record in records if record.note},
            "stats_off": max(_off(record.stats, own[record.path]) for record in same) if not sly else None,
            "values_off": max(_gap(cache, plain, record.path) for record in same) if not sly else None,
        }


def _off(one: Any, other: Any) -> float:
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("min", "max", "mean", "std", "zeros", "count")]
    return max(abs(a - b) / (abs(b) + 1e-3) for a, b in pairs)


def _gap(cache: ActivationCache, plain: ActivationCache, path: str) -> float:
    return max(abs(a - b) for a, b in zip(numbers(cache[path]), numbers(plain[path]), strict=True))


if __name__ == "__main__":
    _setup_privateuseone_for_python_backend("fake")
    print(json.dumps([captured(**job) for job in json.loads(sys.argv[1])]))
