"""The only rank of an NCCL group captures one network in the ways that ranks share it: prints how far each is off.

In: MASTER_ADDR and MASTER_PORT of the environment. Out: JSON, "way gathered" -> largest difference to a plain capture.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

from memviz_widgets import ActivationCache


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8)).cuda()


def sharded() -> nn.Module:
    model = network()
    for path in ("0", "2"):
        fully_shard(model.get_submodule(path))
    fully_shard(model)
    return model


def parallel() -> nn.Module:
    mesh = init_device_mesh("cuda", (1,), mesh_dim_names=("tp",))
    return parallelize_module(network(), mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})


WAYS: dict[str, Callable[[], nn.Module]] = {
    "ddp": lambda: DistributedDataParallel(network()),
    "fsdp": sharded,
    "tp": parallel,
}


def whole(cache: ActivationCache, path: str) -> Tensor:
    value = next(
        cache.value(record) for record in cache.records if record.path.removeprefix("module").strip(".") == path
    )
    return (value if isinstance(value, Tensor) else value.load()).cpu()


def main() -> None:
    distributed.init_process_group("nccl", rank=0, world_size=1, device_id=torch.device("cuda", 0))
    x = torch.randn(4, 16, device="cuda")
    answer = {}
    with torch.no_grad():
        alone = ActivationCache.capture(network(), x)
        for way, build in WAYS.items():
            for gather in (False, True):
                cache = ActivationCache.capture(build(), x, gather=gather)
                off = [float((whole(cache, path) - whole(alone, path)).abs().max()) for path in ("0", "1", "2", "")]
                answer[f"{way} {gather}"] = max(off)
    print(json.dumps(answer))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
