"""ImageOverlay from Python: pictures in every form, what is refused, what travels."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from traitlets import TraitError

from memviz_widgets.errors import InputError, UnknownOptionError
from memviz_widgets.views import ImageOverlay
from memviz_widgets.views.input_pictures import MOST_SIDE_PX, InputPicture, input_pictures
from tests.views.bare_view import bare


def pixels(picture: InputPicture) -> NDArray[np.uint8]:
    """What a browser would show of the PNG."""
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"))


def one(image: object) -> InputPicture:
    (picture,) = input_pictures(image)
    return picture


RED = torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1).expand(3, 2, 5)


@pytest.mark.parametrize(
    "image",
    [
        RED,
        RED[None],
        RED.movedim(0, -1),
        RED.numpy(),
        RED.bfloat16(),
        (RED * 255).to(torch.uint8),
        (RED * 255).long(),
        [RED],
        Image.new("RGB", (5, 2), "red"),
        Image.new("RGBA", (5, 2), "red"),
        torch.cat([RED, torch.ones(1, 2, 5)]),
        RED.clone().requires_grad_(),
    ],
)
def test_picture_in_any_form_is_the_same_png(image: object) -> None:
    picture = one(image)
    assert (picture.width, picture.height, picture.note) == (5, 2, "")
    assert (pixels(picture) == [255, 0, 0]).all()


def test_grey_picture_has_three_equal_channels() -> None:
    assert pixels(one(torch.tensor([[0.0, 1.0]]))).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    assert pixels(one(torch.ones(1, 5, 6, dtype=torch.bool))).shape == (5, 6, 3)


def test_values_outside_0_to_1_are_stretched_and_said() -> None:
    picture = one(torch.tensor([-2.0, 0.0, 2.0]).reshape(1, 1, 3))
    assert pixels(picture)[0, :, 0].tolist() == [0, 128, 255]
    assert picture.note == "picture values -2 .. 2 stretched to black .. white"


def test_nan_and_infinity_are_black_and_white() -> None:
    values = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.5]).reshape(1, 2, 2)
    assert pixels(one(values))[..., 0].tolist() == [[0, 255], [0, 128]]


def test_constant_picture_outside_0_to_1_is_no_division_by_zero() -> None:
    assert pixels(one(torch.full((1, 2, 2), 7.0))).max() == 0


def test_both_ends_could_be_channels() -> None:
    torch_way, numpy_way = torch.zeros(3, 5, 3), np.zeros((3, 5, 3))
    assert (one(torch_way).height, one(torch_way).width) == (5, 3)
    assert (one(numpy_way).height, one(numpy_way).width) == (3, 5)


def test_large_picture_is_averaged_down_and_keeps_its_size_in_words() -> None:
    picture = one(np.tile(np.array([[0, 200]], np.uint8), (8, 1000)))
    assert (picture.width, picture.height) == (2000, 8)
    assert pixels(picture).shape == (2, MOST_SIDE_PX - 12, 3)
    assert (pixels(picture) == 100).all()


def test_batch_is_one_picture_per_sample() -> None:
    batch = torch.stack([RED, 1 - RED])
    assert [tuple(pixels(each)[0, 0]) for each in input_pictures(batch)] == [(255, 0, 0), (0, 255, 255)]
    assert input_pictures(None) == []


def test_large_batch_is_sent_smaller() -> None:
    pictures = input_pictures(torch.zeros(300, 1, 240, 240, dtype=torch.uint8))
    assert len(pictures) == 300 and pixels(pictures[0]).shape[0] <= 120


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("cat.png", r"image is a str; expected a picture of shape \(C, H, W\)"),
        ([], "image is an empty list"),
        (torch.zeros(5, 5, 5), r"image has shape \(5, 5, 5\): no end of it is 1, 3 or 4 channels"),
        (torch.zeros(3), r"image has shape \(3,\); expected"),
        (torch.zeros(3, 0, 4), r"image has shape \(3, 0, 4\)"),
        (torch.zeros(1, 2, 3, 4, 4), r"image has shape \(1, 2, 3, 4, 4\)"),
        (torch.zeros(3, 2, 2, dtype=torch.complex64), "give real values"),
        (np.array(["a"]), "image is an array of <U1"),
    ],
)
def test_what_is_no_picture_is_refused(image: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        input_pictures(image)


def test_pictures_travel_as_bytes_not_as_numbers() -> None:
    with bare(ImageOverlay, image=RED) as overlay:
        (sent,) = overlay.get_state("pictures")["pictures"]
        assert isinstance(sent["png"], bytes) and (sent["width"], sent["height"]) == (5, 2)


def test_overlay_without_a_picture_is_allowed() -> None:
    with bare(ImageOverlay) as overlay:
        assert (overlay.pictures, overlay.choice) == ([], None)
        assert repr(overlay) == "ImageOverlay(opacity=0.6, rows=0, cols=0, extra=0)"


@pytest.mark.parametrize(("name", "value"), [("opacity", 1.1), ("rows", -1), ("extra", -1)])
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with bare(ImageOverlay) as overlay, pytest.raises(TraitError, match=name):
        setattr(overlay, name, value)


def test_misspelt_keyword_names_the_nearest() -> None:
    message = "no option 'opacitty'; nearest is 'opacity'"
    with pytest.raises(UnknownOptionError, match=message), bare(ImageOverlay, opacitty=1):
        pass
