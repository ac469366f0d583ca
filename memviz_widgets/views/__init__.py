"""The widgets: explorers and the parts they are made of. They know the cache and its frames, never a hook."""

from __future__ import annotations

from .activation_explorer import ActivationExplorer
from .cache_summary import CacheSummary
from .channel_series import ChannelSeries
from .color_bar import ColorBar
from .color_mapping import ColorMapping
from .contact_sheet import ContactSheet
from .frame_store import FrameStore
from .layer_picker import LayerPicker
from .record_line import RecordLine
from .tensor_image import TensorImage

__all__ = [
    "ActivationExplorer",
    "CacheSummary",
    "ChannelSeries",
    "ColorBar",
    "ColorMapping",
    "ContactSheet",
    "FrameStore",
    "LayerPicker",
    "RecordLine",
    "TensorImage",
]
