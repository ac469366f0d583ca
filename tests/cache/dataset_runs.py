"""A small network and data for tests of recorded data sets; run as a program it records them, to be killed.

In: a folder; as a program besides: after how many batches to kill itself. Out: the recorded data set.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from memviz_widgets import ActivationDataset, record_dataset

SAMPLES, BATCH = 203, 16
LAYERS = ["0", "3", "4"]
SAMPLE_BYTES = 4 * (144 + 36 + 36)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    parts = (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    return nn.Sequential(*parts)


def pictures() -> Tensor:
    return torch.randn(SAMPLES, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def batches(size: int = BATCH) -> list[list[Tensor]]:
    return [[part, torch.arange(len(part))] for part in pictures().split(size)]


def record(to: Path, loader: Any = None, **options: Any) -> ActivationDataset:
    """Shards of 48 samples, three batches each."""
    settings: dict[str, Any] = {"layers": LAYERS, "chunk": 48 * SAMPLE_BYTES, "progress": False, **options}
    model = settings.pop("model", None) or network()
    return record_dataset(model, batches() if loader is None else loader, to=to, **settings)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def killing(after: int) -> Iterator[list[Tensor]]:
    """The batches, until this process kills itself."""
    for number, batch in enumerate(batches()):
        if number == after:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch


if __name__ == "__main__":
    record(Path(sys.argv[1]), killing(int(sys.argv[2])))
