"""cache.record_step: a training forward by forward, under one budget, and the model never notices."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.cache.thinned_values import ThinnedValues
from memviz_widgets.errors import ForwardError, LayersError, NotKeptError, RecordingError, UnknownRecordError
from memviz_widgets.records import Draft
from tests.capture.recording import hook_entries


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


X = torch.linspace(-1, 1, 6).view(2, 3)


def trained(model: nn.Module, cache: mv.ActivationCache, steps: int, **options: Any) -> list[Tensor]:
    """Train for some steps and record before each; the outputs of the model at each."""
    optimiser, outputs = torch.optim.SGD(model.parameters(), lr=0.5), []
    for step in range(steps):
        with torch.no_grad():
            outputs.append(model(X))
        cache.record_step(model, X, step=f"epoch {step}", **options)
        optimiser.zero_grad()
        model(X).square().sum().backward()
        optimiser.step()
    return outputs


def test_every_step_is_the_forward_at_that_time(model: nn.Module) -> None:
    cache = mv.ActivationCache()
    outputs = trained(model, cache, 3)
    assert cache.step_labels == ("epoch 0", "epoch 1", "epoch 2")
    assert [(record.path, record.step) for record in cache.records[:5]] == [
        ("0", 0), ("1", 0), ("2", 0), ("", 0), ("0", 1),
    ]  # fmt: skip
    assert all(torch.equal(cache.get("", step=step), outputs[step]) for step in range(3))
    assert torch.equal(cache.get("2", step="epoch 2"), outputs[2]) and not torch.equal(outputs[1], outputs[2])
    assert [record.index for record in cache.records] == list(range(12))


def test_a_step_without_a_label_has_its_number(model: nn.Module) -> None:
    cache = mv.ActivationCache()
    cache.record_step(model, X)
    cache.record_step(model, X, step=1200)
    assert cache.step_labels == ("0", "1200")


def test_an_unknown_label_names_the_nearest(model: nn.Module) -> None:
    cache = mv.ActivationCache()
    cache.record_step(model, X, step="epoch 3")
    with pytest.raises(UnknownRecordError, match="no step 'epoch 4'; there are 1 labels; nearest is 'epoch 3'"):
        cache.get("0", step="epoch 4")
    with pytest.raises(UnknownRecordError, match="no step 'epoch 4'; steps have numbers here"):
        mv.ActivationCache.capture(model, X).get("0", step="epoch 4")


def test_the_training_goes_on_as_if_nothing_had_been() -> None:
    def network() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))

    def run(cache: mv.ActivationCache | None) -> nn.Module:
        made = network()
        optimiser = torch.optim.SGD(made.parameters(), lr=0.1, momentum=0.9)
        for _ in range(4):
            made(X).sum().backward()
            if cache is not None:
                cache.record_step(made, X)
            optimiser.step()
        return made

    plain, recorded = run(None), run(mv.ActivationCache())
    for (name, one), other in zip(plain.state_dict().items(), recorded.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    grads = zip(plain.parameters(), recorded.parameters(), strict=True)
    assert all(torch.equal(one.grad, other.grad) for one, other in grads)  # type: ignore[arg-type]
    assert recorded.training and hook_entries(recorded) == hook_entries(plain)


def test_layers_and_dims_are_those_of_a_capture(model: nn.Module) -> None:
    cache = mv.ActivationCache()
    trained(model, cache, 2, layers=["0"], dims={"0": "sample unit"})
    assert [(record.path, record.dims) for record in cache.records] == [("0", ("sample", "unit"))] * 2
    with pytest.raises(LayersError, match="no module matches 'conv'"):
        cache.record_step(model, X, layers=["conv"])
    assert len(cache.records) == 2 and len(cache.step_labels) == 2


def test_a_label_is_used_once(model: nn.Module) -> None:
    cache = mv.ActivationCache()
    trained(model, cache, 2)
    with pytest.raises(RecordingError, match=r"step 'epoch 1' is in this cache already \(number 1 of 2\)"):
        cache.record_step(model, X, step="epoch 1")


def test_a_cache_of_something_else_takes_no_steps(model: nn.Module) -> None:
    with pytest.raises(RecordingError, match=r"no steps of record_step; make one .* cache = mv.ActivationCache\(\)"):
        mv.ActivationCache.capture(model, X).record_step(model, X)
    with pytest.raises(RecordingError, match="the steps of this recording are the calls of your own loop"):
        mv.record(model).record_step(model, X)


def test_recordings_and_steps_of_one_model_do_not_nest(model: nn.Module) -> None:
    cache = mv.ActivationCache()
    with mv.record(model) as loop:
        model(X)
        with pytest.raises(RecordingError, match="this Sequential is being recorded already"):
            cache.record_step(model, X)
    assert len(loop.records) == 4
    cache.record_step(model, X)
    assert len(cache.records) == 4


class Fails(nn.Module):
    """Raises when it is told to, after its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.error: BaseException | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.error is not None:
            raise self.error
        return x


@pytest.mark.parametrize(
    ("error", "raised"), [(ValueError("no"), ForwardError), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_a_step_is_recorded_to_its_end_or_not_at_all(error: BaseException, raised: type[BaseException]) -> None:
    model, cache = Fails(), mv.ActivationCache()
    cache.record_step(model, X)
    held, recorded = cache.held_bytes, cache.recorded_bytes
    model.error = error
    with pytest.raises(raised) as caught:
        cache.record_step(model, X)
    assert raised is KeyboardInterrupt or caught.value.cache is cache  # type: ignore[attr-defined]
    assert (cache.held_bytes, cache.recorded_bytes, len(cache.records), cache.step_labels) == (
        held,
        recorded,
        2,
        ("0",),
    )
    model.error = None
    cache.record_step(model, X)
    assert torch.equal(cache.get("", step=1), model(X)) and cache.records[2].index == 2


def test_several_runs_of_the_model_are_calls_of_one_step(model: nn.Module) -> None:
    cache = mv.ActivationCache()
    for _ in range(2):
        cache.record_step(model, call=lambda m: [m(X), m(2 * X)])
    assert [(record.step, record.call) for record in cache.records if record.path == "0"] == [
        (0, 0), (0, 1), (1, 0), (1, 1),
    ]  # fmt: skip
    assert [record.caller for record in cache.records if record.path == "0"] == [("", 0), ("", 1)] * 2
    assert torch.equal(cache.get("", call=1, step=1), model(2 * X))


class Cells(nn.Module):
    """A cell that the model calls for every row of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(1, 4)
        for row in x:
            h = self.cell(row[None], h)
        return h


def test_memories_are_joined_within_a_step_and_never_over_steps() -> None:
    model, cache = Cells(), mv.ActivationCache()
    trained(model, cache, 2)
    joined = [record for record in cache.records if record.parts and record.kind == "hidden"]
    assert [(record.step, record.shape) for record in joined] == [(0, (1, 2, 4)), (1, (1, 2, 4))]
    assert all(cache.records[part].step == record.step for record in joined for part in record.parts)
    assert torch.equal(cache.get("cell", "hidden", step=1)[:, -1], cache.get("", step=1))


def test_one_call_of_a_cell_in_each_step_is_not_one_memory() -> None:
    cell, cache = nn.GRUCell(3, 4), mv.ActivationCache()
    trained(cell, cache, 3)
    assert not any(record.parts for record in cache.records)


def test_gates_of_every_step_are_those_of_its_weights() -> None:
    lstm, cache = nn.LSTM(3, 4, batch_first=True), mv.ActivationCache()
    x, hidden = torch.randn(1, 5, 3), []
    for step in range(2):
        with torch.no_grad():
            lstm.weight_hh_l0.mul_(1 + step)  # type: ignore[operator]
            hidden.append(lstm(x)[0])
        cache.record_step(lstm, x)
    for step in range(2):
        assert torch.allclose(cache.get("", "hidden", step=step), hidden[step], atol=1e-6)
        assert cache.find("", "hidden", step=step).residual < 1e-5  # type: ignore[operator]


LAYER_BYTES = (32, 32, 16)
"""Of Linear(3, 4), Tanh and Linear(4, 2) on 2 samples; the model's output is that of the last."""


def kept_steps(cache: mv.ActivationCache, path: str) -> list[int]:
    return [record.step for record in cache.records if record.path == path and record.kept]


def test_a_budget_thins_the_steps_evenly(model: nn.Module) -> None:
    cache = mv.ActivationCache(budget=4 * sum(LAYER_BYTES))
    outputs = trained(model, cache, 9)
    assert cache.held_bytes <= cache.budget_bytes
    assert kept_steps(cache, "0") == [0, 4, 8]
    assert kept_steps(cache, "2") == [0, 2, 4, 5, 6, 7, 8], "the smaller one, half of whose odd steps still fit"
    assert kept_steps(cache, "") == kept_steps(cache, "2"), "one value"
    assert torch.equal(cache.get("2", step=8), outputs[8]) and torch.equal(cache.get("2", step=0), outputs[0])
    assert all(record.stats is not None for record in cache.records)


def test_what_was_given_up_says_why_and_what_to_do(model: nn.Module) -> None:
    cache = mv.ActivationCache(budget=4 * sum(LAYER_BYTES))
    trained(model, cache, 9)
    with pytest.raises(NotKeptError, match="its 32 B had no room beside the other steps in the budget of 320 B, and "):
        cache.get("0", step=1)
    note = cache.find("0", step=1).note
    assert "the weights may have changed since, so it is not computed again" in note
    assert "Record with a larger budget=, fewer layers=, or spill='a folder'." in note
    lost = sum(not record.kept for record in cache.records)
    assert f"{lost} of 36 tensors not kept" in cache.summary


def test_the_newest_step_is_whole_when_only_one_fits(model: nn.Module) -> None:
    cache = mv.ActivationCache(budget=sum(LAYER_BYTES))
    outputs = trained(model, cache, 3)
    assert [kept_steps(cache, path) for path in ("0", "1", "2")] == [[2], [2], [2]]
    assert torch.equal(cache.get("", step=2), outputs[2])


def test_a_step_over_the_budget_gives_up_nothing_in_vain(model: nn.Module) -> None:
    cache = mv.ActivationCache(budget=40)
    cache.record_step(model, X)
    assert kept_steps(cache, "0") == [0] and kept_steps(cache, "1") == []
    big = torch.ones(8, 3)
    cache.record_step(model, big)  # of which only the last, 64 B, 128 B and 128 B, never fit
    assert kept_steps(cache, "0") == [0]


@pytest.mark.parametrize("steps", [5, 17, 40, 100])
def test_gaps_between_kept_steps_stay_even(steps: int) -> None:
    values = ThinnedValues(8 * 4)
    for step in range(steps):
        draft = Draft(step, "a", "Linear", 0, "output", "", ("channel",), (1,), "float32", "cpu", 4, "", step)
        values.add(draft, torch.tensor([float(step)]))
        values.finish()
    kept = [step for step in range(steps) if values.get(step) is not None]
    gaps = [after - before for before, after in pairwise(kept)]
    assert kept[0] == 0 and kept[-1] == steps - 1 and len(kept) == min(steps, 8)
    assert max(gaps) <= 2 * min(gaps[:-1]), "the newest step may be next to the one before"


def test_on_disk_every_step_is_kept(model: nn.Module, tmp_path: Path) -> None:
    pytest.importorskip("zarr", reason="zarr 3 needs Python 3.11")
    cache = mv.ActivationCache(budget=sum(LAYER_BYTES), spill=tmp_path)
    outputs = trained(model, cache, 6)
    assert all(record.available for record in cache.records)
    assert all(torch.equal(cache.get("", step=step), outputs[step]) for step in range(6))
    cache.close()
    assert list(tmp_path.iterdir()) == []


def test_recovered_values_make_room_before_steps_do() -> None:
    lstm, x = nn.LSTM(3, 4, batch_first=True), torch.randn(1, 5, 3)
    probe = mv.ActivationCache()
    probe.record_step(lstm, x)
    cache = mv.ActivationCache(budget=2 * probe.held_bytes + 2000)
    cache.record_step(lstm, x)
    before = cache.held_bytes
    cache.get("", "gate.f")
    assert cache.held_bytes > before
    cache.record_step(lstm, x)
    assert all(record.kept for record in cache.records)


def test_a_closed_cache_takes_no_step(model: nn.Module) -> None:
    cache = mv.ActivationCache()
    cache.record_step(model, X)
    cache.close()
    with pytest.raises(mv.errors.ClosedError, match="was closed"):
        cache.record_step(model, X)


@pytest.mark.parametrize("name", ["run.zarr", "run.safetensors"])
def test_a_saved_training_opens_with_its_labels(model: nn.Module, tmp_path: Path, name: str) -> None:
    if name.endswith(".zarr"):
        pytest.importorskip("fsspec")
    cache = mv.ActivationCache(budget=4 * sum(LAYER_BYTES))
    trained(model, cache, 9)
    cache.save(tmp_path / name)
    opened = mv.ActivationCache.open(tmp_path / name)
    assert opened.step_labels == cache.step_labels
    assert torch.equal(opened.get("2", step="epoch 4"), cache.get("2", step="epoch 4"))
    assert [record.step for record in opened.records if record.path == "0" and record.available] == [0, 4, 8]
    with pytest.raises(RecordingError, match="has records that are no steps"):
        opened.record_step(model, X)


def test_a_memory_that_lost_a_part_is_not_kept() -> None:
    model, cache = Cells(), mv.ActivationCache(budget=120)
    trained(model, cache, 6)
    joined = [record for record in cache.records if record.parts and record.kind == "hidden"]
    assert [record.step for record in joined if not record.kept]
    for record in joined:
        assert record.kept == all(cache.records[part].kept for part in record.parts)
        assert record.kept or "no room beside the other steps" in record.note
        if record.kept:
            assert cache.get("cell", "hidden", step=record.step).shape == (1, 2, 4)


def test_what_if_of_a_training_says_that_it_has_no_forward(model: nn.Module) -> None:
    cache = mv.ActivationCache()
    trained(model, cache, 2)
    with pytest.raises(mv.errors.WhatIfError, match=r"not made by ActivationCache\.capture, so it knows no forward"):
        cache.what_if({"0": mv.edit.zero(channel=0)})
