"""On a device that computes on its own time, a capture waits for it a fixed number of times, whatever the layers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = 6_000
"""A budget that holds two of the values of 2 KiB."""
JOBS = [
    {"depth": 2},
    {"depth": 12},
    {"depth": 2, "budget": SMALL},
    {"depth": 12, "budget": SMALL},
    {"depth": 2, "sly": True},
]


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    """In a process of its own, since a device is registered for good."""
    job = [sys.executable, "-m", "tests.conformance.accelerator", json.dumps(JOBS)]
    done = subprocess.run(job, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answers: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def test_waits_do_not_grow_with_the_layers(found: list[dict[str, Any]]) -> None:
    shallow, deep, shallow_small, deep_small, _ = found
    assert deep["records"] > 5 * shallow["records"]
    assert shallow["waits"] == deep["waits"] == shallow_small["waits"] == deep_small["waits"]
    assert sum(deep["waits"]) < 10


def test_values_and_statistics_are_those_of_the_cpu(found: list[dict[str, Any]]) -> None:
    for answer in found[:4]:
        assert answer["values_off"] == 0.0 and answer["notes"] == {}
        assert answer["stats_off"] < 1e-6  # of large float32 tensors the CPU's are right to six digits
    assert found[1]["kept"] == found[1]["records"] and found[3]["kept"] <= 2  # the rest was computed again


def test_a_write_without_a_trace_is_found_out(found: list[dict[str, Any]]) -> None:
    notes = found[4]["notes"]
    assert set(notes) == {"0", "0.2", "1", "1.2", ""} and all("written to" in note for note in notes.values())
    assert found[4]["records"] - len(notes) == 6
