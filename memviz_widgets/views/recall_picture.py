"""The figure of a recall lab: bqplot marks that RecallCurves feeds in the browser."""

from __future__ import annotations

from typing import Any

import bqplot

from .explorer import classed, figure
from .recall_curves import RecallCurves

COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
"""Of Okabe and Ito 2008: told apart by colour-blind readers, on a light page and on a dark one."""
MARKERS = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
CHANCE = "#808080"
MARGIN = {"top": 14, "bottom": 46, "left": 58, "right": 20}


def recall_figure(curves: RecallCurves) -> bqplot.Figure:
    """Accuracy against the setting: curves, intervals, points, chance (dashed), half-way to chance (dotted)."""
    scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale(min=0.0, max=1.0)}
    x_axis = bqplot.Axis(scale=scales["x"], label_offset="32px", grid_lines="none")
    y_axis = bqplot.Axis(
        scale=scales["y"],
        side="left",
        label="accuracy",
        label_offset="44px",
        tick_format=".0%",
        tick_values=[0, 0.25, 0.5, 0.75, 1],
    )
    colors = list(curves.colors)
    with curves.hold_sync():
        curves.chance = _lines(scales, [CHANCE], line_style="dashed", stroke_width=1.0)
        curves.halves = _lines(scales, colors, line_style="dotted", stroke_width=1.5)
        curves.bars = _lines(scales, colors, stroke_width=1.5, opacities=[0.6])
        curves.lines = _lines(scales, colors, stroke_width=1.5)
        curves.dots = [
            bqplot.Scatter(
                x=[0.0],
                y=[0.0],
                scales=scales,
                colors=[color],
                marker=marker,
                default_size=64,
                interactions={"click": "select"},
                apply_clip=False,
            )
            for color, marker in zip(colors, curves.markers, strict=True)
        ]
        curves.ring = bqplot.Scatter(
            x=[],
            y=[],
            scales=scales,
            colors=[CHANCE],
            fill=False,
            stroke_width=2.0,
            default_size=220,
            enable_hover=False,
            apply_clip=False,
        )
        curves.x_axis = x_axis
    marks = [curves.chance, curves.halves, curves.bars, curves.lines, curves.ring, *curves.dots]
    return classed(figure(MARGIN, marks=marks, axes=[x_axis, y_axis]), "memviz-recall-figure")


def _lines(scales: dict[str, bqplot.Scale], colors: list[str], **style: Any) -> bqplot.Lines:
    return bqplot.Lines(x=[0.0], y=[0.0], scales=scales, colors=colors, apply_clip=False, **style)
