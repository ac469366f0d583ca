"""What a capture costs: time over the plain forward, memory at the peak, tensors; ours, hand hooks and three peers.

Run: ``python -m tests.benchmarks.capture``; ``--help`` says how to run a part of it. Every tool runs on every model in
processes of its own, plain forward and capture in turn, so that a busy machine slows both. Prints a table per model and
leaves with status 1 when ours misses a target.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from .capture_memory import HOLD_NOTHING_FREED
from .capture_models import CASES, TARGET_LOOK
from .capture_tools import TOOLS

ROOT = Path(__file__).resolve().parents[2]
CHILD_LIMIT_S = 1800
MIB = 2**20
HEAD = f"{'':20}{'x plain':>8}{'middle half':>16}{'first':>8}{'extra peak':>13}{'tensors':>9}"
LEGEND = """\
x plain: median of capture / the forward just before it. first, extra peak: the first capture of this model in a
process; extra is resident memory at its peak over that of a forward, with a malloc that holds nothing freed.
Hooks that keep and nnsight store tensors that the model may overwrite later. Ours takes statistics of what it did not
keep in the capture, of what it kept when the records are first read (a line of its own, in forwards)."""
MOST_WAITS = 12
"""Waits of a capture beyond those of its forward, whatever the number of layers."""
NOISE = 0.1
"""How far from 1 two equal forwards may come out before the table says so."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    cells = []
    threads = f"{options.threads} thread{'s' if options.threads > 1 else ''}"
    print(f"torch {torch.__version__}, {threads}, {named(options.device)}\n{LEGEND}")
    for model in options.models:
        print(f"\n{CASES[model].title}\n{HEAD}", flush=True)
        of_model = []
        for tool in options.tools:
            job = {"rounds": options.rounds, "threads": options.threads, "device": options.device}
            of_model.append(measured({"model": model, "tool": tool, **job}))
            print(row(of_model[-1]), flush=True)
        print(footer(of_model))
        cells += of_model
    checks = [check for cell in cells if cell["tool"] == "ours" for check in targets(cell)]
    if options.json:
        verdicts = [{"target": text, "held": held} for text, held in checks]
        options.json.write_text(json.dumps({"torch": torch.__version__, "cells": cells, "targets": verdicts}, indent=1))
    print()
    for text, held in checks:
        print(f"{'held  ' if held else 'MISSED'} {text}")
    return 0 if all(held for _, held in checks) else 1


def named(device: str) -> str:
    """What computes, in words."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else platform.machine()


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line: names as lists, checked."""

    def names_of(known: Sequence[str]) -> Any:
        def names(text: str) -> list[str]:
            unknown = [name for name in text.split(",") if name not in known]
            if unknown:
                raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {','.join(known)}")
            return text.split(",")

        return names

    def positive(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
        return int(text)

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.capture", description="What a capture costs.")
    models = [name for name in CASES if name != "tiny"]
    parser.add_argument("--models", type=names_of(list(CASES)), default=models, help=",".join(CASES))
    parser.add_argument("--tools", type=names_of(list(TOOLS)), default=list(TOOLS), help=",".join(TOOLS))
    parser.add_argument("--rounds", type=positive, default=15, help="forward and capture in turn (default 15)")
    parser.add_argument("--threads", type=positive, default=1, help="of torch (default 1, as in the test run)")
    parser.add_argument("--device", default="cpu", help='"cuda" for a GPU (default cpu); targets are those of a CPU')
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all numbers there too")
    return parser.parse_args(arguments)


def measured(job: dict[str, Any]) -> dict[str, Any]:
    """The cell, its memory and its time measured by a child process each; {"error"} in it when one failed."""
    with_memory = child({**job, "part": "memory"}, HOLD_NOTHING_FREED)
    return with_memory if "error" in with_memory else child({**with_memory, "part": "time"}, {})


def child(job: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    """The job with what a child process measured, or with its error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job))
        words = [sys.executable, "-m", "tests.benchmarks.capture_cell", str(path)]
        env = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
        try:
            done = subprocess.run(
                words, cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=CHILD_LIMIT_S
            )
        except subprocess.TimeoutExpired:
            return job | {"error": f"not done after {CHILD_LIMIT_S} s"}
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return job | {"error": f"exit status {done.returncode}: {last}"}
        found: dict[str, Any] = json.loads(path.read_text())
        return found


def row(cell: dict[str, Any]) -> str:
    """One line of the table."""
    title = TOOLS[cell["tool"]].title
    if "error" in cell:
        return f"{title:20}{cell['error'][:98]}"
    extra = "-" if cell["extra_bytes"] is None else f"{cell['extra_bytes'] / MIB:.1f} MiB"
    half = f"{cell['ratio_quarter']:.2f}-{cell['ratio_three_quarters']:.2f}"
    tensors = cell["tensors"] or "-"
    return f"{title:20}{cell['ratio']:8.2f}{half:>16}{cell['first_ratio']:8.2f}{extra:>13}{tensors:>9}"


def footer(cells: list[dict[str, Any]]) -> str:
    """What the numbers above are multiples of, and what looking at a value that was not kept takes."""
    forwards = [cell["plain_s"] * 1000 for cell in cells if "plain_s" in cell]
    lines = [f"plain forward: {min(forwards):.1f}-{max(forwards):.1f} ms"] if forwards else []
    lines += [
        f"ours: {cell['captured_s'] * 1000:.1f} ms; waits for the device: {cell['waits']} of a capture, "
        f"{cell['plain_waits']} of a forward, {cell['records_waits']} when the records are first read"
        for cell in cells
        if "waits" in cell
    ]
    if any(cell["tool"] == "plain" and abs(cell.get("ratio", 1) - 1) > NOISE for cell in cells):
        lines.append("This machine is too busy: two equal forwards differ. Run it again.")
    for cell in cells:
        if "records_ratio" in cell:
            lines.append(f"statistics of what ours kept, when its records are first read: {cell['records_ratio']:.3f}")
        if cell.get("looks"):
            lines.append(
                f"ours kept {cell['kept']} of {cell['tensors']} tensors; looking at each of the others in turn takes"
                f" {cell['look_ratio']:.3f} of a forward (mean of {cell['looks']}; worst {cell['look_worst']:.3f})"
            )
        elif "kept" in cell:
            lines.append(f"ours kept {cell['kept']} of {cell['tensors']} tensors")
    return "\n".join(lines)


def targets(cell: dict[str, Any]) -> list[tuple[str, bool]]:
    """What was asked of our capture of this model, in words, and whether it holds."""
    case = CASES[cell["model"]]
    if "error" in cell:
        return [(f"{case.title}: {cell['error']}", False)]
    if "waits" in cell:
        more = cell["waits"] - cell["plain_waits"]
        return [(f"{case.title}: capture waits {more} <= {MOST_WAITS} times for the device", more <= MOST_WAITS)]
    if case.target is None:
        return []
    checks = [(f"{case.title}: capture {cell['ratio']:.2f} <= {case.target:g} x plain", cell["ratio"] <= case.target)]
    if cell["looks"]:
        text = f"{case.title}: looking at a layer that is not kept {cell['look_ratio']:.3f} <= {TARGET_LOOK:g} x plain"
        checks.append((text, cell["look_ratio"] <= TARGET_LOOK))
    return checks


if __name__ == "__main__":
    sys.exit(main())
