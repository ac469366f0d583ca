"""Launches of several ranks on this machine, for tests: a module that takes rank, number of ranks and a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LAUNCH_S = 240
"""Seconds until a launch counts as hanging."""
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}


def launched(module: str, count: int, folder: Path) -> tuple[list[int], str]:
    """Run ``python -m module rank count folder`` for every rank; their exit codes, and what they wrote as errors."""
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", module, str(rank), str(count), str(folder)],
            cwd=ROOT,
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        errors = [process.communicate(timeout=LAUNCH_S)[1] for process in ranks]
    finally:
        for process in ranks:
            process.kill()  # does nothing to one that has ended
    return [process.returncode for process in ranks], "\n".join(errors)
