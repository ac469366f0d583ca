"""Views as pages: the same bytes each time, within the budget, with all that the views need and nothing live."""

from __future__ import annotations

import base64
import copy
import json
import re
import zlib
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
import torch
from torch import nn

import memviz_widgets as mv
from memviz_widgets.errors import BudgetError, ClosedError, FrozenError, SaveError, SourceError

from ..frames.unpacked import unpacked
from ..recall_models import LooksBack

Make = Callable[..., mv.ActivationExplorer]
HOSTILE = "</script><img src=x onerror=alert(1)>"


def state_of(file: Path) -> dict[str, Any]:
    """The widget state in a page."""
    found = re.search(r'data-kind="state" data-name="">(.*?)</script>', file.read_text("utf-8"))
    assert found
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(found[1]), -zlib.MAX_WBITS))
    return state


def models_of(file: Path, name: str) -> list[dict[str, Any]]:
    """The state of every model of this class."""
    models = state_of(file)["models"].values()
    return [model["state"] for model in models if model["model_name"] == name]


def catalog_of(file: Path) -> Any:
    """The catalog of the one store in a page."""
    (model,) = (each for each in state_of(file)["models"].values() if each["model_name"] == "FrameStoreModel")
    found = re.search(r'data-kind="bytes" data-name="state">(.*?)</script>', file.read_text("utf-8"))
    assert found
    data = zlib.decompress(base64.b64decode(found[1]), -zlib.MAX_WBITS)
    for path, blob, start, count in model["buffers"]:
        if path[0] == "catalog":
            assert blob == "state"
            *inner, last = path
            reduce(lambda part, name: part[name], inner, model["state"])[last] = data[start : start + count]
    return unpacked(model["state"]["catalog"])


def test_the_same_views_give_the_same_bytes(make_explorer: Make, tmp_path: Path) -> None:
    first = make_explorer().save_html(tmp_path / "a.html").read_bytes()
    again = make_explorer().save_html(tmp_path / "b.html").read_bytes()  # other widgets, with other ids
    assert first == again


def test_another_cursor_gives_other_bytes(make_explorer: Make, tmp_path: Path) -> None:
    explorer = make_explorer()
    first = explorer.save_html(tmp_path / "a.html").read_bytes()
    explorer.selection.channel = 2
    assert explorer.save_html(tmp_path / "a.html").read_bytes() != first
    (selection,) = models_of(tmp_path / "a.html", "SelectionModel")
    assert selection["channel"] == 2


def test_ids_of_the_notebook_are_not_in_the_page(make_explorer: Make, tmp_path: Path) -> None:
    explorer = make_explorer()
    state = state_of(explorer.save_html(tmp_path / "a.html"))
    assert state["views"] == ["w0"] and set(state["models"]) == {f"w{i}" for i in range(len(state["models"]))}
    text = json.dumps(state)
    assert explorer.model_id not in text
    assert {name.removeprefix("IPY_MODEL_") for name in re.findall(r"IPY_MODEL_\w+", text)} <= set(state["models"])


def test_every_buffer_has_its_bytes(make_explorer: Make, tmp_path: Path) -> None:
    file = make_explorer().save_html(tmp_path / "a.html")
    blobs = {
        name: zlib.decompress(base64.b64decode(text), -zlib.MAX_WBITS)
        for name, text in re.findall(r'data-kind="bytes" data-name="([^"]*)">(.*?)</script>', file.read_text("utf-8"))
    }
    places = [place for model in state_of(file)["models"].values() for place in model.get("buffers", [])]
    assert len({name for _, name, _, _ in places}) == len(blobs) > 1
    assert all(start + count <= len(blobs[name]) for _, name, start, count in places)


@pytest.mark.parametrize("budget", ["800 kB", "1 MB", 2_000_000])
def test_a_page_is_never_larger_than_its_budget(budget: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = [torch.randn(1, 6, 96, 96).softmax(-1) for _ in range(8)]
    explorer = mv.AttentionExplorer(mv.ActivationCache.from_attentions(weights))
    file = explorer.save_html(tmp_path / "a.html", budget=budget)
    explorer.close()
    limit = {"800 kB": 800_000, "1 MB": 1_000_000}.get(str(budget), budget)
    assert 0.8 * limit < file.stat().st_size <= limit
    left_out = re.findall(r"<li>(.*?)</li>", file.read_text("utf-8"))
    assert left_out and ("Not included: " in file.read_text("utf-8"))


def test_a_lesson_of_attention_is_under_five_megabytes(tmp_path: Path) -> None:
    torch.manual_seed(0)  # noise: what a model gives deflates better
    weights = [torch.randn(1, 12, 128, 128).mul(2).softmax(-1) for _ in range(12)]
    explorer = mv.AttentionExplorer(mv.ActivationCache.from_attentions(weights, tokens=[f"t{i}" for i in range(128)]))
    file = explorer.save_html(tmp_path / "a.html", budget="5 MB")
    explorer.close()
    assert file.stat().st_size < 5_000_000
    pages = [page for (store,) in [models_of(file, "FrameStoreModel")] for page in store["pages"]]
    maps = [page for page in pages if page["kind"] == "frame"]
    assert len({page["record"] for page in maps}) == 12 and sum(page["shape"][0] for page in maps) == 144
    assert {tuple(page["shape"][1:]) for page in maps} == {(128, 128)}  # every head of every layer, every weight


def test_a_budget_that_does_not_hold_the_picture_says_the_smallest(make_explorer: Make, tmp_path: Path) -> None:
    explorer = make_explorer()
    with pytest.raises(BudgetError, match=r"budget=9\.8 KiB is too small: .* takes .* KiB\. Give budget='") as e:
        explorer.save_html(tmp_path / "a.html", budget=10_000)
    assert not (tmp_path / "a.html").exists()
    named = re.search(r"Give budget='(.*?)'", str(e.value))
    assert named and explorer.save_html(tmp_path / "a.html", budget=named[1]).stat().st_size > 100_000


def test_names_tokens_and_title_are_text(tmp_path: Path) -> None:
    model = nn.Sequential()
    model.add_module(HOSTILE.replace(".", ""), nn.Linear(3, 3))
    explorer = mv.explore(model, torch.ones(1, 3))
    file = explorer.save_html(tmp_path / "a.html", title=HOSTILE)
    explorer.close()
    text = file.read_text("utf-8")
    assert "<img" not in text and "onerror" not in text.replace("onerror=alert(1)&gt;", "")
    assert text.count("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;") == 2
    assert HOSTILE in [layer["path"] for layer in catalog_of(file)["layers"]]


def test_links_and_parts_without_a_view_come_along(make_explorer: Make, tmp_path: Path) -> None:
    explorer = make_explorer()
    slider = ipywidgets.IntSlider()
    link = ipywidgets.jslink((slider, "value"), (explorer.selection, "channel"))
    other = ipywidgets.jslink((slider, "value"), (stranger := ipywidgets.IntText(), "value"))
    box = ipywidgets.VBox([slider, explorer])
    file = mv.save_html(box, tmp_path / "a.html")
    names = [model["model_name"] for model in state_of(file)["models"].values()]
    axes = names.count("PlayModel")
    assert names.count("LinkModel") == 1 + 2 + axes  # the user's, typed ends of the range, one per axis
    assert {"ChoiceLinkModel", "AxisRangeModel", "ChannelSeriesModel"} <= set(names) and "IntTextModel" not in names
    for widget in (box.layout, box, link, other, slider.style, slider.layout, slider, stranger):
        widget.close()
    stranger.layout.close()
    stranger.style.close()


def test_linked_views_share_one_selection_and_their_pages(model: nn.Module, x: torch.Tensor, tmp_path: Path) -> None:
    cache = mv.ActivationCache.capture(model, x)
    views = [mv.ActivationExplorer(cache), mv.HealthReport(cache)]
    file = mv.save_html(views, tmp_path / "a.html", title="two")
    models = state_of(file)["models"]
    shown = [models[name]["model_name"] for name in state_of(file)["views"]]
    assert shown == ["ActivationExplorerModel", "HealthReportModel"]
    assert len(models_of(file, "SelectionModel")) == len(models_of(file, "FrameStoreModel")) == 1
    for view in views:
        view.close()


def test_a_report_alone_has_no_pictures_and_lacks_none(model: nn.Module, x: torch.Tensor, tmp_path: Path) -> None:
    report = mv.HealthReport(model, x)
    file = report.save_html(tmp_path / "a.html")
    report.close()
    (store,) = models_of(file, "FrameStoreModel")
    assert store["pages"] == [] and all(entry["frame"] is None for entry in catalog_of(file)["records"])
    assert "Not included" not in file.read_text("utf-8")


def test_a_comparison_has_all_distances_and_three_stores(model: nn.Module, x: torch.Tensor, tmp_path: Path) -> None:
    caches = [mv.ActivationCache.capture(each, x) for each in (model, copy.deepcopy(model))]
    comparison = mv.compare(*caches)
    file = comparison.save_html(tmp_path / "a.html")
    comparison.close()
    (curve,) = models_of(file, "ComparisonCurveModel")
    assert curve["pending"] == 0 and len(curve["distances"]) == len(caches[0].records)
    stores = models_of(file, "FrameStoreModel")
    assert len(stores) == 3 and all(store["pages"] for store in stores)


def test_the_measures_of_a_memory_are_in_the_page(tmp_path: Path) -> None:
    torch.manual_seed(0)
    explorer = mv.MemoryExplorer(nn.LSTM(3, 8, batch_first=True), torch.randn(2, 12, 3))
    assert explorer.card is not None and explorer.card.cards == {}
    file = explorer.save_html(tmp_path / "a.html")
    (card,) = models_of(file, "MemoryCardModel")
    content = explorer.cache.records[int(next(iter(card["cards"])).split("/")[0])]
    assert set(card["cards"]) == {f"{content.index}/0", f"{content.index}/1"} and content.kind == "cell"
    assert all(each["rows"] and not each["problems"] for each in card["cards"].values())
    assert explorer.card.cards == {}  # the notebook's own is as it was
    explorer.close()


@pytest.mark.parametrize("kind", ["weights", "flow", "difference"])
def test_the_map_on_the_screen_is_in_the_page(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    explorer = mv.AttentionExplorer(nn.MultiheadAttention(8, 2, batch_first=True), (torch.randn(1, 6, 8),) * 3)
    explorer.choice.kind = kind
    explorer.selection.query = 4
    explorer.choice.other_head = 1
    file = explorer.save_html(tmp_path / "a.html")
    explorer.close()
    (store,) = models_of(file, "FrameStoreModel")
    found = [(page["kind"], page["page"]) for page in store["pages"]]
    assert len(found) == len(set(found))
    assert found[0] == ({"weights": "frame"}.get(kind, kind), 4 if kind == "flow" else 0)
    assert ("flow", 4) in found if kind == "flow" else "flow" not in dict(found)
    listed = re.findall("<li>(.*?)</li>", file.read_text("utf-8"))
    assert listed == [
        "some of the maps of attention flow, of 1 record" if kind == "flow" else "maps of attention flow, of 1 record"
    ]


def test_values_that_are_no_numbers_are_json(tmp_path: Path) -> None:
    field = ipywidgets.FloatText(value=float("inf"))
    file = mv.save_html(field, tmp_path / "a.html")
    assert models_of(file, "FloatTextModel")[0]["value"] is None
    for widget in (field.style, field.layout, field):
        widget.close()


def test_a_closed_view(make_explorer: Make, tmp_path: Path) -> None:
    explorer = make_explorer()
    explorer.close()
    with pytest.raises(ClosedError, match="the ActivationExplorer is closed; make another one and save that"):
        explorer.save_html(tmp_path / "a.html")


def test_a_closed_cache(make_explorer: Make, tmp_path: Path) -> None:
    explorer = make_explorer()
    explorer.cache.close()
    with pytest.raises(ClosedError, match="the cache of these views was closed and its values are gone; capture again"):
        explorer.save_html(tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_a_saved_capture_gives_the_page_of_the_recording(
    model: nn.Module, x: torch.Tensor, make_explorer: Make, tmp_path: Path
) -> None:
    cache = mv.ActivationCache.capture(model, x)
    recorded = make_explorer(cache).save_html(tmp_path / "a.html", title="t")
    cache.save(tmp_path / "run.safetensors")
    opened = mv.ActivationCache.open(tmp_path / "run.safetensors")
    again = make_explorer(opened).save_html(tmp_path / "b.html", title="t")
    (first,), (second,) = models_of(recorded, "FrameStoreModel"), models_of(again, "FrameStoreModel")
    assert first["pages"] == second["pages"] and first["pages"]
    blobs = [re.findall(r'data-name="(s0[^"]*)">(.*?)<', file.read_text("utf-8")) for file in (recorded, again)]
    assert blobs[0] == blobs[1]


def test_a_box_with_a_closed_view(make_explorer: Make, tmp_path: Path) -> None:
    explorer = make_explorer()
    box = ipywidgets.VBox([explorer])
    explorer.close()
    with pytest.raises(ClosedError, match="the VBox holds a ActivationExplorer that is closed"):
        mv.save_html(box, tmp_path / "a.html")
    box.layout.close()
    box.close()


def test_a_widget_of_another_package(tmp_path: Path) -> None:
    box = ipywidgets.VBox([out := ipywidgets.Output()])
    with pytest.raises(FrozenError, match="the VBox holds a Output of '@jupyter-widgets/output', which a page without"):
        mv.save_html(box, tmp_path / "a.html")
    for widget in (out.layout, out, box.layout, box):
        widget.close()


@pytest.mark.parametrize(("views", "what"), [(3, "a int"), ([], "no view"), ("text", "a str"), ([None], "a NoneType")])
def test_what_is_no_view(views: Any, what: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"views has {what}; expected a view or a list of them"):
        mv.save_html(views, tmp_path / "a.html")


def test_a_file_that_is_there_is_replaced_whole(make_explorer: Make, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("old")
    file = make_explorer().save_html(str(tmp_path / "a.html"))
    assert file == tmp_path / "a.html" and file.read_bytes().startswith(b"<!DOCTYPE html>\n")
    assert [each.name for each in tmp_path.iterdir()] == ["a.html"]


def test_places_that_cannot_be_written(make_explorer: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = make_explorer()
    with pytest.raises(SaveError, match="is a folder; give the path of a file"):
        explorer.save_html(tmp_path)
    with pytest.raises(SaveError, match=r"the folder '.*none' is not there; make it first"):
        explorer.save_html(tmp_path / "none/a.html")

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SaveError, match=r"a.html' cannot be written: \[Errno 13\] Permission denied"):
        explorer.save_html(tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_the_title_says_what_is_shown(make_explorer: Make, tmp_path: Path) -> None:
    explorer = make_explorer()
    assert "<title>ActivationExplorer of Sequential</title>" in explorer.save_html(tmp_path / "a.html").read_text(
        "utf-8"
    )
    assert "<h1>R&amp;D</h1>" in explorer.save_html(tmp_path / "a.html", title="R&D").read_text("utf-8")


def test_a_recall_lab_keeps_its_curves(tmp_path: Path) -> None:
    task = mv.analysis.recall.DelayedRecall(delay=3)
    lab = mv.RecallLab(LooksBack(4), task, sweep={"delay": [0, 2, 6]}, n=32).run(progress=False)
    (curves,) = models_of(lab.save_html(tmp_path / "lab.html"), "RecallCurvesModel")
    assert [dot["value"] for dot in curves["curves"][0]["dots"]] == [0.0, 2.0, 6.0]
    lab.close()
