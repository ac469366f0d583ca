"""Every model of the zoo: its saved capture, opened in a process without transformers, shows what the cache showed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memviz_widgets import ActivationCache

from .digests import digests
from .runs import Runs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[subprocess.Popen[str]]:
    """One process for all models, which imports the package once and never a model."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.zoo.digests"], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    yield process
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    assert process.wait(60) == 0


def test_saved_capture_shows_the_same(runs: Runs, tmp_path: Path, elsewhere: subprocess.Popen[str]) -> None:
    expected = digests(runs.cache)
    assert elsewhere.stdin is not None and elsewhere.stdout is not None
    for path in (tmp_path / "run.zarr", tmp_path / "run.safetensors"):
        runs.cache.save(path)
        print(path, file=elsewhere.stdin, flush=True)
        found = json.loads(elsewhere.stdout.readline() or "{}")
        assert {name: text for name, text in found.items() if text != expected.get(name)} == {}
        assert found.keys() == expected.keys()
        opened = ActivationCache.open(path)
        assert opened.records == runs.cache.records
        opened.close()
