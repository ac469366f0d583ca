"""One rank that records its part of a data set: ``python -m tests.conformance.ranks_dataset_run``.

In: rank, number of ranks, a folder. Out: its part of the data set there, and how many forwards it ran. A file ``kill``
in the folder holds a rank and a number of forwards, after which that rank kills itself.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from memviz_widgets import record_dataset
from memviz_widgets.errors import DatasetError

from ..cache.dataset_runs import SAMPLE_BYTES, network, pictures

TIMEOUT = timedelta(seconds=60)
BATCH = 8
OPTIONS: dict[str, Any] = {"layers": ["0", "3", "4"], "chunk": 24 * SAMPLE_BYTES, "progress": False, "top_k": 7}


def loader() -> DataLoader[Any]:
    """The whole data set, the same on every rank."""
    return DataLoader(TensorDataset(pictures()), batch_size=BATCH)


class Asking(nn.Module):
    """A forward that waits for the other ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.layer(x)
        distributed.all_reduce(made)
        return made


def refuses(model: nn.Module, text: str, to: Path) -> None:
    """Refused before it could wait for a rank that does not come."""
    with pytest.raises(DatasetError, match=re.escape(text)):
        record_dataset(model, loader(), to=to, progress=False)


def main() -> None:
    rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    run = len(list(folder.glob(f"{rank}.*.forwards")))
    distributed.init_process_group("gloo", f"file://{folder / f'store {run}'}", TIMEOUT, count, rank)
    inner = network().eval()
    model = DistributedDataParallel(inner)
    kill = tuple(map(int, (folder / "kill").read_text().split())) if (folder / "kill").exists() else ()
    note = folder / f"{rank}.{run}.forwards"
    note.write_text("0")

    def count_forward(*_: object) -> None:
        seen = int(note.read_text())
        if kill == (rank, seen):
            os.kill(os.getpid(), signal.SIGKILL)
        note.write_text(str(seen + 1))

    inner.register_forward_pre_hook(count_forward)
    if not kill:
        refuses(Asking(), "cannot run this model alone: the forward asks the other ranks", folder / "asking.zarr")
        normed = DistributedDataParallel(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))).eval()
        if rank == 0:  # it would send its buffers to the other ranks
            alone = record_dataset(normed, loader(), to=folder / "normed.zarr", progress=False, rank=0, world_size=1)
            assert alone.names() == ("0", "1", "")
        distributed.barrier()
    record_dataset(model, loader(), to=folder / "acts.zarr", **OPTIONS)
    if not kill:
        distributed.barrier()
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
