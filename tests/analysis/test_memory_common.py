"""What all measures of memory have in common: dtypes, no gradient, inputs as they were, inference mode, names."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import memviz_widgets as mv
from memviz_widgets import analysis
from memviz_widgets.analysis import memory
from memviz_widgets.errors import MeasureError

from .attention_maps import random_weights
from .memory_runs import noise, signs, uniform_inputs

Inputs = tuple[Tensor, ...]
SHARES = noise(6, 2, 4).softmax(-1)
CASES: dict[str, tuple[Callable[..., Any], Inputs]] = {
    "linear_capacity": (memory.linear_capacity, (noise(300, 3), uniform_inputs(300, 1))),
    "information_processing_capacity": (
        lambda states, inputs: memory.information_processing_capacity(states, inputs, (3, 2)),
        (noise(300, 3), uniform_inputs(300, 1)),
    ),
    "time_constants": (memory.time_constants, (noise(6, 2, 4).sigmoid(),)),
    "half_lives": (memory.half_lives, (noise(6, 2, 4).sigmoid(),)),
    "retention": (memory.retention, (noise(6, 2, 4).sigmoid(),)),
    "provenance": (memory.provenance, (noise(6, 2, 4).sigmoid(), noise(6, 2, 4, seed=1))),
    "keep_and_write": (
        lambda gate, new, state: memory.keep_and_write({"gate.z": gate, "gate.n": new, "hidden": state})[1],
        (noise(2, 6, 4).sigmoid(), noise(2, 6, 4, seed=1), noise(2, 6, 4, seed=2)),
    ),
    "read_provenance": (
        lambda reads, keep, write: memory.read_provenance(reads, keep, write, "after_write"),
        (noise(2, 6, 1, 4).softmax(-1), noise(2, 6, 4, 3).sigmoid(), noise(2, 6, 4, 3, seed=1)),
    ),
    "effective_rank": (memory.effective_rank, (noise(3, 6, 4),)),
    "participation_ratio": (memory.participation_ratio, (noise(3, 6, 4),)),
    "slot_usage": (memory.slot_usage, (SHARES,)),
    "read_sharpness": (memory.read_sharpness, (SHARES,)),
    "erased_mass": (memory.erased_mass, (noise(6, 2, 4, 3), SHARES, noise(6, 2, 3).sigmoid())),
    "write_overlap": (memory.write_overlap, (SHARES, noise(6, 2, 4).sigmoid())),
    "coherence": (memory.coherence, (noise(6, 2, 4, 3),)),
    "h2o_importance": (memory.h2o_importance, (random_weights(2, 6, 6, causal=True).double(),)),
    "snapkv_importance": (
        lambda weights: memory.snapkv_importance(weights, window=2),
        (random_weights(2, 6, 6, causal=True).double(),),
    ),
    "matrix_crosstalk": (memory.matrix_crosstalk, (noise(3, 4), noise(5, 4), noise(5, 3))),
    "hopfield_energy": (lambda x, xi: memory.hopfield_energy(x, xi, 2.0), (noise(5, 4), noise(3, 4, seed=1))),
    "hopfield_retrieval": (
        lambda x, xi: memory.hopfield_retrieval(x, xi, 2.0, 3, tolerance=0.0),
        (noise(5, 4), noise(3, 4, seed=1)),
    ),
    "hopfield_separation": (memory.hopfield_separation, (noise(5, 4),)),
    "hopfield_basin": (lambda x: memory.hopfield_basin(x, 4.0), (noise(5, 4),)),
    "classical_retrieval": (memory.classical_retrieval, (signs(2, 9), signs(3, 9, 1))),
    "memorisation": (lambda right: memory.memorisation(right, memory.training_subsets(6, 8)), (noise(6, 8).sigmoid(),)),
    "exposure": (memory.exposure, (noise(9), noise(8, seed=1))),
    "noise_fit": (
        lambda right: memory.noise_fit(right, torch.arange(8) % 2 == 0, 3),
        (noise(6, 8).sigmoid(),),
    ),
    "fisher_memory": (memory.fisher_memory, (0.3 * signs(4, 4), noise(4, seed=1))),
    "seen_unseen_auc": (memory.seen_unseen_auc, (noise(9), noise(8, seed=1))),
    "linear_reconstruction": (memory.linear_reconstruction, (noise(40, 5), noise(40, 2, 3, seed=1))),
    "gradient_horizon": (lambda x: memory.gradient_horizon(lambda y: y.cumsum(0), x), (noise(6, 4),)),
}
NO_TENSORS = {"training_subsets", "welch_bound"}
each_measure = pytest.mark.parametrize("name", CASES)


def parts(found: object) -> dict[str, Any]:
    """The fields of a result, or the result itself as one."""
    if dataclasses.is_dataclass(found):
        return {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return {"result": found}


def measured(name: str, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    measure, inputs = CASES[name]
    return parts(measure(*(given.to(dtype) for given in inputs)))


def assert_same(found: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    for field, value in expected.items():
        if isinstance(value, (Tensor, float)):
            as_given = torch.as_tensor(found[field]).double()
            torch.testing.assert_close(
                as_given, torch.as_tensor(value).double(), rtol=tolerance, atol=tolerance, equal_nan=True, msg=field
            )


def test_the_name_that_the_design_gives() -> None:
    found = mv.analysis.memory.linear_capacity(noise(300, 3), uniform_inputs(300, 1))
    assert isinstance(found, mv.analysis.memory.LinearCapacity)


def test_every_function_is_among_the_cases() -> None:
    functions = {name for name in memory.__all__ if inspect.isfunction(getattr(memory, name))}
    assert functions == set(CASES) | NO_TENSORS
    assert analysis.memory is memory


@each_measure
def test_float32_in_float32_out_and_float64_in_float64_out(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        for field, value in measured(name, dtype).items():
            if isinstance(value, Tensor) and value.is_floating_point():
                assert value.dtype == dtype, field
    assert_same(measured(name, torch.float32), measured(name), 1e-4)


@each_measure
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(name: str, dtype: torch.dtype) -> None:
    for value in measured(name, dtype).values():
        if isinstance(value, Tensor) and value.is_floating_point():
            assert value.dtype == torch.float32


@each_measure
def test_no_gradient_and_inputs_as_they_were(name: str) -> None:
    measure, inputs = CASES[name]
    given = [tensor.clone().requires_grad_() for tensor in inputs]
    for value in parts(measure(*given)).values():
        assert not (isinstance(value, Tensor) and value.requires_grad)
    assert all(
        torch.equal(tensor, before) and tensor.grad is None for tensor, before in zip(given, inputs, strict=True)
    )


@each_measure
def test_inference_mode_inside_and_outside(name: str) -> None:
    measure, inputs = CASES[name]
    with torch.inference_mode():
        given = [tensor.clone() for tensor in inputs]
        inside = parts(measure(*given))
    assert_same(inside, measured(name), 1e-12)
    assert_same(parts(measure(*given)), measured(name), 1e-12)


@each_measure
def test_results_are_frozen(name: str) -> None:
    measure, inputs = CASES[name]
    found = measure(*inputs)
    assert isinstance(found, Tensor) or found.__dataclass_params__.frozen
    assert not any(
        isinstance(value, Tensor) and value.data_ptr() == inputs[0].data_ptr() for value in parts(found).values()
    )


@each_measure
def test_refuses_nan_and_what_is_no_tensor(name: str) -> None:
    measure, inputs = CASES[name]
    broken = inputs[0].clone()
    broken.view(-1)[-1] = torch.nan
    with pytest.raises(ValueError, match=r"holds (nan|NaN)"):
        measure(broken, *inputs[1:])
    if "importance" not in name:  # those read their weights as the measures of attention do
        with pytest.raises(MeasureError, match=r"as a real tensor .* got list. Make it a tensor with torch.as_tensor"):
            measure([1.0, 2.0], *inputs[1:])
