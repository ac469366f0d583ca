"""One cell of the capture benchmark, one tool on one model, in a process of its own: ``python -m ... JOB.json``.

In: a JSON file {"part": "memory" or "time", "model", "tool", "rounds", "threads", "device"}. Out: the same file with
what was measured, or with "error". Every number is a comparison with the plain forward of the same process: time as a
ratio to the forward just before, memory as what the peak is over that of a forward.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .accelerator_waits import waits_of
from .capture_memory import with_peak
from .capture_models import CASES, Case
from .capture_tools import TOOLS, Tool

WARM_FORWARDS = 3
FORWARDS_BETWEEN = 20
"""Plain forwards that are timed between the looks."""


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds until the result is computed, and the result, which the caller lets go outside the measured time."""
    wait()
    start = time.perf_counter()
    result = run()
    wait()
    return time.perf_counter() - start, result


def wait() -> None:
    """Until an accelerator that is in use has done what it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def made(case: Case, device: str) -> tuple[nn.Module, Tensor]:
    """Model and input of a case, on the device."""
    model, x = case.make()
    return model.to(device), x.to(device)


def measure(case: Case, tool: Tool, rounds: int, device: str) -> dict[str, Any]:
    """Time of the first capture of the model and of later ones, and what was captured."""
    model, x = made(case, device)
    warm_up(tool, device)
    run = tool.prepare(model, x, case.budget)

    def plain() -> Any:
        return model(x)

    before = statistics.median(timed(plain)[0] for _ in range(WARM_FORWARDS))
    gc.collect()
    first, result = timed(run)
    tensors = tool.count(result)
    tool.close(result)
    del result
    times = [round_of(plain, run, tool) for _ in range(min(rounds, tool.most_rounds))]
    ratios = sorted(captured / forward for forward, captured in times)
    return {
        "tensors": tensors,
        "first_ratio": first / before,
        "rounds": len(times),
        "plain_s": statistics.median(forward for forward, _ in times),
        "captured_s": statistics.median(captured for _, captured in times),
        "ratio": statistics.median(ratios),
        "ratio_quarter": ratios[len(ratios) // 4],
        "ratio_three_quarters": ratios[-1 - len(ratios) // 4],
    }


def warm_up(tool: Tool, device: str) -> None:
    """One capture of another model: what a tool imports and prepares once is no part of what a capture costs."""
    case = CASES["tiny"]
    run = tool.prepare(*made(case, device), case.budget)
    tool.close(run())


def round_of(plain: Callable[[], Any], run: Callable[[], Any], tool: Tool) -> tuple[float, float]:
    """Seconds of one forward and of the capture right after it."""
    gc.collect()
    forward, output = timed(plain)
    del output
    captured, result = timed(run)
    tool.close(result)
    return forward, captured


def look(model: nn.Module, x: Tensor, budget: str) -> dict[str, Any]:
    """What asking for the values that were not kept takes, one after the other as a layer slider does, in forwards.

    Before that, what reading the records takes: the statistics of what is held are taken then. The mean look and the
    worst. The first look into a block runs it and brings the others of the block along, so most take
    next to nothing; a median would say so.
    """
    from memviz_widgets.cache import ActivationCache

    cache = ActivationCache.capture(model, x, budget=budget)
    read, records = timed(lambda: cache.records)
    missing = [record for record in records if record.on_demand and cache.value_or_none(record) is None]
    looks, forwards = [], [timed(lambda: model(x))[0]]
    for place, record in enumerate(missing):
        if place % max(1, len(missing) // FORWARDS_BETWEEN) == 0:
            forward, output = timed(lambda: model(x))
            del output
            forwards.append(forward)
        looks.append(timed(partial(cache.value, record))[0])
    kept = sum(record.kept for record in records)
    cache.close()
    forward = statistics.median(forwards)
    found = {"looks": len(looks), "kept": kept, "records_ratio": read / forward}
    if not looks:
        return found
    return found | {"look_ratio": statistics.fmean(looks) / forward, "look_worst": max(looks) / forward}


def extra_peak(case: Case, tool: Tool, device: str) -> int | None:
    """Bytes by which the peak of the first capture is over that of a forward; None where the system does not tell.

    Of the first one only: what stays with the process afterwards is memory that a later capture takes again without a
    sign of it.
    """
    model, x = made(case, device)
    warm_up(tool, device)
    run = tool.prepare(model, x, case.budget)
    forwards = [with_peak(lambda: model(x), device)[1] for _ in range(WARM_FORWARDS)]
    gc.collect()
    result, captured = with_peak(run, device)
    tool.close(result)
    known = [peak for peak in forwards if peak is not None]
    return captured - max(known) if captured is not None and known else None


def main(path: Path) -> None:
    job = json.loads(path.read_text())
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    case, tool, device = CASES[job["model"]], TOOLS[job["tool"]], job["device"]
    try:
        with torch.no_grad():
            if job["part"] == "memory":
                job["extra_bytes"] = extra_peak(case, tool, device)
            else:
                job |= measure(case, tool, job["rounds"], device)
                if job["tool"] == "ours":
                    job |= look(*made(case, device), case.budget)
                    job |= waits_of(*made(case, device), case.budget)
    except Exception as error:  # a peer may raise anything, and the other cells still count
        job["error"] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
    path.write_text(json.dumps(job))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
