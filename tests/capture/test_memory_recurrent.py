"""What the recorder is told of recurrent modules: which values, of which tensors; and windows that equal the whole."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from memviz_widgets.capture import memory_recurrent, read_samples, recurrent_windows
from memviz_widgets.capture.fingerprint import fingerprint
from memviz_widgets.capture.memory import MemoryTensor, RecoveredValue
from memviz_widgets.capture.memory_recurrent import CellAdapter, RecurrentAdapter
from memviz_widgets.capture.recurrent import recover

from .test_recurrent import FORMS, MODES, Case

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def told(case: Case) -> list[MemoryTensor]:
    return list(RecurrentAdapter().read(case.module, case.args, case.kwargs, case.result))


def values_of(found: list[MemoryTensor]) -> dict[tuple[str, str], RecoveredValue]:
    return {(each.kind, each.item): each.value for each in found if isinstance(each.value, RecoveredValue)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_shapes_and_dtypes_are_said_before_anything_is_computed(mode: str, form: str) -> None:
    case = Case(mode, form, 2, bidirectional=True)
    found = told(case)
    values, whole = values_of(found), case.recovered().values
    assert [*values] == [*whole] and len(found) == len(values)
    for key, value in values.items():
        assert (value.shape, value.dtype, value.time) == (tuple(whole[key].shape), whole[key].dtype, 1)
        assert torch.equal(value.load().nan_to_num(7), whole[key].nan_to_num(7))
    assert {(each.item, each.memory, each.dims) for each in found} == {
        (item, item, ("batch", "time", "channel")) for item in ("l0", "l0_reverse", "l1", "l1_reverse")
    }


def test_all_values_of_a_call_share_its_own_tensors() -> None:
    module, x, hx = nn.GRU(3, 4), torch.randn(5, 2, 3), torch.randn(1, 2, 4)
    output, last = module(x, hx=hx)
    values = values_of(list(RecurrentAdapter().read(module, (x,), {"hx": hx}, (output, last)))).values()
    expected = {"input": x, "output": output, "h_n": last, "h_0": hx, **dict(module.named_parameters())}
    assert len({id(value.recovery) for value in values}) == 1 and len(values) == 4
    for value in values:
        given = value.tensors()
        assert set(given) == set(expected) and all(given[name] is each for name, each in expected.items())


def test_notes_say_what_has_no_data_and_what_runs_backwards() -> None:
    notes = {each.item: each.note for each in told(Case("GRU", "packed", bidirectional=True))}
    assert notes["l0"] == "steps after a sample's end: no data"
    assert notes["l0_reverse"].startswith("runs from the last timestep to the first")
    assert {each.note for each in told(Case("GRU", "batch first"))} == {""}


def test_layers_above_a_random_mask_have_the_reason_instead_of_a_value() -> None:
    found = told(Case("LSTM", "time first", 3, dropout=0.25))
    assert [each.item for each in found if each.value is not None] == ["l0"] * 6
    refused = [each for each in found if each.value is None]
    assert [each.item for each in refused] == ["l1"] * 6 + ["l2"] * 6
    assert {each.note for each in refused} == {
        "not recovered: dropout of 0.25 between the 3 layers drew masks, which cannot be drawn again. "
        "Call model.eval() before the forward."
    }


class Halved(nn.LSTM):
    def forward(self, *args: Any) -> Any:
        output, states = super().forward(*args)
        return output / 2, states


def test_a_forward_of_its_own_is_one_record_with_the_reason() -> None:
    module, x, adapter = Halved(2, 3), torch.randn(4, 1, 2), RecurrentAdapter()
    (found,) = adapter.read(module, (x,), {}, module(x))
    assert adapter.match(module) and found.value is None and found.kind == "hidden"
    assert found.note == (
        "Halved has a forward of its own, so what it computes is not known; expected that of nn.LSTM."
    )


@pytest.mark.parametrize(
    ("adapter", "module", "matches"),
    [
        (RecurrentAdapter(), nn.RNN(2, 2), True),
        (RecurrentAdapter(), nn.RNNCell(2, 2), False),
        (CellAdapter(), nn.RNNCell(2, 2), True),
        (CellAdapter(), nn.Sequential(nn.RNNCell(2, 2)), False),
    ],
)
def test_which_modules_are_known(adapter: Any, module: nn.Module, matches: bool) -> None:
    assert adapter.match(module) is matches


# -- loops over a sequence module


def starts(module: nn.Module, calls: list[tuple[Any, ...]], passed: Any = None) -> list[int]:
    """The start that each call of a loop is given; ``passed`` changes the states on the way to the next call."""
    adapter, state, found = RecurrentAdapter(), None, []
    for (x,) in calls:
        args = (x,) if state is None else (x, state)
        result = module(*args)
        found += [next(iter(adapter.read(module, args, {}, result))).start]
        state = passed(result[1]) if passed else result[1]
    return found


@pytest.mark.parametrize(
    ("module", "passed", "expected"),
    [
        (nn.GRU(2, 3), None, [0, 1, 3]),
        (nn.LSTM(2, 3), None, [0, 1, 3]),
        (nn.GRU(2, 3), lambda state: state.detach().clone(), [0, 1, 3]),  # truncated backpropagation
        (nn.GRU(2, 3), torch.zeros_like, [0, 0, 0]),
        (nn.GRU(2, 3, bidirectional=True), None, [-1, -1, -1]),
    ],
)
def test_a_call_goes_on_where_its_states_come_from(module: nn.Module, passed: Any, expected: list[int]) -> None:
    calls = [(torch.randn(steps, 2, 2),) for steps in (1, 2, 1)]
    assert starts(module, calls, passed) == expected


def test_samples_of_several_lengths_do_not_go_on() -> None:
    packed = pack_padded_sequence(torch.randn(4, 2, 2), [4, 2])
    assert starts(nn.GRU(2, 3), [(packed,), (packed,)]) == [-1, -1]


# -- cells


def passed_on(states: Any) -> Any:
    return states


def detached(states: Any) -> Any:
    return tuple(state.detach() for state in states)


def halved(states: Any) -> Any:
    return tuple(state.mul_(0.5) for state in states)


@pytest.mark.parametrize(
    ("passed", "expected", "waits"), [(passed_on, [0, 1, 2], 0), (detached, [0, 1, 2], 4), (halved, [0, 0, 0], 2)]
)
def test_on_an_accelerator_states_that_are_passed_on_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, passed: Any, expected: list[int], waits: int
) -> None:
    read: list[int] = []

    def spy(found: Sequence[Tensor]) -> list[bytes]:
        read.append(len(found))
        return read_samples(found)

    for module in (memory_recurrent, sys.modules[fingerprint.__module__]):
        monkeypatch.setattr(module, "on_host", lambda tensor: False)
    monkeypatch.setattr(memory_recurrent, "read_samples", spy)
    with torch.no_grad():
        assert starts(nn.LSTM(2, 3), [(torch.randn(1, 1, 2),)] * 3, passed) == expected
    assert len(read) == waits


@pytest.mark.parametrize("batch", [True, False])
def test_a_cell_tells_its_states_and_recovers_its_gates(batch: bool) -> None:
    cell, x = nn.LSTMCell(2, 3), torch.randn(2, 2) if batch else torch.randn(2)
    result = cell(x)
    found = {each.kind: each for each in CellAdapter().read(cell, (x,), {}, result)}
    size = 2 if batch else 1
    assert [*found] == ["hidden", "cell", "gate.i", "gate.f", "gate.g", "gate.o"]
    for kind, each in found.items():
        assert each.dims == ("batch", "channel") and each.value is not None and each.value.shape == (size, 3)
        assert isinstance(each.value, RecoveredValue) == kind.startswith("gate")
    keep, write = found["gate.f"].value, found["gate.i"].value
    assert isinstance(found["cell"].value, Tensor) and isinstance(keep, RecoveredValue)
    assert isinstance(write, RecoveredValue) and write.recovery is keep.recovery
    assert keep.recovery.residual(keep.given) < 1e-6
    assert torch.equal(keep.recovery.window(keep.given, keep.key, 0, 1), keep.load())


def test_a_plain_cell_has_its_state_alone_and_an_own_forward_the_reason() -> None:
    cell, x = nn.RNNCell(2, 3), torch.randn(1, 2)
    (found,) = CellAdapter().read(cell, (x,), {}, cell(x))
    assert found.kind == "hidden" and isinstance(found.value, Tensor)
    own: Any = nn.GRUCell(2, 3)
    own.forward = lambda x: x
    (refused,) = CellAdapter().read(own, (x,), {}, x)
    assert refused.value is None and "GRUCell has a forward of its own" in refused.note


# -- windows of long sequences


@pytest.fixture
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 4 steps, so that 11 steps are two and a part."""
    monkeypatch.setattr(recurrent_windows, "BLOCK", 4)


def long_call(mode: str, layers: int, *, bidirectional: bool, given: bool) -> tuple[Any, Tensor, dict[str, Any], Any]:
    module = MODES[mode](4, 5, layers, bidirectional=bidirectional, dtype=torch.float64)
    x, rows = torch.randn(11, 2, 4, dtype=torch.float64), layers * (1 + bidirectional)
    widths = [module.proj_size or 5, *([5] if module.mode == "LSTM" else [])]
    states = tuple(torch.randn(rows, 2, width, dtype=torch.float64) for width in widths)
    kwargs = {"hx": states if len(states) == 2 else states[0]} if given else {}
    return module, x, kwargs, module(x, **kwargs)


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize(
    ("layers", "bidirectional", "given"), [*itertools.product((1, 3), (False, True), (False, True))]
)
@pytest.mark.parametrize("mode", MODES)
def test_windows_equal_the_whole(mode: str, layers: int, bidirectional: bool, given: bool) -> None:
    module, x, kwargs, result = long_call(mode, layers, bidirectional=bidirectional, given=given)
    whole = recover(module, (x,), kwargs, result)
    values = values_of(list(RecurrentAdapter().read(module, (x,), kwargs, result)))
    assert [*values] == [*whole.values]
    for (key, value), (start, stop) in itertools.product(values.items(), [(0, 11), (3, 9), (5, 6), (10, 11), (4, 4)]):
        part = value.recovery.window(value.given, key, start, stop)
        expected = whole.values[key][:, start:stop]
        assert part.shape == expected.shape and part.dtype == expected.dtype
        assert not part.numel() or (part - expected).abs().max() < 1e-12
    first = next(iter(values.values()))
    assert first.recovery.residual(first.given) < 1e-12


def test_windows_of_a_packed_call_equal_the_whole() -> None:
    case = Case("LSTM", "packed", 2, bidirectional=True)
    whole = case.recovered()
    for key, value in values_of(told(case)).items():
        part = value.recovery.window(value.given, key, 2, 5)
        assert torch.equal(part.nan_to_num(7), whole.values[key][:, 2:5].nan_to_num(7))
        assert value.recovery.residual(value.given) == whole.residual


def test_a_read_takes_an_index_per_axis() -> None:
    case = Case("GRU", "time first")
    value = values_of(told(case))["gate.z", "l0"]
    whole = value.load()
    for index in ((0, 2, slice(None)), (slice(None), slice(1, 4), 3), (slice(1, 3), -1, slice(0, 2))):
        assert (value.read(index) - whole[index]).abs().max() < 1e-6


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize("place", ["output", "h_n", "c_n"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_residual_of_windows_sees_another_result(place: str, layers: int) -> None:
    module, x, _, (output, (hidden, cell)) = long_call("LSTM", layers, bidirectional=False, given=False)
    parts = {"output": output.detach().clone(), "h_n": hidden.detach().clone(), "c_n": cell.detach().clone()}
    parts[place][0, 0, 0] += 2e-3
    result = (parts["output"], (parts["h_n"], parts["c_n"]))
    value = next(iter(values_of(list(RecurrentAdapter().read(module, (x,), {}, result))).values()))
    assert 1e-4 < value.recovery.residual(value.given) < 1e-2


def test_windows_of_a_chaotic_layer_do_not_drift() -> None:
    module, x = nn.LSTM(8, 64), torch.randn(3000, 1, 8)
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(12)
        result = module(x)
    whole = recover(module, (x,), {}, result)
    values = values_of(list(RecurrentAdapter().read(module, (x,), {}, result)))
    for key in (("cell", "l0"), ("gate.f", "l0")):
        part = values[key].recovery.window(values[key].given, key, 2500, 2900)
        assert (part - whole.values[key][:, 2500:2900]).abs().max() < 1e-4
    assert values["cell", "l0"].recovery.residual(values["cell", "l0"].given) < 1e-5
