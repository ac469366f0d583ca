"""A lesson on the site: its views work, served and from disk, and no request leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from ..docs_site import site

pytestmark = pytest.mark.browser
PAINTED_MS = 60_000


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name of the base class
        """Nothing: the test says what went wrong."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(site())))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose requests all stay at home, and in which nothing goes wrong."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, color_scheme="light")
    opened = context.new_page()
    requests: list[str] = []
    problems: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    home = ("data:", "blob:", opened.url.split("/lessons/")[0])
    assert requests and [url for url in requests if not url.startswith(home)] == [] and problems == []
    context.close()


def scrub(page: Page) -> None:
    """One step on the channel slider shows another picture."""
    view = page.frame_locator(".lesson-view")
    page.locator(".lesson-view").scroll_into_view_if_needed()
    expect(view.locator("canvas.memviz-image[data-state=ready][data-frame='0']")).to_be_visible(timeout=PAINTED_MS)
    canvas = view.locator("canvas.memviz-image").first
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    view.locator(".memviz-axis-channel .noUi-handle").press("ArrowRight")
    expect(view.locator("canvas.memviz-image[data-state=ready][data-frame='1']")).to_be_visible()
    assert canvas.evaluate("canvas => canvas.toDataURL()") != before


def test_a_view_is_scrubbed_fits_and_is_dark_with_the_site(page: Page, address: str) -> None:
    page.goto(f"{address}/lessons/small.html")
    scrub(page)
    inside = page.locator(".lesson-view").evaluate_handle("frame => frame.contentDocument.documentElement")
    page.wait_for_function("root => root.scrollHeight <= root.clientHeight + 1 && root.clientHeight > 400", arg=inside)
    page.locator("label[title='Dark colours']").click()
    page.wait_for_function("root => root.dataset.jpThemeLight === 'false'", arg=inside)


def test_a_view_is_scrubbed_in_a_site_opened_from_disk(page: Page) -> None:
    page.goto((site() / "lessons/small.html").as_uri())
    scrub(page)
