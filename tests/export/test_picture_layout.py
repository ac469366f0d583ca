"""Texts of a picture: broken to their room, never cut off, whatever they say; axes and tables keep apart."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from memviz_widgets.export.picture import draw, png_bytes
from memviz_widgets.export.picture_canvas import Canvas, text_width, wrapped
from memviz_widgets.export.picture_fonts import font_for
from memviz_widgets.export.picture_map import MapDrawing
from memviz_widgets.export.picture_parts import AxisPart, Board, CodedFrame, MapPart, StripPart, StripsPart, TablePart
from memviz_widgets.export.picture_strips import TableDrawing
from memviz_widgets.frames.shown_colors import ColorScale

GRAY = ColorScale(0.0, 1.0, "gray")
STRANGE = ["", " ", "\u4e2d\u6587", "\u05e9\u05dc\u05d5\u05dd", "<b>bold</b>", "x" * 500, "\U0001f600", "a\nb"]


def square(side: int, texts: tuple[str, ...] = (), selected: int = -1) -> MapPart:
    codes = np.zeros((side, side), np.uint8)
    axis = AxisPart("key", side, texts, selected)
    return MapPart("", CodedFrame(codes, 0.0, 1.0), GRAY, axis, axis)


def margins_are_blank(canvas: Canvas) -> bool:
    """Whether nothing is drawn in the outermost 4 pixels: nothing is cut off there."""
    pixels = np.asarray(canvas.image)
    edges = (pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:])
    return all(bool((edge == 255).all()) for edge in edges)


@pytest.mark.parametrize("text", STRANGE)
def test_nothing_is_cut_off_whatever_a_token_or_a_name_is(text: str) -> None:
    short = text[:12].replace("\n", " ")
    table = TablePart(("place",), (90,), (((text,),),))
    rows = ((square(6, (short,) * 6, 2),), (table,))
    assert margins_are_blank(draw(Board(f"title {text}", (text,), rows, (text,)), 1))


def test_lines_fit_their_room_and_lose_no_word() -> None:
    text = "one two " + "long" * 40 + " three"
    lines = wrapped(text, 100)
    assert all(text_width(line) <= 100 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrapped("", 100) == [""]


def test_a_text_has_a_font_with_all_of_its_characters() -> None:
    assert font_for("12", 12).getname() == font_for("query \N{MINUS SIGN}1", 12).getname()
    assert font_for("12", 12).size == 12 and font_for("12", 23.6).size == 24


def test_long_texts_under_a_map_are_turned_and_get_room() -> None:
    assert MapDrawing(square(12, ("long word",) * 12), 1).foot > MapDrawing(square(12), 1).foot + 20
    short = MapDrawing(square(12, ("a",) * 12), 1)
    assert short.foot == MapDrawing(square(12), 1).foot


def test_a_row_of_a_table_is_as_high_as_its_longest_cell() -> None:
    row = (("dead units", "a sentence of many words that needs several lines"), ("7",))
    one, two = (
        TableDrawing(TablePart(("what", "n"), (120, 60), (row,)), 1),
        TableDrawing(TablePart(("what", "n"), (400, 60), (row,)), 1),
    )
    assert one.size[1] > two.size[1] and (one.size[0], two.size[0]) == (180, 460)


def test_what_is_not_there_is_said_in_its_place() -> None:
    absent = MapPart("", None, GRAY, AxisPart("", 1), AxisPart("", 1), absence="conv1 did not run in step 3")
    blank = MapPart("", None, GRAY, AxisPart("", 1), AxisPart("", 1), absence="")
    assert png_bytes(Board("t", (), ((absent,),)), 1) != png_bytes(Board("t", (), ((blank,),)), 1)


def test_strips_of_different_lengths_share_an_axis() -> None:
    frame = CodedFrame(np.full((3, 4), 252, np.uint8), 0.0, 1.0)
    strips = StripsPart(
        (
            StripPart("gate", "0 to 1", frame, GRAY, 3, 4),
            StripPart("state", "0 to 1", frame, GRAY, 3, 8),
            StripPart("read", "", None, GRAY, note="it has no time"),
        ),
        AxisPart("time", 8, ("a", "b", "c", "d", "e", "f", "g", "h"), 5),
    )
    canvas = draw(Board("t", (), ((strips,),)), 1)
    assert margins_are_blank(canvas)
    white = np.asarray(canvas.image)
    assert white.shape[1] == 170 + 470 + 2 * 16


def test_scale_multiplies_the_pixels() -> None:
    board = Board("t", (), ((square(4),),))
    sizes = [Image.open(io.BytesIO(png_bytes(board, scale))).size for scale in (1, 2)]
    assert sizes[1] == (sizes[0][0] * 2, sizes[0][1] * 2)
