"""Recovery of whole sequences: every state and gate equals a step-by-step loop, and what is uncertain is left out."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from memviz_widgets.capture.recurrent import Key, Recovered, recover, recurrent_series

from .test_recurrent_cells import one_step

MODES: dict[str, Any] = {
    "LSTM": nn.LSTM,
    "projected LSTM": lambda *sizes, **options: nn.LSTM(*sizes, proj_size=3, **options),
    "GRU": nn.GRU,
    "tanh": nn.RNN,
    "relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
}
FORMS = ("time first", "batch first", "no batch", "packed")
STEPS, BATCH, INPUTS, WIDTH = 6, 3, 4, 5
LENGTHS = (2, 6, 4)  # not sorted
# torch says so of every LSTM with a projection, once.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def by_hand(module: Any, x: Tensor, states: dict[str, Tensor]) -> dict[Key, Tensor]:
    """(T, C) of every kind and item of one sample x (T, I), with initial states (L * directions, C), in float64."""
    found: dict[Key, Tensor] = {}
    parameters = {name: value.detach().double() for name, value in module.named_parameters()}
    x, row = x.double(), 0
    for layer, sides in enumerate([("", "_reverse")[: 1 + module.bidirectional]] * module.num_layers):
        for side in sides:
            item = f"l{layer}{side}"
            weights = {name[: -len(item) - 1]: each for name, each in parameters.items() if name.endswith(f"_{item}")}
            state, steps = {kind: value[row].double() for kind, value in states.items()}, []
            for step in reversed(x) if side else x:
                state = one_step(module.mode, weights, step, state)
                steps.append(state)
            for kind in state:
                found[kind, item] = torch.stack([each[kind] for each in (steps[::-1] if side else steps)])
            row += 1
        x = torch.cat([found["hidden", f"l{layer}{side}"] for side in sides], -1)
    return found


class Case:
    """A module, one call of it in some form, and what a hand-written loop gives for each sample."""

    def __init__(self, mode: str, form: str, layers: int = 1, *, given: bool = True, **options: Any) -> None:
        self.module = MODES[mode](INPUTS, WIDTH, layers, batch_first=form == "batch first", **options)
        batch, dtype = 1 if form == "no batch" else BATCH, next(self.module.parameters()).dtype
        self.lengths = LENGTHS if form == "packed" else (STEPS,) * batch
        x = torch.randn(batch, STEPS, INPUTS, dtype=dtype)
        rows = layers * (1 + self.module.bidirectional)
        kinds = {"hidden": self.module.proj_size or WIDTH} | ({"cell": WIDTH} if self.module.mode == "LSTM" else {})
        make = torch.randn if given else torch.zeros
        states = {kind: make(rows, batch, width, dtype=dtype) for kind, width in kinds.items()}
        shaped = tuple(state[:, 0] if form == "no batch" else state for state in states.values())
        hx: Any = shaped if len(shaped) == 2 else shaped[0]
        self.args = (self._formed(x, form),)
        self.kwargs = {"hx": hx} if given else {}
        self.result = self.module(*self.args, **self.kwargs)
        self.expected = [
            by_hand(self.module, x[b, :length], {kind: state[:, b] for kind, state in states.items()})
            for b, length in enumerate(self.lengths)
        ]

    @staticmethod
    def _formed(x: Tensor, form: str) -> Tensor | PackedSequence:
        if form == "packed":
            return pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
        return {"time first": x.transpose(0, 1), "batch first": x, "no batch": x[0]}[form]

    def recovered(self) -> Recovered:
        return recover(self.module, self.args, self.kwargs, self.result)

    def errors(self, found: Recovered) -> Iterator[float]:
        """Differences from the loop, and inf where a cell after a sample's end is not NaN."""
        for b, (length, sample) in enumerate(zip(self.lengths, self.expected, strict=True)):
            for key, value in sample.items():
                yield float((found.values[key][b, :length].double() - value).abs().max())
                yield 0.0 if found.values[key][b, length:].isnan().all() else math.inf


@pytest.mark.parametrize(
    ("layers", "bidirectional", "bias", "given"),
    [*itertools.product((1, 3), (False, True), (True, False), (True, False))],
)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_all_steps_equal_a_loop(
    mode: str, form: str, layers: int, bidirectional: bool, bias: bool, given: bool
) -> None:
    case = Case(mode, form, layers, given=given, bidirectional=bidirectional, bias=bias, dtype=torch.float64)
    found = case.recovered()
    assert max(case.errors(found)) < 1e-12 and found.residual < 1e-12
    assert list(case.expected[0]) == [each[:2] for each in recurrent_series(case.module)] == list(found.values)
    assert found.lengths == case.lengths and found.note == ""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_float32_equals_the_loop_to_a_millionth(mode: str, form: str) -> None:
    case = Case(mode, form, 2, bidirectional=True)
    found = case.recovered()
    assert max(case.errors(found)) < 1e-6 and found.residual < 1e-6
    assert {value.dtype for value in found.values.values()} == {torch.float32}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", MODES)
def test_half_precision_is_recovered_in_float32_and_says_so(mode: str, dtype: torch.dtype) -> None:
    case = Case(mode, "packed", 2, bidirectional=True, dtype=dtype)
    found = case.recovered()
    assert max(case.errors(found)) < 8 * torch.finfo(dtype).eps and found.residual < 4 * torch.finfo(dtype).eps
    assert str(dtype)[6:] in found.note and found.values["hidden", "l0"].dtype is torch.float32


@pytest.mark.parametrize("mode", MODES)
def test_autocast_outside_is_off_inside(mode: str) -> None:
    case = Case(mode, "time first")
    with torch.autocast("cpu"):
        found = case.recovered()
    assert max(case.errors(found)) < 1e-6


def test_a_call_under_autocast_is_noted() -> None:
    module, x = nn.LSTM(INPUTS, WIDTH, 2), torch.randn(STEPS, BATCH, INPUTS)
    with torch.autocast("cpu"):
        result = module(x)
    found = recover(module, (x,), {}, result)
    assert "bfloat16" in found.note and 1e-5 < found.residual < 0.02


def test_sorted_packing_has_no_permutation() -> None:
    module, lengths = nn.LSTM(INPUTS, WIDTH, 2, bidirectional=True), [6, 4, 2]
    packed = pack_padded_sequence(torch.randn(STEPS, BATCH, INPUTS), lengths)
    found = recover(module, (packed,), {}, module(packed))
    assert packed.sorted_indices is None and found.lengths == (6, 4, 2) and found.residual < 1e-6


def test_initial_states_are_kept_as_copies() -> None:
    case = Case("LSTM", "time first", 2, bidirectional=True)
    found, (hidden, cell) = case.recovered(), case.kwargs["hx"]
    assert torch.equal(found.initial["hidden", "l1"], hidden[2]) and torch.equal(
        found.initial["cell", "l0_reverse"], cell[1]
    )
    cell.zero_()
    case.result[0].detach().zero_()
    assert found.initial["cell", "l0_reverse"].abs().min() > 0 and found.values["hidden", "l1"].abs().min() > 0


def test_errors_do_not_grow_in_a_chaotic_network() -> None:
    module, x = nn.LSTM(8, 64, 3), torch.randn(1000, 2, 8)
    with torch.no_grad():
        for value in module.parameters():
            value.mul_(12)
        one, other = module(x)[0], module(x + 1e-6 * torch.eye(1000, 8)[:, None])[0]
        assert (one - other)[500:].abs().max() > 0.5  # the smallest change ends elsewhere
        assert recover(module, (x,), {}, module(x)).residual < 1e-5


# -- what is not certain


def tampered(result: Any, place: str) -> Any:
    output, (hidden, cell) = result
    parts = {name: value.detach().clone() for name, value in (("output", output), ("h_n", hidden), ("c_n", cell))}
    parts[place][0, 0, 0] += 2e-3
    return parts["output"], (parts["h_n"], parts["c_n"])


@pytest.mark.parametrize("place", ["output", "h_n", "c_n"])
def test_another_result_than_the_calls_shows_in_the_residual(place: str) -> None:
    case = Case("LSTM", "batch first", 2)
    case.result = tampered(case.result, place)
    assert 1e-4 < case.recovered().residual < 1e-2


def test_a_nan_on_one_side_is_an_infinite_residual_and_on_both_none() -> None:
    case = Case("GRU", "time first")
    case.result[0].detach()[2] = math.nan
    assert case.recovered().residual == math.inf
    x = torch.full((STEPS, BATCH, INPUTS), math.nan)
    assert recover(case.module, (x,), {}, case.module(x)).residual == 0.0


@pytest.mark.parametrize(("dropout", "training", "layers"), [(0.5, True, 3), (0.5, False, 3), (0.0, True, 3)])
def test_layers_above_a_random_mask_are_left_out(dropout: float, training: bool, layers: int) -> None:
    module, x = (
        nn.LSTM(INPUTS, WIDTH, layers, dropout=dropout, bidirectional=True).train(training),
        torch.randn(STEPS, BATCH, INPUTS),
    )
    found = recover(module, (x,), {}, module(x))
    masked = training and dropout > 0
    assert {item for _, item in found.values} == {
        f"l{k}{s}" for k in range(1 if masked else 3) for s in ("", "_reverse")
    }
    assert found.residual < 1e-6 and found.note.startswith("Only layer 0 is recovered: dropout of 0.5") == masked


# -- what nobody notices


def parametrized(module: nn.LSTM, how: str) -> nn.LSTM:
    if how == "old weight norm":
        with pytest.warns(FutureWarning):
            return nn.utils.weight_norm(module, "weight_hh_l1")
    wrap = parametrizations.weight_norm if how == "weight norm" else parametrizations.spectral_norm
    wrap(module, "weight_hh_l0")
    wrap(module, "weight_ih_l1")
    return module


def state_of(module: nn.Module) -> list[Tensor]:
    return [value.clone() for value in copy.deepcopy(module.state_dict()).values()]


@pytest.mark.parametrize("how", ["weight norm", "spectral norm", "old weight norm"])
def test_parametrized_weights_are_those_of_the_call(how: str) -> None:
    module, x = parametrized(nn.LSTM(INPUTS, WIDTH, 2), how), torch.randn(STEPS, BATCH, INPUTS)
    result = module(x)  # in train mode: spectral norm takes a step whenever its weight is read
    before = state_of(module)
    assert recover(module, (x,), {}, result).residual < 1e-6
    assert all(torch.equal(old, new) for old, new in zip(before, state_of(module), strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_module_arguments_generator_and_hooks_notice_nothing(mode: str) -> None:
    case = Case(mode, "packed", 2, bidirectional=True, dropout=0.5)
    calls: list[str] = []
    handles = [
        case.module.register_forward_hook(lambda *_: calls.append("own")),
        nn.modules.module.register_module_forward_pre_hook(lambda *_: calls.append("global")),
    ]
    arguments = [case.args[0].data.clone(), *(state.clone() for state in case.result[1])]
    before, dictionary, generator = state_of(case.module), dict(vars(case.module)), torch.get_rng_state()
    case.recovered()
    for handle in handles:
        handle.remove()
    after = [case.args[0].data, *case.result[1]]
    assert not calls and torch.equal(generator, torch.get_rng_state()) and dict(vars(case.module)) == dictionary
    assert all(
        torch.equal(old, new) for old, new in zip(arguments + before, after + state_of(case.module), strict=True)
    )


def test_inside_inference_mode_it_gives_normal_tensors() -> None:
    with torch.inference_mode():
        case = Case("LSTM", "batch first", 2)
        found = case.recovered()
    assert max(case.errors(found)) < 1e-6
    assert not any(value.is_inference() or value.requires_grad for value in found.values.values())
    assert not case.result[0].requires_grad
