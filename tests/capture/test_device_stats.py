"""What is computed on an accelerator without waiting for it: the same as on the CPU. Here the CPU plays its part."""

from __future__ import annotations

import math
import sys
from dataclasses import astuple

import pytest
import torch
from torch import Tensor

from memviz_widgets.capture import code_later, device_stats, read_samples, same_bits_later, samples, tensor_stats
from memviz_widgets.capture.device_stats import Summing
from memviz_widgets.capture.fingerprint import fingerprint
from memviz_widgets.records import TensorStats

NORMAL = torch.randn(37, 11, generator=torch.Generator().manual_seed(0))
CASES = {
    "normal": NORMAL,
    "transposed": NORMAL.T,
    "bfloat16": NORMAL.to(torch.bfloat16),
    "float8": NORMAL.to(torch.float8_e4m3fn),
    "integers": torch.arange(10),
    "bool": torch.tensor([True, False, True]),
    "complex": torch.tensor([3 + 4j, 0j]),
    "not finite": torch.tensor([math.nan, 1.0, math.inf, -math.inf, 0.0, 2.0]),
    "all nan": torch.full((3,), math.nan),
    "expanded": NORMAL[:, :1].expand(37, 900),
    "huge": NORMAL.double() * 1e300,
    "tiny after zeros": torch.cat([torch.zeros(100, dtype=torch.float64), NORMAL.double().flatten() * 1e-200]),
    "huge and normal": torch.cat([NORMAL.double().flatten(), NORMAL.double().flatten() * 1e250]),
    "constant": torch.full((300,), 0.1),
    "number": torch.tensor(3.0),
}


@pytest.fixture(autouse=True)
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_stats, "on_host", lambda tensor: False)
    monkeypatch.setattr(device_stats, "BLOCK", 100)
    monkeypatch.setattr(device_stats, "ROW", 16)


def read(*tensors: Tensor, changes: bool = False) -> list[TensorStats]:
    summing = Summing()
    found = [summing.add(each, changes=changes) for each in tensors]
    summing.read()
    return [each.stats for each in found if each is not None and each.stats is not None]


@pytest.mark.parametrize("name", CASES)
def test_sums_become_the_statistics(name: str) -> None:
    values = CASES[name]
    [stats] = read(values)
    expected = tensor_stats(values.double() if values.is_floating_point() else values)
    for own, other in zip(astuple(stats), astuple(expected), strict=True):
        close = other is None or pytest.approx(other, rel=1e-9, abs=1e-12 * (expected.std or 0.0))
        assert own is None if other is None else own == close, (stats, expected)
    exact = ("min", "max", "zeros", "nan", "posinf", "neginf", "count")
    assert all(getattr(stats, each) == getattr(expected, each) for each in exact)


def test_sums_of_several_are_read_together() -> None:
    together = read(*CASES.values())
    assert len(together) == len(CASES)
    assert together == [read(each)[0] for each in CASES.values()]
    assert read() == []


def test_what_is_written_to_later_is_summed_as_it_was() -> None:
    for size in (3, 99, 100, 250):
        values = torch.randn(size)
        summing, before = Summing(), values.clone()
        sums = summing.add(values, changes=True)
        values.fill_(7.0)
        summing.read()
        assert sums is not None and sums.stats == read(before)[0]


def test_sums_that_are_forgotten_are_not_read() -> None:
    summing = Summing()
    sums = summing.add(NORMAL, changes=False)
    summing.clear()
    summing.read()
    assert sums is not None and sums.stats is None


def test_many_small_tensors_are_summed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_stats, "BLOCK", 1 << 16)
    tables: list[tuple[int, ...]] = []
    sums_of = device_stats._sums_of

    def spy(table: Tensor) -> Tensor:
        tables.append(tuple(table.shape))
        return sums_of(table)

    monkeypatch.setattr(device_stats, "_sums_of", spy)
    assert len(read(*[torch.randn(5) for _ in range(1000)])) == 1000
    assert tables == [(1000, 5)]


@pytest.mark.parametrize("failing", [{0}, {1}, {0, 2}])
def test_what_a_full_device_cannot_sum_the_cpu_does(monkeypatch: pytest.MonkeyPatch, failing: set[int]) -> None:
    sums_of, calls = device_stats._sums_of, iter(range(1000))

    def full(table: Tensor) -> Tensor:
        if next(calls) in failing:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return sums_of(table)

    tensors = [torch.randn(size) for size in (30, 50, 40, 350, 20)]
    expected = [read(each)[0] for each in tensors]
    monkeypatch.setattr(device_stats, "_sums_of", full)
    for own, other in zip(read(*tensors, changes=True), expected, strict=True):
        assert astuple(own) == pytest.approx(astuple(other), rel=1e-12)
    assert next(calls) > 4


def test_what_needs_a_wait_is_left_to_the_cpu() -> None:
    assert Summing().add(torch.empty(0), changes=True) is None
    assert Summing().add(torch.eye(3).to_sparse(), changes=True) is None


def test_on_the_host_nothing_is_deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert Summing().add(NORMAL, changes=True) is None


def test_samples_are_those_of_the_fingerprint() -> None:
    values = [NORMAL, NORMAL.T, NORMAL.to(torch.bfloat16), torch.arange(1000), torch.tensor(1.0)]
    assert read_samples([samples(each) for each in values]) == [fingerprint(each) for each in values]


@pytest.mark.parametrize("values", [NORMAL, NORMAL.to(torch.bfloat16)[:1, :3], torch.arange(7, dtype=torch.uint8)])
def test_a_code_tells_every_change(values: Tensor) -> None:
    code = int(code_later(values))
    assert code == int(code_later(values.clone()))
    for place in range(min(values.numel(), 50)):
        other = values.clone()
        other.view(-1)[place] += 1
        assert int(code_later(other)) != code
    swapped = values.clone().view(-1)
    swapped[[0, 1]] = swapped[[1, 0]]
    assert int(code_later(swapped)) != code


def test_a_code_does_not_depend_on_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = int(code_later(NORMAL))
    monkeypatch.setattr(sys.modules[code_later.__module__], "CHUNK", 64)
    assert int(code_later(NORMAL)) == whole


def test_equal_bits_are_said_later() -> None:
    nan = torch.tensor([math.nan, 1.0])
    equal, other = same_bits_later(nan, nan.clone()), same_bits_later(nan, torch.tensor([math.nan, 2.0]))
    assert equal is not None and bool(equal) and other is not None and not bool(other)
    assert same_bits_later(nan, nan.double()) is None
