"""MemoryCard: the measures that apply to the memory that is shown, each with its chance line or bound, and n.

In: a cache, wishes from the browser (custom messages). Out: cards, one per memory and sample that was looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ipywidgets import DOMWidget, Widget, register, widget_serialization
from traitlets import Dict, Instance, List, Unicode

from ..cache import ActivationCache
from ..errors import ClosedError, MemvizError
from ..frames.memory_card import build_card
from ..frames.memory_card_methods import METHODS
from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced

MOST_CARDS = 64
"""Cards that are remembered, some 3 KiB each: those asked for last."""


@register
class MemoryCard(Synced, DOMWidget):
    """A table of measures: how long the memory keeps, how many directions it uses, how its slots are used ...

    A card is computed when the browser shows it for the first time; what was looked at stays in ``cards``, so that a
    saved page has it. What takes long, the gradient horizon of a long sequence, waits for a button that says the price.

    Args:
        cache: the ActivationCache whose memories are measured.
    """

    _model_name = Unicode("MemoryCardModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("MemoryCardView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor: which memory and sample.").tag(**widget_serialization)
    cards: Any = Dict(
        help="What was measured, by 'record/sample': index of the record of the memory's content, and the sample "
        "(frames.entries.Card)."
    )
    methods: Any = Dict(help="How each measure is computed, by its name (frames.entries.CardMethod).")
    recall: Any = List(help="Rows of the recall curves that were given (frames.entries.CardRow); [] = none.")

    _cache: ActivationCache | None = None

    def __init__(self, cache: ActivationCache, **kwargs: Any) -> None:
        kwargs.setdefault("methods", dict(METHODS))
        super().__init__(**kwargs)
        self._cache = cache
        self.on_msg(self._answer)

    def close(self) -> None:
        """Let the cache go, and close the widget; the cards that are known stay readable."""
        self.on_msg(self._answer, remove=True)
        self._cache = None
        super().close()

    def measure(self, record: int, sample: int = 0, *, patient: bool = True) -> dict[str, Any]:
        """The card of a memory, as the browser gets it.

        Args:
            record: index in ``cache.records`` of any part of the memory.
            sample: position in the batch.
            patient: also what takes long; the browser's first wish leaves it out.

        Raises:
            ClosedError: when the view or its cache is closed.
            PageRefusedError: when there is no such record or sample, or the record is of no memory.
        """
        if self._cache is None or self._cache.closed:
            raise ClosedError("the recording is closed; capture again to measure its memories.")
        card: dict[str, Any] = dict(build_card(self._cache, record, sample, patient=patient))
        self._remember(f"{record}/{sample}", card)
        return card

    def cards_at(self, places: Iterable[tuple[int, int]]) -> dict[str, Any]:
        """The cards that are known, and those of these records and samples, without what takes long; sends nothing."""
        found = dict(self.cards)
        for record, sample in places:
            key = f"{record}/{sample}"
            if key not in found and self._cache is not None:
                try:
                    found[key] = dict(build_card(self._cache, record, sample, patient=False))
                except Exception as error:  # as in an answer: one card of many, which says what happened
                    found[key] = _failed(_said(error))
        return found

    def _remember(self, key: str, card: dict[str, Any]) -> None:
        others = [(name, known) for name, known in self.cards.items() if name != key]
        self.cards = dict([*others[max(0, len(others) + 1 - MOST_CARDS) :], (key, card)])

    def _answer(self, widget: Widget, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """Serve one wish of the browser; an error is answered in the card and shown, it never stays in a log."""
        if content.get("type") != "card":
            return
        record, sample = int(content["record"]), int(content["sample"])
        try:
            self.measure(record, sample, patient=bool(content.get("patient")))
        except Exception as error:  # a callback has no caller: whatever happens must be seen under the view
            text = _said(error)
            self._remember(f"{record}/{sample}", _failed(text))
            if not isinstance(error, MemvizError):
                self.selection.store.problem = text
        self.send({"type": "done", "record": record, "sample": sample})  # also where the card is as it was


def _failed(reason: str) -> dict[str, Any]:
    """The card of what cannot be measured."""
    return {"title": "", "rows": [], "absent": [], "offers": [], "problems": [reason]}


def _said(error: Exception) -> str:
    """A refusal of ours as it stands, another error with its kind."""
    return str(error) if isinstance(error, MemvizError) else f"{type(error).__name__}: {error}"
