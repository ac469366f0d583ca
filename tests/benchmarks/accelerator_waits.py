"""How often a process waits for its accelerator, told by the profiler.

In: something to run. Out: the number of calls by which the CPU waited for the device.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

WAITING = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
"""Calls that return when the device is done. A copy to pageable memory shows as cudaMemcpyAsync and a wait."""


def waits_while(run: Callable[[], Any]) -> tuple[Any, Counter[str]]:
    """Run it; returns the result and the waits by the name of the call."""
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        result = run()
    events = profiled.events() or ()
    names = Counter(str(event.name) for event in events if str(event.name) in WAITING)
    # The profiler itself waits once, at its end.
    names["cudaDeviceSynchronize"] -= 1
    return result, +names


def waits_of(model: nn.Module, x: Tensor, budget: str) -> dict[str, Any]:
    """Waits of a forward, of a capture, and of the first reading of its records; nothing for a model on the CPU."""
    from memviz_widgets.cache import ActivationCache

    if x.device.type != "cuda":
        return {}
    model(x)
    plain = waits_while(lambda: model(x))[1].total()
    cache, waits = waits_while(lambda: ActivationCache.capture(model, x, budget=budget))
    reading = waits_while(lambda: cache.records)[1].total()
    cache.close()
    return {"plain_waits": plain, "waits": waits.total(), "records_waits": reading}
