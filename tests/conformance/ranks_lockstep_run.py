"""One rank that records data sets with a model whose weights lie on all ranks: a launch of test_ranks_lockstep.py.

In: rank, number of ranks, a folder. Out: a data set per case there, and per rank and case a JSON file with what the
rank found. A file ``kill`` in the folder holds a rank and a number of forwards, after which that rank kills itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Partial
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.utils.data import DataLoader, TensorDataset

from memviz_widgets import record_dataset
from memviz_widgets.cache import dataset_recording

from .rank_networks import pictures, tensor_parallel, transformer
from .rank_placement_run import same, spread, state

TIMEOUT = timedelta(seconds=20)
SAMPLES, BATCH = 27, 4
"""Seven batches, the last of three samples: no two ranks and no two groups have as many."""
OPTIONS: dict[str, Any] = {"top_k": 5, "progress": False}
CASES = {
    2: (
        *("transformer fsdp", "transformer tp", "transformer sequence", "transformer dtensor"),
        *("cnn fsdp", "cnn tp"),
    ),
    4: (
        "transformer hsdp",
        "transformer tp+dp",
        "transformer beside",
        "cnn fsdp",
        "cnn hsdp",
        "cnn apart",
        "cnn tp+dp",
    ),
}


def samples_of(name: str) -> Tensor:
    """All samples, the same in every process."""
    generator = torch.Generator().manual_seed(3)
    if name == "transformer":
        return torch.randint(0, 20, (SAMPLES, 6), generator=generator)
    return torch.randn(SAMPLES, 1, 8, 8, generator=generator)


def loader_of(name: str) -> DataLoader[Any]:
    return DataLoader(TensorDataset(samples_of(name)), batch_size=BATCH)


def network_of(name: str) -> nn.Module:
    network, _ = transformer() if name == "transformer" else pictures()
    return network


class Rank:
    """This process, and what it found."""

    def __init__(self, rank: int, count: int, folder: Path) -> None:
        self.rank, self.count, self.folder = rank, count, folder
        self.line = init_device_mesh("cpu", (count,), mesh_dim_names=("ranks",))
        self.square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp")) if count == 4 else None

    def model(self, case: str) -> nn.Module:
        name, kind = case.split()
        make = transformer if name == "transformer" else pictures
        if kind in ("beside", "apart"):  # two groups of ranks that ask each other for nothing
            assert self.square is not None
            network = network_of(name)
            if kind == "beside":
                return tensor_parallel(network, self.square["tp"])
            fully_shard(network, mesh=self.square["tp"])
            return network
        square = self.square if kind in ("hsdp", "tp+dp") else None
        return spread(make, kind, self.rank, self.line, square)[0]

    def record(self, case: str, model: nn.Module, to: str, **options: Any) -> dict[str, Any]:
        """Record, and tell how it went."""
        ran: list[int] = []
        before, error = state(model), None
        options = {"loader": loader_of(case.split(maxsplit=1)[0]), **OPTIONS, **options}
        watch = model.register_forward_pre_hook(lambda *_: ran.append(1))
        try:
            record_dataset(model, to=self.folder / f"{to}.zarr", **options)
        except (Exception, KeyboardInterrupt) as raised:
            error = f"{type(raised).__name__}: {raised}"
        finally:
            watch.remove()
        return {"forwards": len(ran), "error": error, "given back": same(before, state(model))}

    def tell(self, name: str, found: Any) -> None:
        (self.folder / f"{name} {self.rank}.json").write_text(json.dumps(found))


def every_case(here: Rank) -> None:
    """Each way to spread the networks; the second run of a case finds all of it there."""
    for case in CASES[here.count]:
        model = here.model(case)
        found = here.record(case, model, case)
        again = here.record(case, model, case)
        here.tell(case, {**found, "again": again["forwards"], "error again": again["error"]})


class Failing(Sequence[Tensor]):
    """Batches, one of which cannot be loaded."""

    def __init__(self, name: str, bad: int) -> None:
        self._batches, self._bad = samples_of(name).split(BATCH), bad

    def __len__(self) -> int:
        return len(self._batches)

    @overload
    def __getitem__(self, number: int) -> Tensor: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, number: int | slice) -> Tensor | Sequence[Tensor]:
        if number == self._bad:
            raise ValueError("this file is damaged")
        return self._batches[number]


class Asking(nn.Module):
    """Asks the other ranks itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layer(x.flatten(1)[:, :8])
        distributed.all_reduce(made)
        return made


class Odd(nn.Module):
    """What nobody can know: each rank draws another number."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand((), generator=torch.Generator().manual_seed(distributed.get_rank()))


def stops(here: Rank) -> None:
    """One rank stops between forwards; then the same launch again."""
    case = "transformer fsdp"
    model = here.model(case)

    def interrupt(*_: object) -> None:
        counted.append(1)
        if here.rank == 0 and len(counted) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    def call(inner: nn.Module, batch: Any) -> Any:
        counted.append(1)
        if here.rank == 1 and len(counted) == 3:
            raise KeyError("pixels")
        return inner(batch[0])

    bad = Failing("transformer", 5 if here.rank == 1 else -1)
    here.tell("loader", here.record(case, model, "loader", loader=bad))
    here.tell("loader again", here.record(case, model, "loader", loader=Failing("transformer", -1)))
    counted: list[int] = []
    watch = model.register_forward_pre_hook(interrupt)
    here.tell("interrupt", here.record(case, model, "interrupt"))
    watch.remove()
    here.tell("interrupt again", here.record(case, model, "interrupt", rank=here.rank, world_size=here.count))
    counted.clear()
    here.tell("call", here.record(case, model, "call", call=call))


def front_only(bad: int) -> Iterator[Tensor]:
    """Batches without a known number, of which each rank takes every second one."""
    for number, batch in enumerate(samples_of("transformer").split(BATCH)):
        if number == bad:
            raise ValueError("this file is damaged")
        yield batch


def front(here: Rank) -> None:
    """A loader without a length; a rank that has all of its batches when the other one stops."""
    case = "transformer fsdp"
    model = here.model(case)
    bad = len(samples_of("transformer").split(BATCH)) - 1 if here.rank == 0 else -1
    here.tell("front", here.record(case, model, "front", loader=front_only(bad)))
    with torch.no_grad():
        model(samples_of("transformer")[:BATCH])  # it leaves the weights of the outermost module whole
    again = here.record(case, model, "front", loader=front_only(-1))
    here.tell("front again", again)


def refusals(here: Rank) -> None:
    """What does not fit is refused on all ranks, and none waits for another."""
    case, cut = "transformer fsdp", here.model("transformer tp")
    sharded = here.model(case)
    asking, synced = Asking(), nn.Sequential(nn.Conv2d(1, 2, 3), nn.SyncBatchNorm(2))
    for model in (asking, synced):
        fully_shard(model, mesh=here.line)
    here.tell("asking", here.record("cnn fsdp", asking, "asking"))
    here.tell("synced", here.record("cnn fsdp", synced.train(), "synced"))
    here.tell("one", here.record(case, sharded, "one", rank=0, world_size=1))
    here.tell("there", here.record(case, sharded, case, resume=False))
    layers = ["embed", "head"][here.rank]
    here.tell("layers", here.record(case, sharded, "layers", layers=[layers]))
    shifted = samples_of("transformer").roll(here.rank, 0).split(BATCH)
    here.tell("batches", here.record("transformer tp", cut, "batches", loader=shifted))
    odd = nn.Sequential(OrderedDict(cut=cut, odd=Odd()))
    here.tell("odd", here.record("transformer tp", odd, "odd"))
    here.tell("odd left out", here.record("transformer tp", odd, "odd left out", layers=["cut.head"]))


def cuts(here: Rank) -> None:
    """Layers that are cut into parts of other sizes, and sums of which each rank has a part."""
    plan = {
        "odd": ColwiseParallel(),
        "up": ColwiseParallel(),
        "down": RowwiseParallel(output_layouts=Partial(), use_local_output=False),
    }
    model = parallelize_module(Uneven().eval(), here.line, plan)
    rows = uneven_samples().split(BATCH)
    for name, reduce in (("cuts", None), ("means", "mean")):
        here.tell(name, here.record("transformer tp", model, name, loader=rows, reduce=reduce))


class Uneven(nn.Module):
    """Nine channels that two ranks share, and a sum of products that they share."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.odd, self.up, self.down = nn.Linear(8, 9), nn.Linear(8, 12), nn.Linear(12, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.odd(x), self.down(self.up(x).relu())


def uneven_samples() -> Tensor:
    return torch.randn(SAMPLES, 5, 8, generator=torch.Generator().manual_seed(5))


def broken(here: Rank) -> None:
    """One rank stops within a forward, while the other waits in it. Nothing can be asked of the group afterwards."""
    model = here.model("transformer fsdp")
    counted: list[int] = []

    def fail(*_: object) -> None:
        counted.append(1)
        if here.rank == 1 and len(counted) == 3:
            raise ValueError("too hot")

    model.get_submodule("blocks.0").register_forward_pre_hook(fail)
    here.tell("broken", here.record("transformer fsdp", model, "broken"))


def main() -> None:
    rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    run = len(list(folder.glob(f"{rank}.*.run")))
    (folder / f"{rank}.{run}.run").touch()
    distributed.init_process_group("gloo", f"file://{folder / f'store {run}'}", TIMEOUT, count, rank)
    here = Rank(rank, count, folder)
    if (folder / "kill").exists() or run:
        kill(here, run)
        return
    every_case(here)
    if count == 2:
        stops(here)
        front(here)
        refusals(here)
        cuts(here)
        broken(here)
        return
    distributed.barrier()
    distributed.destroy_process_group()


def kill(here: Rank, run: int) -> None:
    """Record with a rank that kills itself; the launch after it goes on."""
    case = f"transformer {'fsdp' if here.count == 2 else 'tp+dp'}"
    path = here.folder / "kill"
    victim, after = map(int, path.read_text().split()) if path.exists() else (-1, 0)
    model = here.model(case)
    counted: list[int] = []

    def die(*_: object) -> None:
        counted.append(1)
        if here.rank == victim and len(counted) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    model.get_submodule("blocks.1").register_forward_pre_hook(die)
    if here.rank != victim:
        dataset_recording.COMMIT_S = -1.0  # it is time for a commit always, for all when it is for one
    here.tell(f"killed {run}", here.record(case, model, "killed"))


if __name__ == "__main__":
    main()
