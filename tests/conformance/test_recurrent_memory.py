"""States and gates of recurrent modules through the public API, against step-by-step loops in float64."""

from __future__ import annotations

import copy
import itertools
import math
from contextlib import closing
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import memviz_widgets as mv
from memviz_widgets.analysis.memory import TRUSTED_RESIDUAL
from memviz_widgets.capture.recurrent_cells import KINDS

from ..capture.test_recurrent import FORMS, MODES, Case
from ..capture.test_recurrent_cells import CELLS, one_step

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def captured(case: Case, **options: Any) -> mv.ActivationCache:
    return mv.ActivationCache.capture(case.module, call=lambda model: model(*case.args, **case.kwargs), **options)


def largest_error(cache: mv.ActivationCache, case: Case, path: str = "") -> float:
    """Of every kind, item, sample and step; inf where a cell after a sample's end is not NaN."""
    errors = [0.0]
    for b, (length, sample) in enumerate(zip(case.lengths, case.expected, strict=True)):
        for (kind, item), expected in sample.items():
            value = cache.get(path, kind, item=item)[b]
            errors.append(float((value[:length].double() - expected).abs().max()))
            errors.append(0.0 if value[length:].isnan().all() else math.inf)
    return max(errors)


@pytest.mark.parametrize(
    ("layers", "bidirectional", "bias", "given"),
    [*itertools.product((1, 2), (False, True), (True, False), (True, False))],
)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_every_variant_equals_a_loop(
    mode: str, form: str, layers: int, bidirectional: bool, bias: bool, given: bool
) -> None:
    case = Case(mode, form, layers, given=given, bidirectional=bidirectional, bias=bias)
    with closing(captured(case)) as cache:
        assert largest_error(cache, case) <= 1e-6
        parts = [record for record in cache.records if record.memory]
        assert {(record.kind, record.item) for record in parts} == set(case.expected[0])
        assert all(record.residual is not None and record.residual <= 1e-6 for record in parts)
        no_data = [record for record in parts if "no data" in record.note]
        assert len(no_data) == (len(parts) if form == "packed" else 0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_float64_is_recovered_in_float64(mode: str, form: str) -> None:
    case = Case(mode, form, 2, bidirectional=True, dtype=torch.float64)
    with closing(captured(case)) as cache:
        assert largest_error(cache, case) < 1e-12
        assert {record.dtype for record in cache.records if record.memory} == {"float64"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", MODES)
def test_half_precision_says_its_rounding(mode: str, dtype: torch.dtype) -> None:
    case = Case(mode, "batch first", 2, dtype=dtype)
    with closing(captured(case)) as cache:
        assert largest_error(cache, case) < 8 * torch.finfo(dtype).eps
        name = str(dtype).removeprefix("torch.")
        assert all(f"The call computed in {name}" in record.note for record in cache.records if record.memory)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("mode", CELLS)
def test_a_loop_over_a_cell_is_joined_over_time(mode: str, batch: bool, given: bool) -> None:
    cell = CELLS[mode](3, 4)
    x = torch.randn(6, 2, 3) if batch else torch.randn(6, 3)
    first = torch.randn(2, 2, 4) if batch else torch.randn(2, 4)
    state: Any = None if not given else (first[0], first[1]) if mode == "LSTM" else first[0]
    with mv.record(cell) as cache:
        for step in x:
            state = cell(step, state)
    weights = {name: value.detach().double() for name, value in cell.named_parameters()}
    for b in range(2 if batch else 1):
        starts = first.view(2, -1, 4)[:, b].double() * given
        expected = dict(zip(("hidden", "cell"), starts, strict=True))
        for t, step in enumerate(x):
            expected = one_step(mode, weights, (step[b] if batch else step).double(), expected)
            for kind, value in expected.items():
                assert (cache.get("", kind)[b, t].double() - value).abs().max() <= 1e-6
    joined = [record for record in cache.records if record.parts]
    assert {record.kind for record in joined} == set(KINDS[mode])
    assert {(record.dims, record.shape) for record in joined} == {
        (("batch", "time", "channel"), (2 if batch else 1, 6, 4))
    }
    cache.close()


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "projected LSTM"])
def test_a_module_that_is_called_step_by_step_is_one_sequence(mode: str) -> None:
    case = Case(mode, "time first", 2)
    (x,), state = case.args, case.kwargs["hx"]
    assert isinstance(x, Tensor)
    with mv.record(case.module) as cache:
        for step in x.split([1, 2, 1, 2]):
            _, state = case.module(step, state)
    assert largest_error(cache, case) <= 1e-6
    assert {len(record.parts) for record in cache.records if record.memory} == {0, 4}
    cache.close()


class Tagger(nn.Module):
    """An encoder in both directions, and a decoder that is a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(4, 5, bidirectional=True)
        self.decoder = nn.GRUCell(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        seen, (state, _) = self.encoder(x)
        hidden = state[0]
        for step in seen:
            hidden = self.decoder(step, hidden)
        return hidden


def test_memories_inside_a_model_have_names() -> None:
    with closing(mv.ActivationCache.capture(Tagger(), torch.randn(6, 2, 4))) as cache:
        assert [*cache.memories()] == ["encoder l0", "encoder l0_reverse", "decoder"]
        hidden = cache.get("decoder", "hidden")
        assert hidden.shape == cache.get("decoder", "gate.z").shape == (2, 6, 5)
        assert torch.equal(hidden[:, -1], cache[""])


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_training_afterwards_changes_no_value(name: str) -> None:
    model, x = Tagger(), torch.randn(6, 2, 4)
    kind, item = ("gate.f", "l0_reverse") if name == "encoder" else ("gate.n", None)
    with closing(mv.ActivationCache.capture(model, x)) as looked_at_once:
        expected = looked_at_once.get(name, kind, item=item)
    with closing(mv.ActivationCache.capture(model, x)) as cache:
        optimizer = torch.optim.SGD(model.parameters(), lr=10.0)
        model(x).square().sum().backward()
        optimizer.step()
        x.zero_()
        assert torch.equal(cache.get(name, kind, item=item), expected)


def test_recording_while_training_gives_the_gates_of_each_step() -> None:
    model, x, copies = Tagger(), torch.randn(6, 2, 4), []
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with mv.record(model) as cache:
        for _ in range(3):
            copies.append(copy.deepcopy(model.encoder))
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    gates = [cache.get("encoder", "gate.o", item="l0", step=step) for step in range(3)]
    for encoder, gate in zip(copies, gates, strict=True):
        with closing(mv.ActivationCache.capture(encoder, x)) as alone:
            assert (alone.get("", "gate.o", item="l0") - gate).abs().max() <= 1e-6
    assert (gates[0] - gates[1]).abs().max() > 1e-4 < (gates[1] - gates[2]).abs().max()
    cache.close()


# -- what is not certain, and what does not fit


def test_dropout_in_training_refuses_the_upper_layers_with_the_reason() -> None:
    module, x = nn.LSTM(3, 4, 2, dropout=0.5), torch.randn(5, 2, 3)
    with closing(mv.ActivationCache.capture(module, x)) as cache:
        refused = [record for record in cache.records if record.memory == "(model) l1"]
        assert len(refused) == 6 and not any(record.available for record in refused)
        assert all("dropout of 0.5 between the 2 layers drew masks" in record.note for record in refused)
        assert cache.get("", "cell", item="l0").isfinite().all()


class Doubled(nn.GRU):
    def forward(self, *args: Any) -> Any:
        return super().forward(*args)[0] * 2


def test_a_forward_of_its_own_is_named() -> None:
    with closing(mv.ActivationCache.capture(Doubled(2, 2), torch.randn(3, 1, 2))) as cache:
        (record,) = (record for record in cache.records if record.kind == "hidden")
        assert not record.available and record.note.startswith("Doubled has a forward of its own")


class Repainted(nn.Module):
    """Writes over what its LSTM returned, and over the weights: the values are those of the call."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        output, (hidden, cell) = self.lstm(x)
        total = output.sum()
        for tensor in (output, hidden, cell, x):
            tensor.fill_(5.0)
        return total


def test_what_the_model_writes_afterwards_does_not_show() -> None:
    model, x = Repainted().requires_grad_(requires_grad=False), torch.randn(5, 2, 3)
    expected = mv.ActivationCache.capture(model.lstm, x.clone()).get("", "cell", item="l0")
    with closing(mv.ActivationCache.capture(model, x)) as cache:
        assert torch.equal(cache.get("lstm", "cell", item="l0"), expected)
        residual = cache.find("lstm", "cell", item="l0").residual
        assert residual is not None and residual < TRUSTED_RESIDUAL


def test_a_small_budget_changes_no_value() -> None:
    module, x = nn.LSTM(8, 16, 2, bidirectional=True), torch.randn(300, 2, 8)
    kinds = [("cell", "l1"), ("gate.f", "l0_reverse"), ("hidden", "l0"), ("gate.o", "l1_reverse")]
    with closing(mv.ActivationCache.capture(module, x)) as cache:
        expected = {key: cache.get("", key[0], item=key[1]) for key in kinds}
    with closing(mv.ActivationCache.capture(module, x, budget="300 KiB")) as cache:
        for (kind, item), value in expected.items():
            found = cache.get("", kind, item=item)
            assert (found - value).abs().max() < 1e-6
            assert cache.held_bytes <= cache.budget_bytes


def test_packed_samples_keep_their_own_order() -> None:
    module, lengths = nn.GRU(3, 4), [2, 5, 3]
    x = torch.randn(5, 3, 3)
    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    with closing(mv.ActivationCache.capture(module, call=lambda model: model(packed))) as cache:
        gate = cache.get("", "gate.z", item="l0")
    for b, length in enumerate(lengths):
        with closing(mv.ActivationCache.capture(module, x[:length, b : b + 1])) as alone:
            assert (gate[b, :length] - alone.get("", "gate.z", item="l0")[0]).abs().max() <= 1e-6
        assert gate[b, length:].isnan().all()
