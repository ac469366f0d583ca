"""One rank of a launch that test_ranks_placement.py looks at: ``python -m tests.conformance.rank_placement_run``.

In: rank, number of ranks, a folder. Out: a file per case and rank, with its records, values and what it found.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.errors import NotKeptError, WhatIfError
from memviz_widgets.records import TensorRecord

from .rank_networks import (
    SAMPLES,
    fused,
    fused_tensor_parallel,
    pictures,
    sequence_parallel,
    tensor_parallel,
    transformer,
)

TIMEOUT = timedelta(seconds=60)
Case = tuple[nn.Module, Tensor]


KINDS = {2: ("ddp", "fsdp", "tp"), 4: ("ddp", "fsdp", "tp+dp", "hsdp")}


def cases(rank: int, count: int) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Every way to run the networks on as many ranks; each made when it is its turn."""
    line = init_device_mesh("cpu", (count,), mesh_dim_names=("ranks",))
    square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp")) if count == 4 else None
    for name, make in (("transformer", transformer), ("cnn", pictures)):
        for kind in KINDS[count]:
            yield f"{name} {kind}", partial(spread, make, kind, rank, line, square)
    if count == 2:
        yield "transformer sequence", partial(spread, transformer, "sequence", rank, line)
        yield "transformer dtensor", partial(spread, transformer, "dtensor", rank, line)
        yield "fused tp", lambda: (fused_tensor_parallel(fused()[0], line), fused()[1])


def spread(make: Callable[[], Any], kind: str, rank: int, line: DeviceMesh, square: DeviceMesh | None = None) -> Case:
    """A network over the ranks, and the samples that this one has."""
    network, x = make()
    samples = x.chunk(line.size())[rank]
    if kind == "ddp":
        return DistributedDataParallel(network), samples
    if kind == "fsdp":
        for part in network.children():
            if not isinstance(part, nn.ModuleList) and list(part.parameters()):
                fully_shard(part, mesh=line)
        return fully_shard(network, mesh=line), samples
    if kind == "hsdp":
        return fully_shard(network, mesh=square), samples
    if square is not None:
        tensor_parallel(network, square["tp"])
        fully_shard(network, mesh=square["dp"])
        return network, x.chunk(2)[rank // 2]
    if kind == "sequence":
        return sequence_parallel(network, line), x
    return tensor_parallel(network, line, local=kind == "tp"), x


def state(model: nn.Module) -> dict[str, Any]:
    """What a capture must give back: classes, flags, hooks, identity of weights, local values."""
    found: dict[str, Any] = {}
    for path, module in model.named_modules():
        found[path] = (type(module), module.training, len(module._forward_hooks), len(module._forward_pre_hooks))
    for name, value in model.named_parameters():
        local = value.to_local() if hasattr(value, "to_local") else value
        found[name] = (id(value), value.requires_grad, local.detach().clone())
    found.update((name, buffer.clone()) for name, buffer in model.named_buffers())
    return found


def same(before: Any, after: Any) -> bool:
    """Whether two states are equal, also in their tensors."""
    if isinstance(before, Tensor):
        return torch.equal(before, after)
    if isinstance(before, dict):
        return list(before) == list(after) and all(same(before[name], after[name]) for name in before)
    if isinstance(before, tuple):
        return len(before) == len(after) and all(map(same, before, after))
    return bool(before == after)


def value_of(cache: ActivationCache, record: TensorRecord) -> Tensor:
    """The values that this rank has."""
    value = cache.value(record)
    return value if isinstance(value, Tensor) else value.load()


def look_alone(cache: ActivationCache, *, last: bool = False) -> str:
    """What comes of looking at a value that is not held, while no other rank does."""
    absent = [each for each in cache.records if each.dtype and not each.kept and each.kind == "output"]
    record = absent[-1 if last else 0]
    try:
        cache.value(record)
    except NotKeptError as error:
        return f"{type(error).__name__}: {error}"
    return "there"


def what_if_alone(cache: ActivationCache, model: nn.Module) -> str:
    try:
        twin = cache.what_if({cache.names()[1]: mv.edit.zero()})
    except WhatIfError as error:
        return f"WhatIfError: {error}"
    return f"{len(twin.records)} records"


def run(name: str, case: Case, rank: int, folder: Path) -> None:
    """Capture one case, with and without gradients; then look at it on rank 0 alone."""
    model, x = case
    with torch.no_grad():
        model(x)  # lazy parts of FSDP and DDP are set up in the first forward
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    before, to_local = state(model), _to_local()
    cache = ActivationCache.capture(model, x)
    with torch.no_grad():
        quiet = ActivationCache.capture(model, x)
    found: dict[str, Any] = {
        "records": [(record, value_of(quiet, record)) for record in quiet.records if record.available],
        "residuals": [record.residual for record in quiet.records if record.memory],
        "store": str(folder / f"{name}.zarr"),
        "absent": {record.label: record.note for record in quiet.records if not record.available},
        "same placements": [each.placement for each in cache.records] == [each.placement for each in quiet.records],
        "given back": same(before, state(model)) and _to_local() is to_local,
    }
    quiet.save(folder / f"{name}.zarr")
    dropped = ActivationCache.capture(model, x, budget=x.nbytes + 300)
    estimate = ActivationCache.estimate(model, x)
    found["estimate"] = [record.placement for record in estimate.records] == [each.placement for each in cache.records]
    if rank == 0:
        found["alone"] = look_alone(dropped)
        found["what if"] = what_if_alone(cache, model)
        found["remarks"] = dropped.remarks
    model.train()
    loss = model(x)
    (loss.to_local() if hasattr(loss, "to_local") else loss).sum().backward()
    found["trains"] = all(value.grad is not None for value in model.parameters())
    torch.save(found, folder / f"{name} {rank}.pt")


class Asking(nn.Module):
    """Starts a collective by hand, which nothing about the module tells."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        distributed.all_reduce(y)
        return y


def others(rank: int, count: int, folder: Path) -> None:
    """A model with a collective of its own; DDP in training, whose BatchNorm buffers are sent; a pipeline."""
    found: dict[str, Any] = {}
    asking, x = nn.Sequential(nn.Linear(4, 4), Asking()), torch.randn(2, 4)
    cache = ActivationCache.capture(asking, x, budget=x.nbytes)
    network, images = pictures()
    trained = ActivationCache.capture(DistributedDataParallel(network.train()), images, budget=images.nbytes + 300)
    if rank == 0:
        found["asking"], found["trained"] = look_alone(cache, last=True), look_alone(trained, last=True)
        found["asking what if"] = what_if_alone(cache, asking)
    distributed.barrier()
    found["pipeline"] = pipeline(rank, count)
    torch.save(found, folder / f"others {rank}.pt")


def pipeline(rank: int, count: int) -> list[tuple[str, int, Any, Any]]:
    """What a stage of GPipe recorded: path, step, values, placement."""
    from torch.distributed.pipelining import PipelineStage, ScheduleGPipe  # slow to import

    torch.manual_seed(2)
    layers, x = nn.ModuleDict({f"layer{number}": nn.Linear(4, 4) for number in range(count)}), torch.randn(8, 4)
    part = nn.Sequential(OrderedDict([(f"layer{rank}", layers[f"layer{rank}"])]))
    schedule = ScheduleGPipe(PipelineStage(part, rank, count, torch.device("cpu")), n_microbatches=4)
    with torch.no_grad():
        schedule.step(*([x] if rank == 0 else []))  # the first call finds out the shapes with a forward of its own
        with mv.record(part) as cache:
            schedule.step(*([x] if rank == 0 else []))
    return [(record.path, record.step, cache.value(record), record.placement) for record in cache.records]


def _to_local() -> object:
    return torch.distributed.tensor.DTensor.__dict__["to_local"]


def main() -> None:
    rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    distributed.init_process_group("gloo", f"file://{folder / 'store'}", TIMEOUT, count, rank)
    assert SAMPLES % count == 0
    for name, case in cases(rank, count):
        run(name, case(), rank, folder)
    others(rank, count, folder)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
