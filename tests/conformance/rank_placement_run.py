"""One rank of a launch that test_ranks_placement.py looks at: ``python -m tests.conformance.rank_placement_run``.

In: rank, number of ranks, a folder. Out: a file per case and rank, with its records, values and what it found.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.errors import NotKeptError, WhatIfError
from memviz_widgets.records import TensorRecord

from .rank_networks import SAMPLES, pictures, sequence_parallel, tensor_parallel, transformer

TIMEOUT = timedelta(seconds=60)
Case = tuple[nn.Module, Tensor]


def cases(rank: int, count: int) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Every way to run the networks on as many ranks; each made when it is its turn."""
    mesh = init_device_mesh("cpu", (count,), mesh_dim_names=("ranks",))
    square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp")) if count == 4 else None
    for name, make in (("transformer", transformer), ("cnn", pictures)):

        def own(parts: int, part: int, make: Callable[[], Case] = make) -> Case:
            network, x = make()
            return network, x.chunk(parts)[part]

        def ddp(own: Any = own) -> Case:
            network, x = own(count, rank)
            return DistributedDataParallel(network), x

        def fsdp(own: Any = own) -> Case:
            network, x = own(count, rank)
            for part in network.children():
                if next(part.parameters(recurse=True), None) is not None and not isinstance(part, nn.ModuleList):
                    fully_shard(part, mesh=mesh)
            fully_shard(network, mesh=mesh)
            return network, x

        yield f"{name} ddp", ddp
        yield f"{name} fsdp", fsdp
        if count == 2:
            yield f"{name} tp", lambda own=own: (tensor_parallel((got := own(1, 0))[0], mesh), got[1])
        if square is not None:

            def both(own: Any = own) -> Case:
                network, x = own(2, rank // 2)
                tensor_parallel(network, square["tp"])
                fully_shard(network, mesh=square["dp"])
                return network, x

            def hybrid(own: Any = own) -> Case:
                network, x = own(count, rank)
                fully_shard(network, mesh=square)
                return network, x

            yield f"{name} tp+dp", both
            yield f"{name} hsdp", hybrid
    if count == 2:
        yield "transformer sequence", lambda: (sequence_parallel((got := transformer())[0], mesh), got[1])
        yield "transformer dtensor", lambda: (tensor_parallel((got := transformer())[0], mesh, local=False), got[1])


def state(model: nn.Module) -> dict[str, Any]:
    """What a capture must give back: classes, flags, hooks, identity of weights, local values."""
    found: dict[str, Any] = {}
    for path, module in model.named_modules():
        found[path] = (type(module), module.training, len(module._forward_hooks), len(module._forward_pre_hooks))
    for name, value in model.named_parameters():
        local = value.to_local() if hasattr(value, "to_local") else value
        found[name] = (id(value), value.requires_grad, local.detach().clone())
    for name, value in model.named_buffers():
        found[name] = value.clone()
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


def look_alone(cache: ActivationCache) -> str:
    """What comes of looking at a value that is not held, while no other rank does."""
    record = next(each for each in cache.records if each.dtype and not each.kept and each.kind == "output")
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
        if hasattr(module, "reshard"):
            module.reshard()
    before, to_local = state(model), _to_local()
    cache = ActivationCache.capture(model, x)
    with torch.no_grad():
        quiet = ActivationCache.capture(model, x)
    found: dict[str, Any] = {
        "records": [(record, value_of(quiet, record)) for record in quiet.records if record.available],
        "absent": {record.label: record.note for record in quiet.records if not record.available},
        "same placements": [each.placement for each in cache.records] == [each.placement for each in quiet.records],
        "given back": same(before, state(model)) and _to_local() is to_local,
    }
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


def _to_local() -> object:
    return torch.distributed.tensor.DTensor.__dict__["to_local"]


def main() -> None:
    rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    distributed.init_process_group("gloo", f"file://{folder / 'store'}", TIMEOUT, count, rank)
    assert SAMPLES % count == 0
    for name, case in cases(rank, count):
        run(name, case(), rank, folder)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
