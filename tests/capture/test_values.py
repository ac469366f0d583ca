"""A recorded value is what the module returned, whatever happens to the tensor afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache

from .recording import Adds, Returns, records_of


def test_inplace_activation_does_not_change_the_value_before_it() -> None:
    model, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True)), torch.randn(8, 4)
    cache = ActivationCache.capture(model, x)
    plain = model[0](x)
    assert torch.equal(cache["0"], plain)
    assert torch.equal(cache["1"], plain.relu())


def test_inplace_residual_does_not_change_the_value_before_it() -> None:
    model, x = Adds(), torch.randn(2, 4)
    cache = ActivationCache.capture(model, x)
    assert torch.equal(cache["linear"], model.linear(x))
    assert torch.equal(cache[""], model.linear(x) + x)


def test_write_through_data_after_the_hook_is_a_new_value() -> None:
    class Quiet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.linear(x)
            out.data.add_(1)  # bumps no version
            return out

    cache = ActivationCache.capture(Quiet(), torch.randn(2, 4))
    assert torch.equal(cache[""], cache["linear"] + 1)


def test_buffer_returned_at_every_call_keeps_each_value() -> None:
    class Shared(nn.Module):
        buf = torch.zeros(2)

        def forward(self, x: Tensor) -> Tensor:
            return self.buf.copy_(x)

    def twice(model: Any) -> None:
        model(torch.ones(2))
        model(torch.zeros(2))

    cache = ActivationCache.capture(Shared(), call=twice)
    assert cache.get("", step=0).tolist() == [1, 1] and cache.get("", step=1).tolist() == [0, 0]


def test_inference_mode_gives_normal_tensors() -> None:
    with torch.inference_mode():
        cache = ActivationCache.capture(nn.Linear(4, 4), torch.randn(2, 4))
    value = cache[""]
    assert not value.is_inference() and not value.requires_grad
    value.add_(1)


def test_identity_dropout_and_container_are_one_value() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Identity(), nn.Dropout()).eval()
    cache = ActivationCache.capture(model, torch.randn(2, 4))
    assert len(cache.records) == 4
    assert cache.held_bytes == cache.recorded_bytes == 32
    assert len({id(cache.value(record)) for record in cache.records}) == 1


def test_alias_with_nan_is_one_value() -> None:
    cache = ActivationCache.capture(nn.Sequential(nn.Identity(), nn.Identity()), torch.full((2, 2), torch.nan))
    assert cache.held_bytes == 16


def test_slice_does_not_hold_its_base() -> None:
    cache = ActivationCache.capture(Returns(), (lambda: torch.randn(100, 100)[:, -1],))
    held = cache.value(cache.records[0])
    assert isinstance(held, Tensor) and held.untyped_storage().nbytes() == 400


def test_expanded_tensor_is_held_small() -> None:
    cache = ActivationCache.capture(Returns(), (lambda: torch.ones(1, 1).expand(3000, 3000),))
    assert cache.held_bytes == 4 and cache.records[0].nbytes == 36_000_000
    assert cache[""].shape == (3000, 3000)
    held = cache.value(cache.records[0])
    assert isinstance(held, Tensor) and held.untyped_storage().nbytes() == 4


def test_get_returns_a_copy() -> None:
    cache = ActivationCache.capture(nn.Identity(), torch.ones(2, 2))
    cache[""].zero_()
    assert cache[""].tolist() == [[1, 1], [1, 1]]


def test_gradients_still_flow_through_the_model() -> None:
    model, x, outputs = nn.Linear(2, 2), torch.randn(1, 2), []
    cache = ActivationCache.capture(model, call=lambda m: outputs.append(m(x)))
    outputs[0].sum().backward()
    assert model.weight.grad is not None and not cache[""].requires_grad


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_activation_checkpointing_backward_works_after_capture(use_reentrant: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    class Saves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

        def forward(self, x: Tensor) -> Any:
            return checkpoint(self.block, x, use_reentrant=use_reentrant)

    x, outputs = torch.randn(2, 4, requires_grad=True), []
    cache = ActivationCache.capture(Saves(), call=lambda m: outputs.append(m(x)))
    outputs[0].sum().backward()
    assert x.grad is not None and len(cache.records) == 4


def test_outputs_are_the_same_bits_as_without_capture() -> None:
    model, x, outputs = nn.Sequential(nn.Conv2d(1, 3, 3), nn.GELU(), nn.Conv2d(3, 2, 3)), torch.randn(2, 1, 9, 9), []
    ActivationCache.capture(model, call=lambda m: outputs.append(m(x)))
    assert torch.equal(outputs[0], model(x))


def test_values_inside_vmap_are_noted_and_not_kept() -> None:
    model, x = nn.Linear(2, 2), torch.randn(5, 2)
    cache = ActivationCache.capture(model, call=lambda m: torch.vmap(m)(x))
    assert not cache.records[0].kept and "inside vmap" in cache.records[0].note


def test_meta_tensor_has_shape_and_note() -> None:
    cache = ActivationCache.capture(nn.Linear(2, 3, device="meta"), torch.randn(4, 2, device="meta"))
    record = cache.records[0]
    assert record.shape == (4, 3) and record.stats is None and "meta device" in record.note


def test_fake_tensor_has_shape_and_note() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    model = nn.Linear(4, 3)
    with FakeTensorMode(allow_non_fake_inputs=True):
        record = ActivationCache.capture(model, torch.randn(2, 4)).records[0]
    assert record.shape == (2, 3) and not record.kept and "fake tensor" in record.note


def test_nested_tensor_is_shown_padded() -> None:
    parts = torch.nested.nested_tensor([torch.ones(3, 2), torch.ones(1, 2)])
    record = records_of(parts)[0]
    assert record.shape == (2, 3, 2) and "padded with zeros" in record.note
    assert record.stats is not None and record.stats.count == 8 and record.stats.zeros == 0


@pytest.mark.filterwarnings("ignore")
def test_transformer_encoder_with_padding_runs_and_answers_as_without_capture() -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    model, x = nn.TransformerEncoder(layer, 2).eval(), torch.randn(2, 6, 16)
    pad = torch.tensor([[False] * 6, [False] * 4 + [True] * 2])
    outputs: list[Tensor] = []
    with torch.no_grad():
        plain = model(x, src_key_padding_mask=pad)
        cache = ActivationCache.capture(model, call=lambda m: outputs.append(m(x, src_key_padding_mask=pad)))
    assert torch.allclose(outputs[0], plain, atol=1e-6)
    assert cache.find("layers.0").shape == (2, 6, 16) and not cache.remarks
