"""Names of axes: torch's own modules, what follows from tensors seen before, defaults, overrides."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.errors import DimsError

from .recording import Returns, dims_of

R = torch.randn


@pytest.mark.parametrize(
    ("model", "x", "expected"),
    [
        (nn.Conv1d(2, 3, 3), R(1, 2, 9), "batch channel time"),
        (nn.Conv1d(2, 3, 3), R(2, 9), "channel time"),
        (nn.Conv2d(2, 3, 3), R(1, 2, 9, 9), "batch channel height width"),
        (nn.Conv2d(2, 3, 3), R(2, 9, 9), "channel height width"),
        (nn.ConvTranspose2d(2, 3, 3), R(1, 2, 9, 9), "batch channel height width"),
        (nn.Conv3d(2, 3, 3), R(1, 2, 5, 5, 5), "batch channel depth height width"),
        (nn.Conv3d(2, 3, 3), R(2, 5, 5, 5), "channel depth height width"),
        (nn.Linear(4, 3), R(4), "channel"),
        (nn.Linear(4, 3), R(2, 4), "batch channel"),
        (nn.Linear(4, 3), R(2, 5, 4), "batch time channel"),
        (nn.Linear(4, 3), R(2, 5, 6, 4), "batch height width channel"),
        (nn.Embedding(9, 4), torch.zeros(2, 5, dtype=torch.long), "batch time channel"),
        (nn.LayerNorm(4), R(2, 5, 4), "batch time channel"),
        (nn.LayerNorm(4), R(2, 5, 6, 4), "batch height width channel"),
        (nn.LayerNorm((4, 5, 6)), R(2, 4, 5, 6), "batch channel height width"),
        (nn.BatchNorm1d(4), R(2, 4), "batch channel"),
        (nn.BatchNorm1d(4), R(2, 4, 5), "batch channel time"),
        (nn.BatchNorm2d(4), R(2, 4, 5, 6), "batch channel height width"),
        (nn.BatchNorm3d(4), R(2, 4, 5, 6, 7), "batch channel depth height width"),
        (nn.GroupNorm(2, 4), R(2, 4, 5), "batch channel time"),
        (nn.InstanceNorm1d(4), R(4, 5), "channel time"),
        (nn.MaxPool1d(2), R(1, 2, 8), "batch channel time"),
        (nn.AdaptiveAvgPool2d(1), R(1, 2, 8, 8), "batch channel height width"),
        (nn.LSTMCell(3, 4), R(2, 3), "batch channel"),
        (nn.ReLU(), R(2, 3, 4), "batch time channel"),
        (nn.Identity(), R(2, 3, 4, 5), "batch channel height width"),
        (nn.Identity(), R(2, 3, 4, 5, 6), "batch channel depth height width"),
        (nn.Identity(), R(1, 1, 1, 1, 1, 1), "axis0 axis1 axis2 axis3 axis4 axis5"),
        (nn.Identity(), torch.tensor(1.0), ""),
    ],
)
def test_single_modules(model: nn.Module, x: Tensor, expected: str) -> None:
    assert " ".join(ActivationCache.capture(model, x).records[0].dims) == expected


@pytest.mark.parametrize("kind", [nn.GRU, nn.RNN])
def test_recurrent_layers(kind: Any) -> None:
    assert dims_of(kind(3, 4), R(5, 2, 3)) == {"(model)[0]": "time batch channel", "(model)[1]": "layer batch channel"}
    assert dims_of(kind(3, 4, batch_first=True), R(2, 5, 3))["(model)[0]"] == "batch time channel"
    assert dims_of(kind(3, 4), R(5, 3)) == {"(model)[0]": "time channel", "(model)[1]": "layer channel"}


def test_lstm_has_two_states() -> None:
    assert dims_of(nn.LSTM(3, 4, 2), R(5, 2, 3)) == {
        "(model)[0]": "time batch channel",
        "(model)[1.0]": "layer batch channel",
        "(model)[1.1]": "layer batch channel",
    }


def test_lstm_of_a_packed_sequence() -> None:
    packed = nn.utils.rnn.pack_sequence([R(5, 3), R(2, 3)])
    assert dims_of(nn.LSTM(3, 4), packed)["(model)[0.data]"] == "time channel"


def test_attention_output_and_weights() -> None:
    attention, q = nn.MultiheadAttention(8, 2, batch_first=True), R(2, 5, 8)
    assert dims_of(attention, q, q, q) == {"(model)[0]": "batch time channel", "(model)[1]": "batch query key"}
    per_head = ActivationCache.capture(attention, call=lambda m: m(q, q, q, average_attn_weights=False))
    assert per_head.find("", item="1").dims == ("batch", "head", "query", "key")
    alone = dims_of(nn.MultiheadAttention(8, 2), q[0], q[0], q[0])
    assert alone == {"(model)[0]": "time channel", "(model)[1]": "query key"}


def test_sequences_that_put_time_first_stay_so_in_every_layer() -> None:
    dims = dims_of(
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 1, enable_nested_tensor=False), R(5, 2, 8)
    )
    assert {text for label, text in dims.items() if "self_attn[1]" not in label} == {"time batch channel"}


def test_linear_keeps_the_axes_before_the_last() -> None:
    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.GRU(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Any:
            return self.head(self.rnn(x)[0])

    assert dims_of(TimeFirst(), R(5, 2, 3))["head"] == "time batch channel"


def test_container_has_the_dims_of_the_child_whose_tensor_it_returns() -> None:
    assert dims_of(nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU()), R(1, 2, 9)) == {
        "0": "batch channel time",
        "1": "batch channel time",
        "(model)": "batch channel time",
    }


def test_new_tensor_of_a_known_shape_has_the_latest_dims_of_that_shape() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(2, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.add(x, self.conv(x))

    assert dims_of(Residual(), R(1, 2, 9))["(model)"] == "batch channel time"


def test_flatten_merges_channels_or_places() -> None:
    assert dims_of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), R(4, 1, 8, 8))["1"] == "batch channel"
    assert dims_of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(2)), R(4, 1, 8, 8))["1"] == "batch channel time"


def test_one_axis_is_the_batch_when_it_is_as_long() -> None:
    class Score(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum(1)

    assert dims_of(Score(), R(7, 3)) == {"(model)": "batch"}
    assert dims_of(Returns(), lambda: R(7)) == {"(model)": "channel"}


def test_attention_weights_of_transformers() -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(num_hidden_layers=1, hidden_size=16, num_attention_heads=2, intermediate_size=8, vocab_size=9)
    config._attn_implementation = "eager"
    ids = torch.zeros(1, 4, dtype=torch.long)
    cache = ActivationCache.capture(BertModel(config), {"input_ids": ids, "output_attentions": True})
    assert cache.find("encoder.layer.0.attention.self", item="1").dims == ("batch", "head", "query", "key")
    assert cache.find("", item="attentions.0").dims == ("batch", "head", "query", "key")


def test_overrides_by_pattern_and_item() -> None:
    model, x = nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 4)), R(2, 5, 3)
    dims = dims_of(model, x, dims={"0": "sample frame feature", "1[1]": ["stack", "batch", "channel"]})
    assert dims["0"] == "sample frame feature" and dims["1[1]"] == "stack batch channel"


def test_override_of_a_module_leaves_items_that_it_does_not_fit() -> None:
    q = R(2, 5, 8)
    dims = dims_of(nn.MultiheadAttention(8, 2), q, q, q, dims={"": "a b c"})
    assert dims == {"(model)[0]": "a b c", "(model)[1]": "a b c"}


@pytest.mark.parametrize(
    ("dims", "text"),
    [
        (
            {"0": "batch time"},
            r"dims\['0'\] gives 2 names \(batch time\), but the output of '0' has 3 axes. Give 3 names",
        ),
        ({"9.*": "batch"}, r"dims: no module matches '9\.\*' \(3 modules\).*Paths are those of model"),
        ({"0": "batch batch"}, r"dims\['0'\] is 'batch batch': a name stands twice"),
        ({"0": ""}, r"dims\['0'\] is '': expected names such as 'batch time channel'"),
        ({"0": "batch time-step"}, r"'time-step' is no name; write names of letters"),
        ({1: "batch"}, r"dims= has the key 1; expected a module path"),
        ("batch time", r"dims= is a str; expected a mapping such as \{'encoder"),
    ],
)
def test_errors(dims: Any, text: str) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    with pytest.raises(DimsError, match=text):
        ActivationCache.capture(model, R(2, 5, 3), dims=dims)
    assert not model[0]._forward_hooks


class Attention(nn.Module):
    """Its weights exist as tensors of (B, N, Q, K), or (B, Q, K), only between its own Softmax and Dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.softmax, self.drop = nn.Softmax(-1), nn.Dropout()

    def forward(self, scores: Tensor) -> Tensor:
        weights: Tensor = self.drop(self.softmax(scores)).sum(-1)
        return weights


@pytest.mark.parametrize(
    ("shape", "dims"),
    [((2, 4, 5, 5), "batch head query key"), ((2, 5, 5), "batch query key"), ((2, 5), "batch channel")],
)
def test_softmax_and_dropout_of_an_attention_module_give_weights(shape: tuple[int, ...], dims: str) -> None:
    found = dims_of(Attention(), torch.ones(shape))
    assert found["softmax"] == found["drop"] == dims


def test_dropout_of_a_picture_in_an_attention_module_stays_a_picture() -> None:
    class SpatialAttention(nn.Sequential):
        pass

    model = SpatialAttention(nn.Conv2d(2, 3, 1), nn.Dropout())
    assert dims_of(model, torch.ones(2, 2, 4, 4))["1"] == "batch channel height width"


class HeadsAttention(nn.Module):
    """Sends its heads through a layer, before or after the time."""

    def __init__(self, *, time_first: bool, in_config: bool = False) -> None:
        super().__init__()
        self.norm, self.time_first = nn.LayerNorm(8), time_first
        if in_config:
            self.config = SimpleNamespace(num_attention_heads=4, num_key_value_heads=2)
        else:
            self.num_heads = 4

    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (-1, 8))
        result: Tensor = self.norm(heads if self.time_first else heads.transpose(1, 2)).sum()
        return result


@pytest.mark.parametrize(
    ("time_first", "heads", "steps", "dims"),
    [
        (False, 4, 6, "batch head time channel"),
        (True, 4, 6, "batch time head channel"),
        (False, 3, 6, "batch height width channel"),  # no number that the module says
        (True, 4, 4, "batch height width channel"),  # could be either
    ],
)
def test_heads_on_their_way_through_an_attention_module(time_first: bool, heads: int, steps: int, dims: str) -> None:
    assert dims_of(HeadsAttention(time_first=time_first), R(2, steps, heads * 8))["norm"] == dims


@pytest.mark.parametrize("heads", [4, 2])
def test_heads_that_a_configuration_counts(heads: int) -> None:
    found = dims_of(HeadsAttention(time_first=True, in_config=True), R(2, 6, heads * 8))
    assert found["norm"] == "batch time head channel"


def test_a_picture_whose_channels_were_moved_behind_its_places() -> None:
    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.projection = nn.Conv2d(3, 6, 4, 4)

        def forward(self, x: Tensor) -> Tensor:
            moved: Tensor = self.projection(x).permute(0, 2, 3, 1)
            return moved

    found = dims_of(nn.Sequential(Patches(), nn.LayerNorm(6)), R(2, 3, 16, 20))
    assert found["0.projection"] == "batch channel height width"
    assert found["0"] == found["1"] == "batch height width channel"
    assert dims_of(nn.Identity(), R(2, 3, 4, 5).to(memory_format=torch.channels_last))["(model)"] == (
        "batch channel height width"
    )


def test_named_item_of_a_module_with_attention_in_its_name_is_not_taken_for_weights() -> None:
    class MaskedAttentionDecoder(Returns):
        pass

    made = {"masks": torch.ones(2, 5, 8, 8), "attn_weights": torch.ones(2, 4, 5, 6)}
    found = dims_of(MaskedAttentionDecoder(), lambda: made)
    assert found["(model)[masks]"] == "batch channel height width"
    assert found["(model)[attn_weights]"] == "batch head query key"


def test_result_with_another_number_of_channels_has_the_dims_of_the_input() -> None:
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(1, keepdim=True)

    assert dims_of(nn.Sequential(nn.Conv1d(2, 3, 1), Mean()), torch.ones(2, 2, 7))["1"] == "batch channel time"


def test_one_axis_of_a_packed_batch_is_the_batch() -> None:
    class Lengths(nn.Module):
        def forward(self, packed: Any) -> Tensor:
            return nn.utils.rnn.pad_packed_sequence(packed)[1]

    packed = nn.utils.rnn.pack_sequence([torch.ones(3, 2), torch.ones(2, 2)])
    assert dims_of(Lengths(), packed)["(model)"] == "batch"
