"""The health report: NaN, scale and range planted; the order of findings; healthy twins; models of the zoo."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.analysis import health

from ..conformance.slot_models import NTM, Loops
from .test_health_memory import Attend
from .test_health_planting import at, found, noise, only, perceptron


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (perceptron, (512, 16)),
        (lambda: nn.LSTM(8, 16, batch_first=True), (4, 50, 8)),
        (lambda: nn.GRU(8, 16, batch_first=True), (4, 50, 8)),
        (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()), (8, 3, 12, 12)),
        (lambda: Attend(causal=True), (2, 24, 32)),
        (lambda: Attend(causal=False), (2, 24, 32)),
        (lambda: Loops(NTM()), (3, 40, 4)),
        (lambda: nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), (32, 12, 32)),
    ],
)
def test_healthy_twin_has_no_finding(model: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    assert [each.sentence for each in found(model(), noise(*shape))] == []


def test_nan_is_found_where_it_begins() -> None:
    model = perceptron()
    with torch.no_grad():
        at(model, "2").weight[5, 0] = math.nan
    finding = only(model, noise(64, 16))
    assert (finding.kind, finding.severity, finding.path, finding.channel) == ("non-finite", "error", "2", 5)
    assert (finding.value, finding.n, finding.before, finding.reached) == (64, 64 * 64, 1, 3)
    assert "The first NaN: 64 of 4096 values of '2'" in finding.sentence
    assert "the last of them '1'. It reached 3 of 3 later layers" in finding.sentence


def test_inf_in_the_first_record_points_at_the_input() -> None:
    x = noise(8, 5, 3)
    x[2, 4, 1] = math.inf
    finding = only(nn.Sequential(nn.Identity()), x)
    assert (finding.path, finding.sample, finding.channel, finding.time, finding.before) == ("0", 2, 1, 4, None)
    assert "The first Inf: 1 of 120 values" in finding.sentence and "model's input as well" in finding.sentence


class Logarithm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).abs().neg().log()


def test_nan_of_a_forward_is_not_put_on_the_layers_inside() -> None:
    finding = only(nn.Sequential(Logarithm()), noise(3, 4))
    assert finding.path == "0" and "comes from the module's own forward" in finding.sentence


def test_a_mask_of_minus_inf_is_no_finding() -> None:
    mask = torch.zeros(40, 40).masked_fill(torch.ones(40, 40).triu(1) > 0, -math.inf)
    assert found(nn.Identity(), mask) == ()


@pytest.mark.parametrize(("factor", "kind"), [(1e6, "exploding scale"), (1e-6, "vanishing scale")])
def test_scale_that_leaves_that_of_the_layers_before(factor: float, kind: str) -> None:
    model = nn.Sequential(*(nn.Linear(32, 32, bias=False) for _ in range(6)), nn.LayerNorm(32))
    with torch.no_grad():
        at(model, "3").weight *= factor
    finding = next(each for each in found(model, noise(40, 32)) if each.kind != "float16 range")
    assert (finding.kind, finding.path, finding.n) == (kind, "3", 3)
    assert 0.01 < finding.value / factor < 1


@pytest.mark.parametrize(
    ("dtype", "largest", "kind"),
    [
        (torch.float16, 40000.0, "overflow near"),
        (torch.float16, 30000.0, None),
        (torch.bfloat16, 2e38, "overflow near"),
        (torch.bfloat16, 40000.0, None),
        (torch.float32, 40000.0, "float16 range"),
        (torch.float32, 30000.0, None),
        (torch.float32, torch.finfo(torch.float32).min, None),  # the fill value of a mask
    ],
)
def test_overflow_near_miss(dtype: torch.dtype, largest: float, kind: str | None) -> None:
    x = noise(4, 5).to(dtype)
    x[1, 2] = largest
    assert [each.kind for each in found(nn.Sequential(nn.Identity()), x)] == ([kind] if kind else [])


def test_findings_come_worst_first_and_reports_say_so() -> None:
    model = nn.Sequential(perceptron(), nn.Sigmoid(), nn.Linear(5, 5))
    with torch.no_grad():
        at(model, "0.0").bias[4] = -100.0
        at(model, "0.4").weight *= 5000
        at(model, "2").weight[0, 0] = math.nan
    with torch.no_grad():
        report = health.report(ActivationCache.capture(model, noise(512, 16)))
    assert [each.severity for each in report.findings] == ["error", "warning", "hint"]
    assert [each.kind for each in report.findings] == ["non-finite", "dead units", "saturated activation"]
    assert not report.healthy and report.of_kind("dead units")[0].places == (4,)


def test_kinds_are_listed_by_severity() -> None:
    ranks = [health.SEVERITIES.index(severity) for severity in health.KINDS.values()]
    assert ranks == sorted(ranks) and set(ranks) == {0, 1, 2}


ZOO = ("gpt2", "llama_bf16", "mamba", "rwkv", "xlstm", "bert", "t5", "whisper", "convnext", "resnet", "longformer")


@pytest.mark.parametrize("name", ZOO)
def test_models_of_the_zoo_raise_nothing(name: str) -> None:
    pytest.importorskip("transformers")
    from ..zoo.catalog import build

    model, keywords = build(name)
    with torch.no_grad():
        cache = ActivationCache.capture(model, keywords)
        report = health.report(cache)
    assert report.records == len(cache.records) and report.unread == ()
    assert [each.sentence for each in report.findings if each.severity == "error"] == []
