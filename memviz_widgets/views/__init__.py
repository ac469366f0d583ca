"""The widgets: explorers and the parts they are made of. They know the cache and its frames, never a hook."""

from __future__ import annotations

from .activation_explorer import ActivationExplorer
from .attention_explorer import AttentionExplorer
from .cache_entries import CacheEntries
from .cache_summary import CacheSummary
from .channel_series import ChannelSeries
from .color_bar import ColorBar
from .color_mapping import ColorMapping
from .comparison import Comparison, compare
from .comparison_colors import ComparisonColors
from .comparison_curve import ComparisonCurve
from .comparison_link import ComparisonLink
from .comparison_readout import ComparisonReadout
from .contact_sheet import ContactSheet
from .explore import explore
from .frame_store import FrameStore
from .frozen import save_html
from .gate_saturation import GateSaturation
from .head_grid import HeadGrid
from .health_report import HealthReport
from .health_table import HealthTable
from .image_overlay import ImageOverlay
from .layer_picker import LayerPicker
from .memory_card import MemoryCard
from .memory_choice import MemoryChoice
from .memory_explorer import MemoryExplorer
from .memory_link import MemoryLink
from .memory_panels import MemoryPanels
from .picture_choice import PictureChoice
from .quiz import Quiz
from .quiz_form import QuizForm
from .recall_controls import RecallControls
from .recall_curves import RecallCurves
from .recall_lab import RecallLab
from .record_line import RecordLine
from .retention_lines import RetentionLines
from .save_menu import SaveMenu
from .step_label import StepLabel
from .tensor_image import TensorImage
from .token_lines import TokenLines
from .token_view import TokenView
from .top_examples import TopExamples
from .unit_text import UnitText

__all__ = [
    "ActivationExplorer",
    "AttentionExplorer",
    "CacheEntries",
    "CacheSummary",
    "ChannelSeries",
    "ColorBar",
    "ColorMapping",
    "Comparison",
    "ComparisonColors",
    "ComparisonCurve",
    "ComparisonLink",
    "ComparisonReadout",
    "ContactSheet",
    "FrameStore",
    "GateSaturation",
    "HeadGrid",
    "HealthReport",
    "HealthTable",
    "ImageOverlay",
    "LayerPicker",
    "MemoryCard",
    "MemoryChoice",
    "MemoryExplorer",
    "MemoryLink",
    "MemoryPanels",
    "PictureChoice",
    "Quiz",
    "QuizForm",
    "RecallControls",
    "RecallCurves",
    "RecallLab",
    "RecordLine",
    "RetentionLines",
    "SaveMenu",
    "StepLabel",
    "TensorImage",
    "TokenLines",
    "TokenView",
    "TopExamples",
    "UnitText",
    "compare",
    "explore",
    "save_html",
]
