"""The colour maps are what their names promise."""

from __future__ import annotations

import pytest

from memviz_widgets.errors import UnknownColormapError
from memviz_widgets.frames import COLORMAP_NAMES, DIVERGING, SEQUENTIAL, colormap


def luminance(color: str) -> float:
    """Relative luminance of ``"#rrggbb"`` as of sRGB (WCAG 2, "relative luminance"), 0..1."""
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", COLORMAP_NAMES)
def test_map_has_256_colours(name: str) -> None:
    assert len(colormap(name)) == 256
    assert all(len(color) == 7 and int(color[1:], 16) >= 0 for color in colormap(name))


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_sequential_map_grows_lighter(name: str) -> None:
    light = [luminance(color) for color in colormap(name)[::16]]
    assert light == sorted(light)


@pytest.mark.parametrize("name", DIVERGING)
def test_diverging_map_has_its_extreme_in_the_middle(name: str) -> None:
    light = [luminance(color) for color in colormap(name)]
    outer, middle = light[:32] + light[-32:], light[120:136]
    assert max(middle) < min(outer) if name == "berlin" else min(middle) > max(outer)


def test_low_is_blue_and_high_is_red() -> None:
    assert colormap("RdBu")[0] == "#053061" and colormap("RdBu")[255] == "#67001f"


def test_unknown_map_names_the_nearest() -> None:
    with pytest.raises(
        UnknownColormapError, match=r"no colour map 'virdis'; nearest is 'viridis'\. Choose one of viridis,"
    ):
        colormap("virdis")
