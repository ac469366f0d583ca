"""One rank of a launch whose captures test_ranks_store.py opens: ``python -m tests.conformance.ranks_store_run``.

In: rank, number of ranks, a folder. Out: stores in that folder, and what the rank itself found, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.cache.launch import launch_token
from memviz_widgets.errors import GatherError

BATCHES = {2: (3, 2), 4: (2, 1, 2, 1)}
"""Samples of each rank, by the number of ranks."""
TIMEOUT = timedelta(seconds=60)


class Transformer(nn.Module):
    """Embedding, attention, feed-forward, a head over the vocabulary."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(30, 16)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True) for _ in range(2))
        self.head = nn.Linear(16, 30)

    def forward(self, ids: Tensor) -> Tensor:
        x: Tensor = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Watching(nn.Module):
    """A CNN over pictures, and an LSTM over their rows."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.lstm = nn.LSTM(12, 6, batch_first=True)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.features(pictures)  # (B, C, 3, 3)
        return self.lstm(maps.permute(0, 2, 1, 3).flatten(2))[0]


def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    """The networks and the samples of all ranks; the same in every process."""
    torch.manual_seed(0)
    count = {sum(sizes) for sizes in BATCHES.values()}
    made: list[tuple[str, nn.Module, Tensor]] = [
        ("transformer", Transformer(), torch.randint(0, 30, (max(count), 5))),
        ("cnn", Watching(), torch.randn(max(count), 1, 8, 8)),
    ]
    return {name: (network.eval(), x) for name, network, x in made}


def run(rank: int, world_size: int, folder: Path) -> dict[str, Any]:
    """All captures of this rank. The last rank is killed before it saves the last one."""
    store = f"file://{folder / 'store'}"
    distributed.init_process_group("gloo", store, TIMEOUT, world_size, rank)
    found: dict[str, Any] = {"launch": launch_token()}
    for name, (network, x) in networks().items():
        model = DistributedDataParallel(network)
        mine = x[: sum(BATCHES[world_size])].split(BATCHES[world_size])[rank]
        hooks = len(network._forward_hooks)
        ActivationCache.capture(model, mine).save(folder / f"{name}.zarr")
        gathered = ActivationCache.capture(model, mine, gather=True)
        found[name] = {
            "whole": gathered.summary,
            "shape": tuple(gathered[""].shape),
            "hooks": len(network._forward_hooks) - hooks,
        }
        gathered.save(folder / f"{name} gathered.zarr")
        with mv.record(model, gather=True) as loop:
            for _ in range(2):
                model(mine)
        found[name]["steps"] = loop.get("", step=1).shape[0]
    network, x = networks()["cnn"]
    mine = x[: sum(BATCHES[world_size])].split(BATCHES[world_size])[rank]
    model = DistributedDataParallel(network)
    tight = ActivationCache.capture(model, mine, gather=True, budget=6000)
    found["tight"] = tight.held_bytes
    last = ActivationCache.capture(model, mine)
    if rank == world_size - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    last.save(folder / "lost.zarr")
    try:
        ActivationCache.capture(network, mine, gather=True)
    except GatherError as error:
        found["gather"] = str(error)
        found["own"] = len(error.cache.records)
    return found


if __name__ == "__main__":
    number, count, place = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    result = run(number, count, place)
    (place / f"{number}.json").write_text(json.dumps(result))
    os._exit(0)  # the group has lost a rank: it cannot be ended in order
