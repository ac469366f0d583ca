"""Edits of one tensor: what changes, what stays, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from memviz_widgets import edit
from memviz_widgets.capture.what_if_edits import as_edits
from memviz_widgets.errors import EditError

DIMS = ("batch", "time", "channel")


@pytest.fixture
def tensor() -> Tensor:
    return torch.arange(1.0, 25.0).view(2, 3, 4)


def test_zero_a_channel_and_leave_the_tensor(tensor: Tensor) -> None:
    made = edit.zero(channel=3).apply(tensor, DIMS, "a")
    assert made[..., 3].eq(0).all()
    assert torch.equal(made[..., :3], tensor[..., :3])
    assert tensor[0, 0, 3] == 4


def test_nothing_named_is_everything(tensor: Tensor) -> None:
    assert torch.equal(edit.scale(0.5).apply(tensor, DIMS, "a"), tensor / 2)


def test_positions_on_several_axes_are_their_grid(tensor: Tensor) -> None:
    made = edit.set(0.0, time=[0, 2], channel=[0, -1]).apply(tensor, DIMS, "a")
    assert made[0].tolist() == [[0, 2, 3, 0], [5, 6, 7, 8], [0, 10, 11, 0]]


def test_slices_and_ranges(tensor: Tensor) -> None:
    made = edit.set(0, time=slice(1, None), channel=range(0, 4, 2)).apply(tensor, DIMS, "a")
    assert made[0].tolist() == [[1, 2, 3, 4], [0, 6, 0, 8], [0, 10, 0, 12]]


def test_replace_a_part(tensor: Tensor) -> None:
    made = edit.replace(torch.tensor([7.0, 8.0]), batch=1, channel=[0, 3]).apply(tensor, DIMS, "a")
    assert made[1].tolist() == [[7, 14, 15, 8], [7, 18, 19, 8], [7, 22, 23, 8]]
    assert torch.equal(made[0], tensor[0])


def test_strides_stay(tensor: Tensor) -> None:
    turned = tensor.transpose(1, 2)
    assert edit.zero(time=0).apply(turned, ("batch", "channel", "time"), "a").stride() == turned.stride()


def test_a_function_gets_a_copy(tensor: Tensor) -> None:
    [made] = as_edits(lambda value: value.neg_(), "a")
    assert torch.equal(made.apply(tensor, DIMS, "a"), -tensor)
    assert tensor[0, 0, 0] == 1


def test_steps_of_a_value_that_is_computed_step_by_step(tensor: Tensor) -> None:
    steps = edit.replace(torch.tensor([[5.0], [6.0]]), time=[0, 2], channel=1).by_step(DIMS, (2, 3, 4), "a")
    assert steps.keys() == {0, 2}
    assert steps[2].apply(tensor[:, 2], ("batch", "channel"), "a").tolist() == [[9, 6, 11, 12], [21, 6, 23, 24]]


def test_steps_of_a_function_are_all() -> None:
    assert as_edits(torch.abs, "a")[0].by_step(DIMS, (2, 3, 4), "a").keys() == {0, 1, 2}


@pytest.mark.parametrize(
    ("made", "rows"),
    [
        (edit.zero(head=1), True),
        (edit.set(0.0, head=1), True),
        (edit.scale(2, query=1), True),
        (edit.scale(2, key=1), False),
        (edit.set(1, head=1), False),
        (edit.replace(torch.zeros(1)), False),
    ],
    ids=str,
)
def test_edits_that_multiply_rows(made: edit.Edit, rows: bool) -> None:
    assert made.scales_rows is rows


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (edit.zero(head=1), r"'a' has no axis 'head'; it has batch, time, channel of sizes \(2, 3, 4\)\. Name one"),
        (edit.zero(channel=4), "channel=4 is outside of 'a', which has 4; expected 0 to 3"),
        (edit.zero(time=-4), "time=-4 is outside of 'a', which has 3; expected 0 to 2"),
        (edit.zero(time=[]), r"time=\[\] picks nothing of 'a', which has 3"),
        (edit.zero(time=slice(5, 9)), "time=5:9 picks nothing of 'a'"),
        (edit.replace(torch.zeros(3), channel=1), r"tensor of \(3,\) for a part of \(2, 3, 1\) of 'a'; expected a"),
    ],
)
def test_an_edit_that_does_not_fit(made: edit.Edit, text: str, tensor: Tensor) -> None:
    with pytest.raises(EditError, match=text):
        made.check(DIMS, tuple(tensor.shape), "a")
    with pytest.raises(EditError, match=text):
        made.apply(tensor, DIMS, "a")


def test_a_fraction_does_not_fit_tokens() -> None:
    with pytest.raises(EditError, match=r"0\.5 does not fit 'ids', which is int64; expected a whole number"):
        edit.set(0.5, time=0).apply(torch.zeros(1, 2, dtype=torch.long), ("batch", "time"), "ids")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (torch.zeros(2), r"the edit of 'a' is a Tensor; expected one of mv\.edit, .* Write mv\.edit\.replace"),
        (0.0, r"the edit of 'a' is a float; expected .* Write mv\.edit\.zero"),
        ([], "the edit of 'a' is a list"),
        (dict, "the edit of 'a' is a type"),
    ],
)
def test_what_is_no_edit(given: object, text: str) -> None:
    with pytest.raises(EditError, match=text):
        as_edits(given, "a")


def test_what_a_function_must_give(tensor: Tensor) -> None:
    with pytest.raises(EditError, match="the edit of 'a' gave a NoneType; expected a tensor"):
        as_edits(lambda value: None, "a")[0].apply(tensor, DIMS, "a")
    with pytest.raises(EditError, match=r"gave a tensor of \(2, 3\), torch.float32; expected \(2, 3, 4\)"):
        as_edits(lambda value: value[..., 0], "a")[0].apply(tensor, DIMS, "a")


def test_what_the_arguments_must_be() -> None:
    with pytest.raises(EditError, match=r"channel='red' is a str; expected a position, a list of positions or a slice"):
        edit.zero(channel="red")  # type: ignore[arg-type]
    with pytest.raises(EditError, match=r"scale\(\) was given a list; expected a number"):
        edit.scale([1.0])  # type: ignore[arg-type]
    with pytest.raises(EditError, match=r"replace\(\) was given a float; expected a tensor\. For a number, use set"):
        edit.replace(1.0)  # type: ignore[arg-type]


def test_text() -> None:
    assert str(edit.scale(0.5, head=[1, 2], time=slice(3, None))) == "scale(0.5, head=[1, 2], time=3:)"
    assert str(edit.replace(torch.zeros(2, 3))) == "set(tensor of (2, 3))"
    assert str(as_edits(torch.abs, "a")[0]) == "abs"
