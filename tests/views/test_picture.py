"""Pictures of the views: their maps pixel by pixel, what is drawn beside them, errors, and the still picture."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.errors import ClosedError, MissingExtraError, SaveError
from memviz_widgets.export.picture_parts import Board, MapPart, SheetPart, StripsPart, TablePart
from memviz_widgets.views.picture_reading import NOT_DRAWN
from memviz_widgets.views.pictured import STILL_BYTES

from ..faulty_model import Faulty, faulty_input
from ..png_map import Matrix, places_of, reference

Make = Callable[..., Any]
WORDS = ["the", "cat", "sat", "on"]


@pytest.fixture
def make() -> Iterator[Make]:
    """``make(view, *arguments)`` without gradients; closed after the test."""
    made: list[Any] = []

    def start(view: Callable[..., Any], *source: Any, **options: Any) -> Any:
        with torch.no_grad():
            made.append(view(*source, **options))
        return made[-1]

    yield start
    for view in made:
        view.close()


def board_of(view: Any, held_only: bool = False) -> Board:
    found = view._board(held_only)
    assert isinstance(found, Board)
    return found


def map_of(view: Any, number: int = 0) -> MapPart:
    part = board_of(view).rows[0][number]
    assert isinstance(part, MapPart)
    return part


def matrix(values: Tensor) -> Matrix:
    found: Matrix = values.double().numpy()
    return found


def attention() -> nn.Module:
    torch.manual_seed(0)
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).eval()


# ---------------------------------------------------------------------------------------------------------- the maps


@pytest.mark.parametrize("mode", ["auto", "frame", "layer"])
def test_the_map_of_an_activation_is_its_values_in_the_range_in_force(
    make_explorer: Make, tmp_path: Path, mode: str
) -> None:
    explorer = make_explorer()
    explorer.selection.channel, explorer.selection.sample = 2, 1
    explorer.colors.mode = mode
    every = explorer.cache["0"]
    low, high = float(every.min()), float(every.max())
    reach = max(-low, high)
    span = {"auto": (-reach, reach), "layer": (low, high), "frame": None}[mode]
    name = "vik" if low < 0 < high else "viridis"
    frame = every[1, 2]
    if mode == "frame" and not float(frame.min()) < 0 < float(frame.max()):
        name = "viridis"
    png = explorer.save_png(tmp_path / "a.png").read_bytes()
    assert len(places_of(png, reference(matrix(frame), span, name), 120, 120)) == 1  # 6 x 6 cells on 720 pixels


def test_a_typed_range_and_a_chosen_map_hold(make_explorer: Make, tmp_path: Path) -> None:
    explorer = make_explorer()
    explorer.selection.layer, explorer.selection.channel, explorer.selection.sample = "1", 2, 2
    explorer.colors.vmin, explorer.colors.vmax, explorer.colors.colormap = -0.1, 0.2, "batlow"
    png = explorer.save_png(tmp_path / "a.png", scale=1).read_bytes()
    cells = reference(matrix(explorer.cache["1"][2, 2]), (-0.1, 0.2), "batlow")
    assert len(places_of(png, cells, 60, 60)) == 1


def test_title_facts_and_axes_say_what_it_is(make_explorer: Make) -> None:
    explorer = make_explorer()
    explorer.selection.channel = 2
    board = board_of(explorer)
    part = map_of(explorer)
    assert board.title == "0 (Conv2d), batch 0 of 3, channel 2 of 4"
    shape, dtype, size = board.facts[0].split(" · ")[:3]
    assert (shape.split(")")[0], dtype, size) == ("(3, 4, 6, 6", "float32", "1.7 KiB")
    assert "channel" in shape and " min " not in shape
    assert [(axis.label, axis.size, axis.texts) for axis in (part.rows, part.cols)] == [
        ("height", 6, ()),
        ("width", 6, ()),
    ]


def test_tiles_of_all_channels_stand_beside_the_map_in_its_colours(make_explorer: Make, tmp_path: Path) -> None:
    explorer = make_explorer()
    explorer.selection.channel, explorer._sheet.order = 2, "magnitude"
    sheet = board_of(explorer).rows[0][1]
    assert isinstance(sheet, SheetPart) and sheet.title == "4 channels, by magnitude"
    every = explorer.cache["0"]
    order = every.abs().mean((0, 2, 3)).argsort(descending=True).tolist()
    assert sheet.selected == order.index(2)
    reach = float(every.abs().max())
    png = explorer.save_png(tmp_path / "a.png", scale=0.5625).read_bytes()  # tiles of 36 pixels for 6 x 6 cells
    places = [places_of(png, reference(matrix(every[0, channel]), (-reach, reach), "vik"), 6, 6) for channel in order]
    assert [len(each) for each in places] == [1, 1, 1, 1]
    assert [each[0][1] for each in places] == sorted(each[0][1] for each in places)


def test_loud_values_are_loud_and_counted(make: Make, tmp_path: Path) -> None:
    values = torch.linspace(-1, 1, 12).reshape(1, 1, 3, 4)
    values[0, 0, 0, 1], values[0, 0, 1, 2], values[0, 0, 2, 3] = float("nan"), float("inf"), -float("inf")
    explorer = make(mv.ActivationExplorer, nn.Identity(), values)
    png = explorer.save_png(tmp_path / "a.png", scale=1).read_bytes()
    assert len(places_of(png, reference(matrix(values[0, 0]), (-1.0, 1.0), "vik"), 120, 120)) == 1
    assert map_of(explorer).counts == {"nan": 1, "posinf": 1, "neginf": 1}


def test_a_pooled_map_says_so_in_axes_and_notes(make: Make) -> None:
    explorer = make(mv.ActivationExplorer, nn.Identity(), torch.randn(1, 1, 2048, 3))
    assert map_of(explorer).rows.label == "height (1 of 2 shown)"
    assert any("largest |x|" in note for note in board_of(explorer).notes)


def test_a_map_of_means_says_so_and_shows_them(make: Make) -> None:
    values = torch.arange(4096.0).reshape(1, 1, 2048, 2)
    explorer = make(mv.ActivationExplorer, nn.Identity(), values)
    explorer.selection.store.pooled_by = "mean"
    assert "1 of 2 \N{MULTIPLICATION SIGN} 1 cells shown: mean" in board_of(explorer).notes
    frame = map_of(explorer).frame
    assert frame is not None and (frame.lo, frame.hi) == (1.0, 4094.0)


def test_a_zoomed_view_is_saved_whole_and_says_so(make: Make) -> None:
    explorer = make(mv.ActivationExplorer, nn.Identity(), torch.randn(1, 1, 4, 3))
    sentence = "all of the picture, of which the view shows a part"
    assert sentence not in board_of(explorer).notes
    explorer._image.scales["x"].min, explorer._image.scales["x"].max = 0.5, 1.5
    assert sentence in board_of(explorer).notes
    assert map_of(explorer).cols.size == 3


def test_weights_of_a_head_keep_to_0_and_1_with_tokens_on_both_axes(make: Make, tmp_path: Path) -> None:
    explorer = make(mv.AttentionExplorer, attention(), torch.randn(1, 4, 8), tokens=WORDS)
    explorer.selection.head, explorer.selection.query, explorer.selection.key = 1, 2, 3
    weights = explorer.cache.attention("layers.0.self_attn", head=1, batch=0)
    png = explorer.save_png(tmp_path / "a.png").read_bytes()
    assert len(places_of(png, reference(matrix(weights), (0.0, 1.0), "viridis"), 180, 180)) == 1
    part = map_of(explorer)
    assert [(axis.label, axis.texts, axis.selected) for axis in (part.rows, part.cols)] == [
        ("query", tuple(WORDS), 2),
        ("key", tuple(WORDS), 3),
    ]
    assert board_of(explorer).title.endswith("head 1 of 2")


def test_a_difference_of_heads_is_symmetric_about_0(make: Make, tmp_path: Path) -> None:
    explorer = make(mv.AttentionExplorer, attention(), torch.randn(1, 4, 8))
    explorer.choice.kind, explorer.choice.other_head = "difference", 1
    heads = explorer.cache.attention("layers.0.self_attn", batch=0)
    values = matrix(heads[0]) - matrix(heads[1])
    reach = float(np.abs(values).max())
    png = explorer.save_png(tmp_path / "a.png").read_bytes()
    assert len(places_of(png, reference(values, (-reach, reach), "vik"), 180, 180)) == 1
    assert board_of(explorer).title.endswith("head 0 minus head 1")


def test_masked_weights_stay_blank_and_the_legend_says_why(make: Make) -> None:
    model = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x, mask = torch.randn(1, 4, 8), torch.ones(4, 4, dtype=torch.bool).triu(1)
    part = map_of(make(mv.AttentionExplorer, model, {"query": x, "key": x, "value": x, "attn_mask": mask}))
    assert part.frame is not None and part.empty == "masked or never attended"
    assert (part.frame.codes == 253).tolist() == mask.tolist()


def test_a_memory_has_its_units_over_time_and_a_strip_per_part(make: Make, tmp_path: Path) -> None:
    explorer = make(mv.MemoryExplorer, nn.LSTM(3, 6, batch_first=True), torch.randn(1, 4, 3), tokens=WORDS)
    explorer.selection.time, explorer.selection.channel = 2, 5
    cell = matrix(explorer.cache.get("", "cell")[0]).T  # (channel, time)
    reach = float(np.abs(cell).max())
    png = explorer.save_png(tmp_path / "a.png").read_bytes()
    assert len(places_of(png, reference(cell, (-reach, reach), "vik"), 120, 120)) == 1
    strips = board_of(explorer).rows[1][0]
    assert isinstance(strips, StripsPart)
    assert [strip.name for strip in strips.strips] == [
        "cell state",
        "hidden state",
        "input gate i",
        "forget gate f",
        "candidate g",
        "output gate o",
    ]
    assert (strips.time.texts, strips.time.selected) == (tuple(WORDS), 2)
    assert [strip.scale.low for strip in strips.strips][2:4] == [0.0, 0.0]


def test_units_in_another_order_have_their_own_numbers(make: Make) -> None:
    explorer = make(mv.MemoryExplorer, nn.LSTM(3, 6, batch_first=True), torch.randn(1, 4, 3))
    explorer.choice.order, explorer.selection.channel = "timescale", 5
    rows = map_of(explorer).rows
    assert sorted(rows.texts) == [str(unit) for unit in range(6)]
    assert rows.texts[rows.selected] == "5"
    assert rows.label == "channel by time constant, longest first"


def test_a_report_is_a_table_of_what_its_filter_shows(make: Make, tmp_path: Path) -> None:
    report = make(mv.HealthReport, Faulty(planted=True), faulty_input())
    table = board_of(report).rows[0][0]
    assert isinstance(table, TablePart)
    assert [row[2][0] for row in table.rows] == [row["kind"] for row in report.rows]
    assert table.rows[0][1] == ("head", "Linear, sample 0, timestep 0", "channel 5", "before: attend")
    report.table.severities = ["error"]
    filtered = board_of(report)
    assert isinstance(filtered.rows[0][0], TablePart) and len(filtered.rows[0][0].rows) == 1
    assert "5 findings are filtered out" in filtered.notes
    assert report.save_png(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_two_recordings_share_a_range_and_their_difference_has_its_own(
    make: Make, model: nn.Module, x: Tensor, tmp_path: Path
) -> None:
    a = mv.ActivationCache.capture(model, x)
    with torch.no_grad():
        next(model.parameters())[2] += 1.0
    b = mv.ActivationCache.capture(model, x)
    view = make(mv.compare, a, b, names=("before", "after"))
    view.selection.channel = 2
    png = view.save_png(tmp_path / "a.png", scale=1).read_bytes()
    reach = max(float(cache["0"].abs().max()) for cache in (a, b))
    sides = [matrix(cache["0"][0, 2]) for cache in (a, b)]
    apart = matrix(a["0"][0, 2] - b["0"][0, 2])
    largest = float((a["0"] - b["0"]).abs().max())  # of the layer: as far as the bar beside it counts
    found = [places_of(png, reference(side, (-reach, reach), "vik"), 47, 47) for side in sides]  # 280 pixels / 6
    found.append(places_of(png, reference(apart, (-largest, largest), "vik"), 47, 47))
    assert [len(places) for places in found] == [1, 1, 1]
    lefts = [places[0][1] for places in found]
    assert lefts == sorted(lefts)
    assert [map_of(view, number).title for number in range(3)] == ["before", "after", "before \N{MINUS SIGN} after"]
    assert "The two part at 0." in board_of(view).notes
    a.close()
    b.close()


def test_a_layer_that_did_not_run_says_so_instead(make: Make) -> None:
    class Skipping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(2, 2), nn.ReLU()

        def forward(self, x: Tensor, skip: bool) -> Tensor:
            y: Tensor = self.first(x)
            return y if skip else self.second(y)

    model = Skipping()
    with mv.record(model) as cache:
        for skip in (False, True, False):
            model(torch.randn(1, 2), skip)
    explorer = make(mv.ActivationExplorer, cache)
    explorer.selection.layer, explorer.selection.step = "second", 1
    part = map_of(explorer)
    assert part.frame is None and part.absence == "second did not run in step 1"


def test_a_model_without_attention_says_so(make: Make, model: nn.Module, x: Tensor, tmp_path: Path) -> None:
    explorer = make(mv.AttentionExplorer, model, x)
    assert board_of(explorer).title.startswith("No attention was found in this recording")
    assert explorer.save_png(tmp_path / "a.png").exists()


# ------------------------------------------------------------------------------------------------------------ errors


def test_a_path_of_another_kind_is_refused(make_explorer: Make, tmp_path: Path) -> None:
    with pytest.raises(SaveError, match=r"path='.*a\.jpg' does not end with '\.png'; write 'picture\.png'\."):
        make_explorer().save_png(tmp_path / "a.jpg")


@pytest.mark.parametrize("scale", [0, 9, float("nan")])
def test_a_scale_out_of_range_is_refused(make_explorer: Make, tmp_path: Path, scale: float) -> None:
    with pytest.raises(SaveError, match=r"scale=.*; expected a number from 0\.5 to 8, such as 2\."):
        make_explorer().save_png(tmp_path / "a.png", scale=scale)


def test_a_folder_that_is_not_there_is_an_error_of_ours(make_explorer: Make, tmp_path: Path) -> None:
    with pytest.raises(SaveError, match=r"could not be written: No such file or directory\. Give a path in a folder"):
        make_explorer().save_png(tmp_path / "gone" / "a.png")


def test_without_pillow_the_error_names_the_extra_and_the_widget_still_shows(
    make_explorer: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = make_explorer()
    monkeypatch.setattr("memviz_widgets.views.pictured.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'memviz_widgets\[picture\]'"):
        explorer.save_png(tmp_path / "a.png")
    assert set(explorer._repr_mimebundle_()) == {"text/plain", "application/vnd.jupyter.widget-view+json"}


def test_a_closed_view_has_no_picture(make_explorer: Make, tmp_path: Path) -> None:
    explorer = make_explorer()
    explorer.close()
    with pytest.raises(ClosedError, match="this explorer is closed"):
        explorer.save_png(tmp_path / "a.png")


def test_importing_the_package_does_not_import_pillow() -> None:
    assert "PIL" not in _modules_after("import memviz_widgets")


def _modules_after(code: str) -> set[str]:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


# --------------------------------------------------------------------------------------------------- the still picture


@pytest.mark.parametrize("side_by_side", [False, True])
def test_the_box_of_all_explorers_has_a_picture_of_what_it_shows(
    make: Make, side_by_side: bool, tmp_path: Path
) -> None:
    lstm = nn.LSTM(3, 6, batch_first=True)
    box = make(mv.explore, lstm, torch.randn(1, 4, 3), side_by_side=side_by_side)
    kinds = [type(row[0]).__name__ for row in board_of(box).rows]
    assert kinds == (["MapPart", "MapPart", "StripsPart"] if side_by_side else ["MapPart"])
    if side_by_side:
        assert map_of(box).title == box.explorers["activations"]._board(False).title
    else:
        box.selected_index = 1
        assert [type(row[0]).__name__ for row in board_of(box).rows] == ["MapPart", "StripsPart"]
    assert "image/png" in box._repr_mimebundle_()[0]
    assert box.save_png(tmp_path / "a.png").stat().st_size > 1000


def test_the_bundle_has_the_widget_and_the_picture(make_explorer: Make) -> None:
    explorer = make_explorer()
    bundle, about = explorer._repr_mimebundle_()
    assert about == {"image/png": {"alt": "0 (Conv2d), batch 0 of 3, channel 0 of 4"}}
    png = base64.b64decode(bundle["image/png"])
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id
    every = explorer.cache["0"]
    reach = float(every.abs().max())
    assert len(places_of(png, reference(matrix(every[0, 0]), (-reach, reach), "vik"), 60, 60)) == 1
    assert len(png) <= STILL_BYTES


def test_the_still_picture_brings_nothing_back(make: Make) -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)).eval()
    cache = mv.ActivationCache.capture(model, torch.randn(1, 1, 40, 40), budget="64 KiB")
    explorer = make(mv.ActivationExplorer, cache)
    dropped = next(record for record in cache.records if cache.value_or_none(record) is None)
    explorer.selection.layer = dropped.path
    held = cache.held_bytes
    assert isinstance(board_of(explorer, held_only=True).rows[0][0], MapPart)
    part = board_of(explorer, held_only=True).rows[0][0]
    assert isinstance(part, MapPart) and part.frame is None and part.absence == NOT_DRAWN
    assert cache.value_or_none(dropped) is None and cache.held_bytes == held
    assert map_of(explorer).frame is not None  # save_png() computes it again


def test_a_picture_that_fails_does_not_take_the_widget_with_it(
    make_explorer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = make_explorer()

    def fail(held_only: bool) -> Board:
        raise RuntimeError("no paint")

    monkeypatch.setattr(explorer, "_board", fail)
    assert "image/png" not in explorer._repr_mimebundle_()
    assert explorer.selection.store.problem == "no still picture: RuntimeError: no paint"
