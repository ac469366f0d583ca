"""One rank of a launch whose stores test_ranks_joined.py opens: ``python -m tests.conformance.ranks_joined_run``.

In: rank, number of ranks, a folder. Out: a store per way to run a network on the ranks, and one of what was gathered.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import distributed

from memviz_widgets import ActivationCache

from .rank_placement_run import TIMEOUT, cases


def main() -> None:
    rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    distributed.init_process_group("gloo", f"file://{folder / 'store'}", TIMEOUT, count, rank)
    for name, case in cases(rank, count):
        model, x = case()
        with torch.no_grad():
            model(x)  # lazy parts of FSDP and DDP are set up in the first forward
            ActivationCache.capture(model, x).save(folder / f"{name}.zarr")
            ActivationCache.capture(model, x, gather=True).save(folder / f"{name} gathered.zarr")
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
