"""From records to pictures: catalog, pages of codes, exact values. No widgets."""

from __future__ import annotations

from .catalog import Catalog, build_catalog
from .cell_value import CellValue
from .colormaps import COLORMAP_NAMES, DIVERGING, SEQUENTIAL, colormap
from .pages import PAGE_KINDS, Page, PageKind, PageSource
from .plan import RecordPlan, plan_record
from .quantise import Quantised, dequantise, quantise

__all__ = [
    "COLORMAP_NAMES",
    "DIVERGING",
    "PAGE_KINDS",
    "SEQUENTIAL",
    "Catalog",
    "CellValue",
    "Page",
    "PageKind",
    "PageSource",
    "Quantised",
    "RecordPlan",
    "build_catalog",
    "colormap",
    "dequantise",
    "plan_record",
    "quantise",
]
