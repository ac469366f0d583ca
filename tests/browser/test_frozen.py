"""A saved page, opened from disk with the network cut: everything works, nothing is asked for."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bqplot
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Dialog, Page, expect
from torch import nn

import memviz_widgets as mv
from tests.cache.rank_parts import over, save_tensors

from .reference import attention_pixels, automatic, pixels_of

HOSTILE = "</script><img src=x onerror=alert(1)>"
OPENED = "document.documentElement.dataset.state"
PAINTED = """([at, record, frame]) => {
  const { dataset } = document.querySelectorAll('canvas.memviz-image')[at];
  return dataset.state === 'ready' && dataset.record === `${record}` && dataset.frame === `${frame}`; }"""


class Opened:
    """A page that was opened from disk. ``requests``: everything it asked for; ``problems``: errors and dialogs."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page, self.file = page, file
        self.requests: list[str] = []
        self.problems: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self.problems.append(said.text) if said.type in ("error", "warning") else None)
        page.on("dialog", self._dialog)

    def _dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def open(self) -> float:
        """Opens it and waits for the views; returns the seconds that took."""
        start = time.perf_counter()
        self.page.goto(self.file.as_uri())
        self.page.wait_for_function(f"() => {OPENED}", timeout=60_000)
        assert self.page.evaluate(OPENED) == "ready", self.page.inner_text("#memviz-status")
        return time.perf_counter() - start

    def outside(self) -> list[str]:
        """What it asked for beside itself; bytes that it carries are no request."""
        return [url for url in self.requests if url != self.file.as_uri() and not url.startswith(("data:", "blob:"))]

    def wait_painted(self, record: int, frame: int, at: int = 0) -> None:
        self.page.wait_for_function(PAINTED, arg=[at, record, frame], timeout=15_000)

    def pixels(self, at: int = 0) -> npt.NDArray[np.uint8]:
        """RGBA of a heatmap, (rows, cols, 4)."""
        canvas = self.page.locator("canvas.memviz-image").nth(at)
        picture = Image.open(io.BytesIO(base64.b64decode(canvas.evaluate("c => c.toDataURL()").split(",")[1])))
        return np.array(picture.convert("RGBA"), np.uint8)

    def press(self, axis: str, key: str, at: int = 0) -> None:
        handle = self.page.locator(f".memviz-axis-{axis} .noUi-handle").nth(at)
        handle.focus()
        self.page.keyboard.press(key)

    def hover(self, row: float, col: float) -> str:
        """What the first heatmap says about the place at these shares of its height and width."""
        box = self.page.locator(".memviz-image-holder").first.bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + box["width"] * col, box["y"] + box["height"] * row)
        tooltip = self.page.locator(".memviz-tooltip").first
        expect(tooltip).to_be_visible()
        return tooltip.inner_text()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """``open_page(views)`` saves views and opens the page offline; afterwards it must have been silent."""
    opened: list[Opened] = []

    def start(views: Any, width: int = 1400, dark: bool = False, **options: Any) -> Opened:
        file = mv.save_html(views, tmp_path / "page.html", **options)
        for view in views if isinstance(views, list) else [views]:
            view.close()  # the page lives without it
        scheme: Any = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": 1100}, offline=True, color_scheme=scheme)
        page = Opened(context.new_page(), file)
        opened.append(page)
        page.open()
        return page

    yield start
    for page in opened:
        assert page.outside() == [] and page.problems == []
        page.page.context.close()


@pytest.fixture
def convolutions() -> mv.ActivationCache:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3)).eval()
    return mv.ActivationCache.capture(model, torch.randn(1, 1, 14, 14))


def drawn(values: npt.NDArray[Any], channel: int) -> npt.NDArray[np.uint8]:
    """A channel of a layer, (C, H, W), in the colours that a view chooses by itself."""
    return np.asarray(pixels_of(values[channel], *automatic(values)))


def test_scrubbing_moves_both_views_of_a_recording(open_page: Callable[..., Opened], convolutions: Any) -> None:
    first, last = (convolutions[path][0].numpy() for path in ("0", "2"))
    page = open_page([mv.ActivationExplorer(convolutions), mv.ActivationExplorer(convolutions)])
    page.wait_painted(0, 0)
    np.testing.assert_array_equal(page.pixels(), drawn(first, 0))
    for _ in range(4):
        page.press("channel", "ArrowRight")
    for at in (0, 1):
        page.wait_painted(0, 4, at)
        np.testing.assert_array_equal(page.pixels(at), drawn(first, 4))
    page.press("layer", "End", at=1)  # the model's output, which the last convolution made
    page.press("layer", "ArrowLeft", at=1)
    for at in (0, 1):
        page.wait_painted(2, 3, at)  # it has four channels
        np.testing.assert_array_equal(page.pixels(at), drawn(last, 3))
    page.page.locator(".memviz-sheet canvas").first.click(position={"x": 5, "y": 5})
    page.wait_painted(2, 0, 1)


def test_the_number_under_the_pointer(open_page: Callable[..., Opened], convolutions: Any) -> None:
    values = convolutions["0"][0, 0].numpy()
    page = open_page(mv.ActivationExplorer(convolutions))
    page.wait_painted(0, 0)
    for row, col in ((0, 0), (5, 7), (11, 11)):
        said = page.hover((row + 0.5) / 12, (col + 0.5) / 12)
        assert f"height {row}, width {col}" in said and "≈" in said
        number = float(said.split("≈")[1].replace("\N{MINUS SIGN}", "-"))
        step = float(values.max() - values.min()) / 504
        assert abs(number - values[row, col]) <= step + 1e-3 * abs(number)  # it is written with four digits


def test_what_a_lost_rank_would_have_is_not_recorded(open_page: Callable[..., Opened], tmp_path: Path) -> None:
    """Beside a NaN that was recorded, which looks the same."""
    kept = torch.randn(1, 4, 3)
    kept[0, 1, 0] = torch.nan
    place = over("shard 2", mesh=(2,), names=("tp",), shape=(1, 4, 6))
    save_tensors([{"fc": kept}, None], "batch height width", tmp_path / "run.zarr", place)
    page = open_page(mv.ActivationExplorer(mv.ActivationCache.open(tmp_path / "run.zarr")))
    page.wait_painted(0, 0)
    said = [page.hover(1.5 / 4, (col + 0.5) / 6) for col in (0, 1, 4)]
    assert said[0].endswith("width 0: NaN") and "≈" in said[1] and said[2].endswith("width 4: not recorded")


def test_the_range_of_colours_and_the_map(open_page: Callable[..., Opened], convolutions: Any) -> None:
    values = convolutions["0"][0, 0].numpy()
    page = open_page(mv.ActivationExplorer(convolutions))
    page.wait_painted(0, 0)
    colors = page.page.locator(".memviz-colors select")
    colors.nth(0).select_option("this frame")
    colors.nth(1).select_option("gray")
    expected = pixels_of(values, float(values.min()), float(values.max()), "gray")
    expect(page.page.locator(".memviz-bar-tick").last).to_contain_text(f"{values.max():.3f}"[:5])
    np.testing.assert_array_equal(page.pixels(), expected)


def test_play_runs_through_the_channels(open_page: Callable[..., Opened], convolutions: Any) -> None:
    page = open_page(mv.ActivationExplorer(convolutions))
    page.wait_painted(0, 0)
    page.page.locator(".memviz-axis-channel .widget-play button").first.click()
    page.wait_painted(0, 3)
    page.wait_painted(0, 5)


def test_a_lesson_of_attention(open_page: Callable[..., Opened]) -> None:
    torch.manual_seed(0)
    weights = [torch.randn(1, 12, 128, 128).mul(2).softmax(-1) for _ in range(12)]
    tokens = [f"word{i}" for i in range(127)] + [HOSTILE]
    explorer = mv.AttentionExplorer(mv.ActivationCache.from_attentions(weights, tokens=tokens))
    page = open_page(explorer, budget="5 MB")
    assert page.file.stat().st_size < 5_000_000
    assert page.open() < 10  # about 1 s alone on two cores
    page.wait_painted(0, 0)
    for head in range(1, 12):
        page.press("head", "ArrowRight")
        page.wait_painted(0, head)
    np.testing.assert_array_equal(page.pixels(), attention_pixels(weights[0][0, 11].numpy()))
    page.page.locator(".memviz-attention-layer select").select_option(index=11)
    page.wait_painted(11, 11)
    np.testing.assert_array_equal(page.pixels(), attention_pixels(weights[11][0, 11].numpy()))
    page.page.locator(".memviz-tokens .memviz-token").nth(127).click()
    caption = page.page.locator(".memviz-tokens-caption").first
    expect(caption).to_contain_text("From query 127")
    expect(caption).to_contain_text(HOSTILE)
    heads = page.page.locator(".memviz-heads-row").nth(2)
    heads.scroll_into_view_if_needed()
    heads.locator(".memviz-head").nth(5).click()
    page.wait_painted(2, 5)
    page.page.locator(".memviz-colors select").first.select_option("mean of all heads")
    expect(page.page.locator(".memviz-bar")).to_contain_text("mean of 12 heads")
    page.page.wait_for_function("() => document.querySelector('canvas.memviz-image').dataset.kind === 'mean'")


def test_a_figure_of_the_users_own_has_its_numbers(open_page: Callable[..., Opened], convolutions: Any) -> None:
    explorer = mv.ActivationExplorer(convolutions)
    scales = {"x": bqplot.LinearScale(min=0.0, max=4.0), "y": bqplot.LinearScale(min=0.0, max=10.0)}
    line = bqplot.Lines(x=np.array([0.0, 1.0, 4.0]), y=np.array([0.0, 10.0, 5.0]), scales=scales)
    ticks = bqplot.Axis(scale=scales["x"], tick_values=np.array([0.0, 1.0, 4.0]))
    figure = bqplot.Figure(marks=[line], axes=[ticks], padding_x=0, padding_y=0, animation_duration=0)
    page = open_page([explorer, figure])
    own = page.page.locator(".memviz-frozen-view").last
    expect(own.locator(".axis .tick text")).to_have_text(["0", "1", "4"])
    path = str(own.locator("path.line").get_attribute("d"))  # M1,359L261.5,1L1043,180
    x0, y0, x1, y1, x2, y2 = (float(number) for number in re.findall(r"[\d.]+", path))
    assert (x1 - x0) / (x2 - x0) == pytest.approx(1 / 4, abs=1e-3)
    assert (y2 - y0) / (y1 - y0) == pytest.approx(1 / 2, abs=1e-3)


def test_what_is_left_out_is_listed_and_said_in_its_place(open_page: Callable[..., Opened]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Identity(), nn.Upsample(scale_factor=8), nn.Conv2d(1, 40, 3))
    cache = mv.ActivationCache.capture(model, torch.randn(1, 1, 24, 24))
    page = open_page(mv.ActivationExplorer(cache), budget="760 kB")
    listed = page.page.locator(".memviz-frozen-left-out")
    expect(listed.locator("li").first).to_be_hidden()
    listed.locator("summary").click()
    expect(listed.locator("summary")).to_contain_text("Not included: ")
    lines = listed.locator("li").all_inner_texts()
    assert any(line.startswith("2: ") for line in lines)
    page.press("layer", "ArrowRight")
    page.press("layer", "ArrowRight")
    reason = next(line for line in lines if line.startswith("2: ")).removeprefix("2: ")
    expect(page.page.locator(".memviz-record-messages")).to_contain_text(reason)


def test_a_memory_with_its_measures(open_page: Callable[..., Opened]) -> None:
    torch.manual_seed(0)
    page = open_page(mv.MemoryExplorer(nn.LSTM(3, 8, batch_first=True), torch.randn(2, 12, 3)))
    page.page.wait_for_function("() => document.querySelector('canvas.memviz-image')?.dataset.state === 'ready'")
    expect(page.page.locator(".memviz-card")).to_contain_text("half-life")
    page.page.locator(".memviz-memory-choice select").last.select_option("hidden")
    expect(page.page.locator(".memviz-bar")).to_contain_text("hidden of")
    page.page.locator(".memviz-colors select").first.select_option("who wrote what is held")
    page.page.wait_for_function("() => document.querySelector('canvas.memviz-image').dataset.kind === 'wrote'")
    page.press("sample", "ArrowRight")
    expect(page.page.locator(".memviz-card-title").first).to_contain_text("sample 1")
    expect(page.page.locator(".memviz-card")).to_contain_text("half-life")


def test_a_report_leads_the_explorer_to_its_place(open_page: Callable[..., Opened]) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 6, 3)
    assert convolution.bias is not None
    with torch.no_grad():
        convolution.bias[4] = -100.0
    dead = nn.Sequential(convolution, nn.ReLU()).eval()
    cache = mv.ActivationCache.capture(dead, torch.randn(1, 1, 24, 24))
    page = open_page([mv.ActivationExplorer(cache), mv.HealthReport(cache)])
    page.wait_painted(0, 0)
    page.page.locator(".memviz-health-row").first.click()
    page.wait_painted(1, 4)


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_page_in_both_themes(open_page: Callable[..., Opened], convolutions: Any, dark: bool) -> None:
    page = open_page(mv.ActivationExplorer(convolutions), width=600, dark=dark, title="x" * 300)
    page.wait_painted(0, 0)
    assert page.page.evaluate("() => document.documentElement.scrollWidth <= 600")
    shade = "() => getComputedStyle(document.body).backgroundColor"
    before = page.page.evaluate(shade)
    assert before == ("rgb(17, 17, 17)" if dark else "rgb(255, 255, 255)")
    page.page.get_by_role("button", name="Light" if dark else "Dark", exact=True).click()
    assert page.page.evaluate(shade) != before


def test_a_damaged_page_says_so(browser: Browser, convolutions: Any, tmp_path: Path) -> None:
    explorer = mv.ActivationExplorer(convolutions)
    file = explorer.save_html(tmp_path / "page.html")
    explorer.close()
    text = file.read_text("utf-8")
    file.write_text(re.sub(r'data-name="s0.screen">[^<]{200}', 'data-name="s0.screen">', text), "utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    page.wait_for_function(f"() => {OPENED} === 'failed'")
    expect(page.locator("#memviz-status")).to_be_visible()
    assert page.inner_text("#memviz-status") and not page.inner_text("#memviz-status").startswith("Opening")
    page.close()
