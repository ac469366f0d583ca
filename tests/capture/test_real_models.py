"""Real networks: every record equals what a plain run computes."""

from __future__ import annotations

import time

import pytest
import torch

from memviz_widgets import ActivationCache
from tests.real_models import FACES, g2p, minilm, onet, resnet50


def test_onet_records_equal_its_modules() -> None:
    model, x = onet()
    with torch.no_grad():
        cache = ActivationCache.capture(model, x)
        first, plain = model.get_submodule("conv1")(x), model(x)
        assert torch.equal(cache["conv1"], first)
        assert torch.equal(cache["prelu1"], model.get_submodule("prelu1")(first))
    for item, value in enumerate(plain):
        assert torch.equal(cache.get("", item=str(item)), value)
    assert cache.get("", item="2")[:FACES, 1].mean() > 0.99
    assert cache.find("conv3").dims == ("batch", "channel", "height", "width")


def test_g2p_has_a_time_axis_and_ten_calls_of_its_cell() -> None:
    model, ids = g2p()
    with torch.no_grad():
        cache = ActivationCache.capture(model, ids)
        assert torch.equal(cache[""], model(ids))
    assert cache[""][0].argmax(-1).tolist() == [9, 45, 60, 38, 69, 33, 59, 10, 48, 3]
    encoder = cache.find("enc")
    assert encoder.dims == ("batch", "time", "channel") and encoder.shape == (1, 11, 256)
    assert [record.call for record in cache.records if record.path == "dec" and not record.memory] == list(range(10))


def test_minilm_called_by_keywords() -> None:
    model, tokens = minilm()
    with torch.no_grad():
        cache = ActivationCache.capture(model, tokens)
        plain = model(**tokens).last_hidden_state
    assert torch.equal(cache.get("", item="last_hidden_state"), plain)
    assert cache.find("encoder.layer.3.output").dims == ("batch", "time", "channel")
    assert not cache.remarks


def test_resnet50_costs_about_two_forwards() -> None:
    model, x = resnet50()
    with torch.no_grad():
        model(x)
        forward = min(timed(lambda: model(x)) for _ in range(3))
        capture = min(timed(lambda: ActivationCache.capture(model, x)) for _ in range(3))
    assert capture < 1.0 or capture < 6 * forward


def timed(act: object) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    assert callable(act)
    act()
    return time.perf_counter() - start


def test_resnet50_convolutions_equal_a_plain_run() -> None:
    model, x = resnet50()
    seen: dict[str, torch.Tensor] = {}
    handles = [
        part.register_forward_hook(lambda m, a, out, name=name: seen.update({name: out.clone()}))
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Conv2d)
    ]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    with torch.no_grad():
        cache = ActivationCache.capture(model, x)
    assert len(seen) == 53 and all(torch.equal(cache[name], value) for name, value in seen.items())


@pytest.mark.parametrize("budget", ["10 MB", "1 GiB"])
def test_resnet50_never_holds_more_than_its_budget(budget: str) -> None:
    model, x = resnet50()
    with torch.no_grad():
        cache = ActivationCache.capture(model, x, budget=budget)
    values = [cache.value_or_none(record) for record in cache.records]
    held = {id(value): value.nbytes for value in values if isinstance(value, torch.Tensor)}
    assert sum(held.values()) <= cache.held_bytes <= cache.budget_bytes
    assert all(record.available for record in cache.records)
