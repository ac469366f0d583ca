"""Tensors of other tools become records: named, with dims, and refused with a reason."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from memviz_widgets.cache.foreign import records_from_attentions, records_from_tensors
from memviz_widgets.errors import DimsError, InputError
from memviz_widgets.records import Draft, TensorRecord


class Pair(NamedTuple):
    mean: torch.Tensor
    logits: torch.Tensor


@dataclass
class Output:
    hidden: torch.Tensor
    loss: float


def places(found: list[tuple[Draft, Any]]) -> list[tuple[str, str]]:
    return [(record.path, record.item) for record, _ in found]


def weights(*shape: int) -> torch.Tensor:
    return torch.rand(*shape).softmax(-1)


# -- tensors


def test_a_record_says_what_a_tensor_is() -> None:
    tensor = torch.zeros(2, 3, 4, 5)
    [(record, live)] = records_from_tensors({"conv1": tensor})
    assert live is tensor
    assert record.record() == TensorRecord(
        index=0,
        path="conv1",
        module_type="Tensor",
        call=0,
        kind="output",
        item="",
        dims=("batch", "channel", "height", "width"),
        shape=(2, 3, 4, 5),
        dtype="float32",
        device="cpu",
        nbytes=480,
        stats=None,
        kept=False,
        note="",
    )


def test_nests_become_items_in_order() -> None:
    a, b = torch.zeros(1), torch.zeros(2)
    found = records_from_tensors({"x": [a, {"k": b}], "y": Pair(a, b), "z": Output(b, 0.5), "": a})
    assert places(found) == [("x", "0"), ("x", "1.k"), ("y", "mean"), ("y", "logits"), ("z", "hidden"), ("", "")]
    assert [record.index for record, _ in found] == [0, 1, 2, 3, 4, 5]
    assert [record.module_type for record, _ in found] == ["list", "list", "Pair", "Pair", "Output", "Tensor"]


def test_arrays_are_tensors_on_the_same_memory() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    [(record, live), (inner, _)] = records_from_tensors({"x": array, "y": {"a": (array,)}})
    assert live is not None and live.data_ptr() == array.ctypes.data
    assert (record.dtype, record.shape, record.module_type) == ("float32", (2, 3), "ndarray")
    assert (inner.item, inner.shape) == ("a.0", (2, 3))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(4, dtype=">f4"),
        np.arange(4)[::-1],
        np.broadcast_to(np.float64(2), (3,)),
        np.array(5),
        np.float32(2.5),
        np.zeros((0, 3), np.uint16),
    ],
    ids=["big-endian", "reversed", "read-only", "0-dim", "scalar", "empty"],
)
def test_arrays_of_every_layout(array: np.ndarray[Any, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [(_, live)] = records_from_tensors({"x": array})
    assert live is not None and live.shape == np.shape(array)
    assert live.tolist() == array.tolist()


def test_a_bfloat16_array_is_a_bfloat16_tensor() -> None:
    types = pytest.importorskip("ml_dtypes", reason="bfloat16 arrays come with jax")
    [(_, live)] = records_from_tensors({"x": np.array([1.5, -2.0], types.bfloat16)})
    assert live is not None and live.dtype == torch.bfloat16 and live.tolist() == [1.5, -2.0]


def test_what_is_no_tensor_beside_one_is_a_note() -> None:
    [_, (record, live)] = records_from_tensors({"x": (torch.zeros(2), object())})
    assert live is None and record.dtype == ""
    assert record.note == "object: not a tensor, and no tensor in it"


def test_a_tensor_without_values_is_a_note() -> None:
    [(record, live)] = records_from_tensors({"x": torch.zeros(2, device="meta")})
    assert live is None and record.shape == (2,)
    assert record.note == "on the meta device: it has no values, shape only"


@pytest.mark.parametrize(
    ("name", "shape", "dims"),
    [
        ("x", (), ()),
        ("x", (3,), ("channel",)),
        ("x", (3, 4), ("batch", "channel")),
        ("x", (3, 4, 5), ("batch", "time", "channel")),
        ("x", (3, 4, 5, 6), ("batch", "channel", "height", "width")),
        ("x", (3, 4, 5, 6, 7), ("batch", "channel", "depth", "height", "width")),
        ("x", (1,) * 6, ("axis0", "axis1", "axis2", "axis3", "axis4", "axis5")),
        ("block.0.attn", (3, 4, 5, 5), ("batch", "head", "query", "key")),
        ("block.0.attn", (3, 4, 5), ("batch", "time", "channel")),
        ("attn.conv", (3, 4, 5, 5), ("batch", "channel", "height", "width")),
        ("cache.0.keys", (3, 4, 5, 6), ("batch", "head", "time", "channel")),
    ],
)
def test_dims_by_shape_and_name(name: str, shape: tuple[int, ...], dims: tuple[str, ...]) -> None:
    [(record, _)] = records_from_tensors({name: torch.zeros(shape)})
    assert record.dims == dims


def test_the_name_of_a_nest_tells_too() -> None:
    found = records_from_tensors({"attentions": (weights(1, 2, 3, 3), weights(1, 2, 3, 3))})
    assert {record.dims for record, _ in found} == {("batch", "head", "query", "key")}


def test_dims_as_one_text_are_for_all() -> None:
    found = records_from_tensors({"a.b": torch.zeros(2, 3), "c": torch.zeros(4, 5)}, dims="time channel")
    assert {record.dims for record, _ in found} == {("time", "channel")}


def test_the_first_pattern_that_matches_names_the_dims() -> None:
    tensors = {"enc.0": torch.zeros(2, 3), "enc.1": (torch.zeros(2, 3), torch.zeros(2, 3)), "head": torch.zeros(2, 3)}
    found = records_from_tensors(tensors, dims={"enc.1[1]": "slot width", "enc.*": ("time", "channel")})
    assert [record.dims for record, _ in found] == [
        ("time", "channel"),
        ("time", "channel"),
        ("slot", "width"),
        ("batch", "channel"),
    ]


def test_dims_need_fit_the_first_tensor_of_a_nest_only() -> None:
    found = records_from_tensors({"lstm": (torch.zeros(2, 3), torch.zeros(4))}, dims="time channel")
    assert [record.dims for record, _ in found] == [("time", "channel"), ("channel",)]


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ([torch.zeros(2)], "tensors is a list; expected a mapping of names to tensors or arrays."),
        ({}, "tensors is empty; give at least one tensor or array with a name."),
        ({3: torch.zeros(2)}, "tensors has the key 3; names must be text: write '3'."),
        ({"x": 0.5}, "'x' is a float with no tensor or array in it; give one, or a nest."),
        ({"x": []}, "'x' is a list with no tensor or array in it"),
        ({"x": np.array(["a"])}, "'x' is an array of <U1, which torch does not have; convert it, as with"),
        ({"x": [np.array(["a"])]}, r"'x\[0\]' is an array of <U1, which torch"),
        ({"x": np.ma.masked_array([1.0], [True])}, r"'x' is a masked array, and a tensor has no mask; give x.filled"),
    ],
    ids=["list", "empty", "key", "number", "empty nest", "text", "text in a nest", "masked"],
)
def test_tensors_that_cannot_be_shown_are_refused(tensors: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        records_from_tensors(tensors)


@pytest.mark.parametrize(
    ("dims", "text"),
    [
        (
            "time channel",
            r"dims gives 2 names \(time channel\) for '\*', but 'conv1' has 3 axes \(2, 3, 4\). Give 3 names for it: "
            r"dims=\{'conv1': '...'\}",
        ),
        ({"conv": "time"}, r"dims: no tensor is named 'conv'; nearest is 'conv1'. Names are the keys of tensors"),
        ({5: "time"}, "dims: no tensor is named 5"),
        ("time time channel", "dims is 'time time channel': a name stands twice; each axis needs a name of its own"),
        ({"conv1": "a 1"}, r"dims\['conv1'\] is 'a 1': '1' is no name; write names of letters"),
        (7, "dims is 7: expected names such as 'batch time channel'"),
    ],
    ids=str,
)
def test_dims_that_do_not_fit_are_refused(dims: Any, text: str) -> None:
    with pytest.raises(DimsError, match=text):
        records_from_tensors({"conv1": torch.zeros(2, 3, 4)}, dims)


# -- attentions


def test_attentions_are_a_record_per_layer() -> None:
    attentions = (weights(1, 2, 3, 4), weights(1, 2, 3, 4))
    found = records_from_attentions(attentions, tokens=["a", "b", "c", "d"])
    assert [live for _, live in found] == list(attentions)
    assert [(record.path, record.kind, record.step) for record, _ in found] == [
        ("layer.0", "attention", 0),
        ("layer.1", "attention", 0),
    ]
    assert {record.dims for record, _ in found} == {("batch", "head", "query", "key")}


def test_attentions_without_a_batch_get_one() -> None:
    [(record, live)] = records_from_attentions([np.zeros((2, 3, 4), np.float32)])
    assert record.shape == (1, 2, 3, 4) and live is not None and live.shape == (1, 2, 3, 4)


def test_a_layer_without_attention_keeps_its_number() -> None:
    found = records_from_attentions([None, weights(1, 2, 3, 3)])
    assert [(record.index, record.path) for record, _ in found] == [(0, "layer.1")]


def test_attentions_of_generate_have_steps() -> None:
    found = records_from_attentions(((weights(1, 2, 3, 3),), (weights(1, 2, 1, 4),)), tokens=list("abcd"))
    assert [(record.path, record.step, record.shape) for record, _ in found] == [
        ("layer.0", 0, (1, 2, 3, 3)),
        ("layer.0", 1, (1, 2, 1, 4)),
    ]


@pytest.mark.parametrize(
    ("attentions", "text"),
    [
        (None, r"attentions is None; expected a tensor \(batch, head, query, key\) per layer. Models of transformers"),
        ([], "attentions holds no tensor; expected a tensor .* attn_implementation='eager'"),
        ((None, None), "attentions holds no tensor; expected a tensor .* output_attentions=True"),
        (torch.zeros(1, 2, 3, 3), r"attentions is one tensor of shape \(1, 2, 3, 3\); expected a tensor"),
        ([torch.zeros(3, 3)], r"attentions\[0\] has shape \(3, 3\); expected 4 axes \(batch, head, query, key\), or 3"),
        ([["x"]], r"attentions\[0\]\[0\] is a str; expected a tensor"),
        (
            [torch.zeros(1, 2, 3, 3), []],
            r"attentions\[0\] is a Tensor among sequences; expected tensors, one per layer",
        ),
    ],
    ids=["none", "empty", "all none", "one tensor", "rank 2", "text", "mixed"],
)
def test_attentions_that_are_none_are_refused(attentions: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        records_from_attentions(attentions)


@pytest.mark.parametrize("tokens", [["a", "b", "c"], [["a", "b", "c"], ["d", "e", "f"]], ("a", "b", "c")], ids=str)
def test_tokens_are_one_per_key(tokens: Any) -> None:
    assert len(records_from_attentions([weights(2, 1, 5, 3)], tokens)) == 1


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["a", "b"], "tokens has 2 texts, but the attention is over 3 keys; give one per key."),
        ([["a", "b", "c"], ["d"]], "tokens has 1 texts, but the attention is over 3 keys"),
        ("abc", "tokens is 'abc'; expected a list with the text of each of the 3 keys"),
        (3, "tokens is 3; expected a list"),
    ],
    ids=str,
)
def test_other_tokens_are_refused(tokens: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        records_from_attentions([weights(2, 1, 5, 3)], tokens)
