"""The widgets: explorers and the parts they are made of. They know the cache and its frames, never a hook."""

from __future__ import annotations

from .activation_explorer import ActivationExplorer
from .attention_explorer import AttentionExplorer
from .cache_summary import CacheSummary
from .channel_series import ChannelSeries
from .color_bar import ColorBar
from .color_mapping import ColorMapping
from .contact_sheet import ContactSheet
from .frame_store import FrameStore
from .head_grid import HeadGrid
from .image_overlay import ImageOverlay
from .layer_picker import LayerPicker
from .picture_choice import PictureChoice
from .record_line import RecordLine
from .tensor_image import TensorImage
from .token_lines import TokenLines
from .token_view import TokenView

__all__ = [
    "ActivationExplorer",
    "AttentionExplorer",
    "CacheSummary",
    "ChannelSeries",
    "ColorBar",
    "ColorMapping",
    "ContactSheet",
    "FrameStore",
    "HeadGrid",
    "ImageOverlay",
    "LayerPicker",
    "PictureChoice",
    "RecordLine",
    "TensorImage",
    "TokenLines",
    "TokenView",
]
