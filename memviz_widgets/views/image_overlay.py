"""ImageOverlay: the weights of the selected query over the picture that went into the model, patch by patch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Float, Instance, Int, List, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .input_pictures import input_pictures
from .picture_choice import PictureChoice


@register
class ImageOverlay(Synced, DOMWidget):
    """The picture with a patch for each key, as strong as the weight that the selected query gives it.

    The grid of patches is inferred from the number of keys and the shape of the picture; class and register tokens,
    which come first, stand beside it. Set ``rows``, ``cols`` or ``extra`` where the guess is wrong: the view says what
    it took. A click on a patch selects it.

    Args:
        image: the picture, or one per sample: a tensor or array of shape (C, H, W), (H, W, C) or (B, C, H, W), a PIL
            image, or a list of them. uint8, or floats in 0 .. 1; other values are stretched, and the view says so.

    Raises:
        InputError: when image is none of these.
    """

    _model_name = Unicode("ImageOverlayModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("ImageOverlayView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor; a click sets its query or key and attention layer.").tag(
        **widget_serialization
    )
    choice: Any = Instance(
        PictureChoice, allow_none=True, help="Which map of the weights is shown; None: the weights of the head."
    ).tag(**widget_serialization)
    pictures: Any = List(
        help="The picture of each sample: png (bytes), width and height in pixels, note on its values; set by image=."
    )
    opacity: Any = Float(0.6, min=0.0, max=1.0, help="How strongly the weights cover the picture, 0 .. 1.")
    rows: Any = Int(0, min=0, help="Rows of patches; 0: inferred.")
    cols: Any = Int(0, min=0, help="Columns of patches; 0: inferred.")
    extra: Any = Int(0, min=0, help="Tokens before the first patch (class, registers); 0: inferred.")

    def __init__(self, image: Any = None, **kwargs: Any) -> None:
        pictures = [asdict(picture) for picture in input_pictures(image)]
        super().__init__(**({"pictures": pictures} if pictures else {}), **kwargs)
