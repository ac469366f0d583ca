"""FrameStore: the kernel's end of the pages that a notebook page holds.

In: a cache and wishes from the browser (custom messages). Out: its catalog, pages of uint8 frames,
exact values of single cells. The browser's end (js/src/frame_store.ts) decides what is asked for and when.
"""

from __future__ import annotations

from typing import Any

from ipywidgets import Widget, register
from traitlets import Dict, Int, List, Unicode

from ..cache.recorded_cache import RecordedCache
from ..errors import ClosedError, MemvizError, PageRefusedError
from ..frames.catalog import build_catalog
from ..frames.detail import Part
from ..frames.packed_catalog import pack_catalog
from ..frames.page import Page, page_buffers, page_header
from ..frames.pages import PageSource
from ..synced import MODULE_NAME, MODULE_VERSION, Synced

MOST_NOTICES = 3
"""Lines about the capture that are shown under every view."""


@register
class FrameStore(Synced, Widget):
    """Pages of frames of one cache, shared by every view of it. A model without a view."""

    _model_name = Unicode("FrameStoreModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    catalog: Any = Dict(
        help="What was recorded: layers, records with shape, dims and statistics (frames.catalog.Catalog)."
    ).tag(to_json=lambda catalog, _store: pack_catalog(catalog))
    pages: Any = List(help="Pages sent with the widget itself, so that the first picture needs no round trip.")
    budget_bytes: Any = Int(
        96 * 2**20, help="Bytes of pages the notebook page may hold; the least recently seen go first."
    )
    summary: Any = Unicode(
        help="How much was recorded and is held now, one line above every view; a replay changes what is held."
    )
    notice: Any = Unicode(help="What the capture could not record or put back, a line each, shown under every view.")
    problem: Any = Unicode(help="The last error of a callback, shown under every view; empty when there is none.")

    _source: PageSource | None = None

    def __init__(self, cache: RecordedCache, **kwargs: Any) -> None:
        source = PageSource(cache)
        catalog = build_catalog(cache)
        # What the capture could not record or put back must not wait in an attribute until somebody looks.
        kwargs.setdefault("notice", capture_notice(cache))
        pages = first_pages(source, catalog)
        super().__init__(catalog=catalog, pages=pages, summary=source.summary, **kwargs)
        self._source = source
        self.on_msg(self._answer)

    def close(self) -> None:
        """Forget the cache and the pages; the browser's model goes with it."""
        self.on_msg(self._answer, remove=True)
        if self._source is not None:
            self._source.close()
        super().close()

    def refresh(self, cache: RecordedCache) -> None:
        """Take in the steps that were recorded since (``cache.record_step``), if there are any."""
        if len(cache.records) != len(self.catalog["records"]):
            self.catalog = build_catalog(cache)
            self.notice = capture_notice(cache)
            self.summary = cache.summary

    def page(self, record: int, kind: str, page: int) -> Page:
        """One page as the browser gets it, for whoever draws in the kernel.

        Raises:
            PageRefusedError: as PageSource.page; also after ``close()``.
        """
        if self._source is None:
            raise PageRefusedError("the view is closed; make another one to look again.")
        return self._source.page(record, kind, page)

    @property
    def source(self) -> PageSource:
        """Where the pages come from.

        Raises:
            ClosedError: after ``close()``, or when the cache is closed.
        """
        if self._source is None or self._source.closed:
            raise ClosedError("the cache of these views was closed and its values are gone; capture again.")
        return self._source

    def __repr__(self) -> str:
        return f"FrameStore({len(self.catalog.get('records', ()))} records)"

    def _answer(self, widget: Widget, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """Serve one message of the browser; an error is answered and shown, it never stays in a log."""
        if self._source is None:
            return
        try:
            if content.get("type") == "pages":
                self._answer_pages(self._source, content["id"], content["wants"])
            elif content.get("type") == "value":
                self._answer_value(self._source, content)
            elif content.get("type") == "detail":
                self._answer_detail(self._source, content)
        except Exception as error:  # a callback has no caller: whatever happens must be seen under the view
            self._show(error)
        self.summary = self._source.summary

    def _answer_pages(self, source: PageSource, request: int, wants: list[dict[str, Any]]) -> None:
        for want in wants:
            place = {name: want[name] for name in ("record", "kind", "page")}
            try:
                page = source.page(place["record"], place["kind"], place["page"])
            except Exception as error:  # one page that cannot be made must not hold back the others
                self._show(error)
                self.send({"type": "refused", "id": request, **place, "message": str(error)})
                continue
            self.send({"type": "page", "id": request, **page_header(page)}, list(page_buffers(page).values()))
        self.send({"type": "done", "id": request})

    def _show(self, error: Exception) -> None:
        """Write an error under the views; a refusal of ours is an answer and stands there already."""
        if not isinstance(error, MemvizError):
            self.problem = f"{type(error).__name__}: {error}"

    def _answer_value(self, source: PageSource, content: dict[str, Any]) -> None:
        try:
            kind, pools = content.get("kind", "frame"), content.get("pools")
            place = (content["record"], content["frame"], content["row"], content["col"])
            cell = source.value(*place, kind, (pools[0], pools[1]) if pools else None)
            text = source.text(place[0], cell)
        except MemvizError as error:
            self.send({"type": "refused", "id": content["id"], "message": str(error)})
            return
        answer = {"text": text, "number": cell.number, "index": list(cell.index)}
        self.send({"type": "value", "id": content["id"], **answer})

    def _answer_detail(self, source: PageSource, content: dict[str, Any]) -> None:
        (down, across), rows, cols = content["pools"], content["rows"], content["cols"]
        part = Part(down, across, slice(rows[0], rows[1]), slice(cols[0], cols[1]))
        try:
            page = source.detail(content["record"], content["kind"], content["frame"], part)
        except MemvizError as error:
            self.send({"type": "no_detail", "id": content["id"], "message": str(error)})
            return
        self.send({**page_header(page), "type": "detail", "id": content["id"]}, list(page_buffers(page).values()))


def capture_notice(cache: RecordedCache) -> str:
    """What the capture could not record or put back, a line each, the first few; "" when there is nothing."""
    sentences = [*cache.remarks, *cache.opaque.values()]
    more = len(sentences) - MOST_NOTICES
    rest = [f"and {more} more: see cache.remarks and cache.opaque"] if more > 0 else []
    return "\n".join([*sentences[:MOST_NOTICES], *rest])


def first_pages(source: PageSource, catalog: Any) -> list[dict[str, Any]]:
    """The pages behind the first picture: first record's frame, tiles, measures, histogram and series.

    None when that record has no values, or cannot have them back: the browser will ask, and show why under the view.
    """
    calls = catalog["layers"][0]["records"][0] if catalog["layers"] else []
    entry = catalog["records"][calls[0]] if calls else None
    if entry is None or entry["frame"] is None:
        return []
    wanted = ["frame", "histogram"]
    wanted += ["channels"] if entry["channels"] else []
    wanted += [kind for kind in ("sheet", "series") if entry[kind] is not None]
    try:
        pages = [source.page(calls[0], kind, 0) for kind in wanted]
    except MemvizError:
        return []
    return [{**page_header(page), **page_buffers(page)} for page in pages]
