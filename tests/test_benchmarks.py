"""The capture benchmark runs from one end to the other; what it measures is not looked at.

In: its smallest model. Out: the printed table and the JSON file.
"""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path

import pytest
import torch

from .benchmarks import capture, capture_memory


def test_a_table_with_a_row_per_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cells.json"
    words = ["--models", "tiny", "--tools", "plain,ours,clone", "--rounds", "1", "--threads", "1", "--json", str(path)]
    assert capture.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if re.match(r"(plain forward again|ours|hooks that clone) +\d+\.\d\d", line)]
    assert len(rows) == 3
    assert rows[2].split()[-1] == "25", "8 blocks of 2 layers, themselves, and the model"
    looked = r"ours kept \d+ of 25 tensors; looking at each of the others in turn takes"
    assert any(re.match(looked, line) for line in lines)
    assert [cell["tool"] for cell in json.loads(path.read_text())["cells"]] == ["plain", "ours", "clone"]


def test_a_tool_that_fails_is_a_row_with_its_error() -> None:
    cell = {"model": "tiny", "tool": "captum", "error": "ModuleNotFoundError: No module named 'captum'"}
    assert capture.row(cell) == "captum, leaves      ModuleNotFoundError: No module named 'captum'"


def test_ours_that_fails_misses_its_target() -> None:
    assert capture.targets({"model": "lstm", "tool": "ours", "error": "E: no"}) == [
        ("LSTM 2 x 512, 500 steps: E: no", False)
    ]


def test_a_missed_target_is_named() -> None:
    cell = {"model": "bert", "tool": "ours", "ratio": 1.25, "looks": 20, "look_ratio": 0.04}
    assert [held for _, held in capture.targets(cell)] == [False, True]
    assert capture.targets(cell)[0][0] == "BERT-base, 128 tokens: capture 1.25 <= 1.2 x plain"


def test_a_busy_machine_is_said() -> None:
    control = {"tool": "plain", "tensors": 0, "plain_s": 0.1}
    assert capture.footer([control | {"ratio": 0.95}]) == "plain forward: 100.0-100.0 ms"
    assert "too busy" in capture.footer([control | {"ratio": 1.2}])


def test_a_name_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        capture.main(["--models", "vgg"])
    assert "no vgg; there are resnet50,gpt2,bert,lstm,tiny" in capsys.readouterr().err


def test_the_peak_counts_what_was_freed_again() -> None:
    def use(nbytes: int) -> float:
        # Pages from the system: torch would take what earlier tests left free in the heap, which is resident already.
        pages = torch.frombuffer(mmap.mmap(-1, nbytes), dtype=torch.uint8)
        return float(pages.fill_(1)[0])  # a torch call lets the sampling thread run

    if capture_memory.resident() is None:
        pytest.skip("this system has no /proc: the benchmark shows no memory there")
    for measure in (capture_memory.with_peak, capture_memory.sampled):
        small, large = measure(lambda: use(1))[1], measure(lambda: use(64 << 20))[1]
        assert small is not None and large is not None
        assert 60 << 20 <= large - small <= 72 << 20
