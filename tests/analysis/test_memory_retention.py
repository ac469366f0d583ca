"""Time constants, retention and provenance against closed forms and recurrences run in a loop."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import MambaConfig, MambaModel

import memviz_widgets as mv
from memviz_widgets.analysis.memory import TRUSTED_RESIDUAL, half_lives, provenance, retention, time_constants
from memviz_widgets.errors import MeasureError

from .memory_runs import noise

# Time constants


def test_time_constants_of_constant_gates() -> None:
    keep = torch.tensor([0.5, 0.9, 0.99]).double().expand(7, 2, 3)
    assert time_constants(keep).tolist() == pytest.approx([1.4427, 9.4912, 99.4992], abs=1e-4)
    assert half_lives(keep).tolist() == pytest.approx([1, 6.5788, 68.9676], abs=1e-4)


def test_logarithms_are_averaged_and_not_gates() -> None:
    keep = torch.tensor([[0.99], [0.5]]).repeat(10, 1)
    assert time_constants(keep).item() == pytest.approx(2.844, abs=1e-3)  # the mean gate would say 3.40


def test_wiped_and_never_forgetting_units() -> None:
    keep = torch.tensor([[0.0, 1.0], [0.9, 1.0]])
    assert time_constants(keep).tolist() == [0, math.inf]


def test_state_space_layer() -> None:
    step, rate = 0.05, 2.0
    assert time_constants(torch.tensor([math.exp(-step * rate)])).item() == pytest.approx(10)  # 1 / (dt |A|)


def test_chrono_bias() -> None:
    """Tallec & Ollivier: a forget bias of ln u keeps for about u steps, here exactly u + 1/2 to 1 / (12 u)."""
    keep = torch.tensor([math.log(8.0), math.log(100.0)]).double().sigmoid()
    assert time_constants(keep).tolist() == pytest.approx([8.5, 100.5], abs=0.02)


def test_fresh_lstm_keeps_for_about_one_and_a_half_steps() -> None:
    cache = mv.ActivationCache.capture(torch.nn.LSTM(16, 256), torch.randn(50, 4, 16))
    assert time_constants(cache.get("", "gate.f", item="l0")).median().item() == pytest.approx(1.44, abs=0.02)


def test_fresh_mamba_keeps_for_one_to_a_thousand_steps() -> None:
    """dt is drawn from .001 to .1 and A is -1 to -16, so that 1 / (dt |A|) is .625 to 1000."""
    config = MambaConfig(vocab_size=10, hidden_size=64, num_hidden_layers=1, state_size=16)
    mixer: Any = MambaModel(config).layers[0].mixer
    rate = torch.nn.functional.softplus(mixer.dt_proj.bias).detach().unsqueeze(-1) * mixer.A_log.detach().exp()
    found = time_constants((-rate.double()).exp().flatten().unsqueeze(0))
    torch.testing.assert_close(found, (1 / rate.double()).flatten(), rtol=1e-6, atol=0)
    assert 0.62 < found.min() < 1 and 800 < found.max() < 1001


def test_a_keep_beyond_1_has_no_time_constant() -> None:
    with pytest.raises(
        MeasureError, match=r"keep is 1\.5 at \(0, 1\); expected 0 to 1\. Give the gate after its sigmoid"
    ):
        time_constants(torch.tensor([[0.5, 1.5]]))


# Retention


def test_constant_gate_decays_by_its_powers() -> None:
    found = retention(torch.full((30, 2, 1), 0.9, dtype=torch.float64))
    assert found.curve.squeeze(-1).tolist() == pytest.approx([0.9**lag for lag in range(30)])
    assert found.horizon.item() == found.mean_horizon == 10  # .9^9 = .387, .9^10 = .349
    assert found.samples.tolist() == [2 * (30 - lag) for lag in range(30)]


def test_retention_of_changing_gates_by_hand() -> None:
    found = retention(torch.tensor([[0.0], [0.5], [-1.0]]))  # lag 1: .5, -1; lag 2: -.5
    assert found.curve.squeeze(-1).tolist() == [1, -0.25, -0.5]


def test_horizon_that_is_not_reached_is_nan() -> None:
    found = retention(torch.tensor([1.0, 0.1]).expand(5, 2), max_lag=3)
    assert found.horizon.isnan().tolist() == [True, False] and found.horizon[1] == 1
    assert found.mean_curve.tolist() == pytest.approx([1, 0.55, 0.505, 0.5005]) and math.isnan(found.mean_horizon)


def test_retention_refuses_other_lags() -> None:
    with pytest.raises(MeasureError, match="max_lag=5; expected a whole number, 0 to 4"):
        retention(torch.ones(5, 2), 5)


# Provenance


def run(keep: Tensor, write: Tensor, initial: Tensor) -> Tensor:
    state, states = initial, []
    for step in range(len(write)):
        state = keep[step] * state + write[step]
        states.append(state)
    return torch.stack(states)


def test_parts_add_up_to_the_memory() -> None:
    keep, write, initial = noise(12, 2, 5).sigmoid(), noise(12, 2, 5, seed=1), noise(2, 5, seed=2)
    found = provenance(keep, write, initial=initial, content=run(keep, write, initial))
    assert found.residual < 1e-14
    torch.testing.assert_close(found.share.sum(-1) + found.initial_share, torch.ones(2, 12).double())


def test_constant_gate_writes_a_row_of_powers() -> None:
    found = provenance(torch.full((1, 1, 1), 0.5), torch.ones(4, 1, 1))
    assert found.amount[0, 3].tolist() == [0.125, 0.25, 0.5, 1]
    assert found.share[0, 3].tolist() == pytest.approx([1 / 15, 2 / 15, 4 / 15, 8 / 15])
    assert found.amount[0].triu(1).eq(0).all() and math.isnan(found.residual)


def test_slots_with_a_negative_keep() -> None:
    keep, write, initial = noise(6, 2, 3, 4), noise(6, 2, 3, 4, seed=1), torch.zeros(2, 3, 4).double()
    found = provenance(keep, write, content=run(keep, write, initial))
    assert found.residual < 1e-13 and found.amount.shape == (2, 6, 6)
    assert found.amount[1, 2, 1].item() == pytest.approx(float((keep[2, 1] * write[1, 1]).norm()))


def test_memory_that_never_changes_was_written_by_no_step() -> None:
    found = provenance(torch.ones(4, 1, 3), torch.zeros(4, 1, 3), initial=torch.ones(1, 3))
    assert not found.share.any() and not found.amount.any() and found.initial_share.eq(1).all()
    empty = provenance(torch.ones(4, 1, 3), torch.zeros(4, 1, 3))
    assert not empty.share.any() and not empty.initial_share.any()


def test_a_run_with_other_gates_is_not_trusted() -> None:
    keep, write, initial = noise(6, 1, 3).sigmoid(), noise(6, 1, 3, seed=1), torch.zeros(1, 3).double()
    assert provenance(keep.flip(0), write, content=run(keep, write, initial)).residual > TRUSTED_RESIDUAL


def test_provenance_without_a_width() -> None:
    assert provenance(torch.full((3, 2), 0.5), -torch.ones(3, 2)).amount[0, 2].tolist() == [0.25, 0.5, 1]


@pytest.mark.parametrize("name", ["keep", "initial", "content"])
def test_provenance_refuses_other_axes(name: str) -> None:
    given = {"keep": torch.ones(4, 2, 3), "initial": torch.ones(2, 3), "content": torch.ones(4, 2, 3)}
    given[name] = given[name][..., :2]
    with pytest.raises(
        MeasureError, match=rf"{name} is torch.float64 of shape .*; expected the axes of write, .*\(?2, 3\)"
    ):
        provenance(given["keep"], torch.ones(4, 2, 3), initial=given["initial"], content=given["content"])
