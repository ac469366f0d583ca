"""Which map of an attention is shown while the cursor is anywhere in the model.

In: a catalog, a cursor, the kind of map. Out: a ShownMap. The browser's twin is js/src/picture_choice.ts.
"""

from __future__ import annotations

from .entries import Catalog
from .shown import (
    Cursor,
    Place,
    ShownMap,
    axis_words,
    flat_index,
    index_along,
    nearest_layer,
    not_run,
    picture_of,
    place_at,
    texts_along,
)
from .token_words import quoted

NO_ATTENTION = "No attention was found in this recording: nothing in it multiplied the result of a softmax with values."
_LIMITS = {
    "row": ", each row in shares of its largest weight",
    "log": ", colours by the logarithm of the weight",
    "rollout": ": residual 0.5, heads averaged; follows weights only",
    "flow": ": follows weights only; paths compete for edges, and the parts do not sum to 1",
}


def attention_layer(catalog: Catalog, selected: int) -> int:
    """Position of the attention to show: the selected layer, or the one that belongs to it; -1: there is none."""
    found = [position for position, layer in enumerate(catalog["layers"]) if layer["kind"] == "attention"]
    return selected if selected in found else nearest_layer(catalog, found, selected)


def shown_attention(catalog: Catalog, cursor: Cursor, kind: str, other_head: int) -> ShownMap:
    """A map of the attention at the cursor.

    Args:
        catalog: What was recorded.
        cursor: Index per trait of the selection.
        kind: "weights", "row", "log", "mean", "max", "difference", "rollout" or "flow".
        other_head: The head that is subtracted in a difference.
    """
    position = attention_layer(catalog, cursor.get("layer", 0))
    place = place_at(catalog, position, cursor)
    pages = "frame" if kind == "weights" else kind
    if place is None:
        label = catalog["layers"][position]["label"] if position >= 0 else ""
        return ShownMap(None, pages, absence=not_run(label, cursor) if label else NO_ATTENTION)
    picture = picture_of(place.record, pages)
    if picture is None:
        return ShownMap(place, pages, absence=_absence(place, kind))
    shown = ShownMap(place, pages, picture, flat_index(picture, cursor, {"other": other_head}))
    samples = [axis for axis in picture["axes"] if axis["trait"] == "sample"]
    words = axis_words({**picture, "axes": samples}, cursor)
    return ShownMap(place, pages, picture, shown.flat, (*words, _words(catalog, shown, cursor, kind, other_head)))


def _words(catalog: Catalog, shown: ShownMap, cursor: Cursor, kind: str, other_head: int) -> str:
    """ "head 3 of 12", "mean of 12 heads", "head 3 minus head 5"."""
    assert shown.place is not None
    attention = shown.place.record["attention"]
    heads, queries = (attention["heads"], attention["queries"]) if attention else (1, 1)
    head, label = index_along(cursor, "head", heads), shown.place.layer["label"]
    every = f"{heads:,} head{'' if heads == 1 else 's'}"
    if kind in ("mean", "max"):
        return f"{'mean' if kind == 'mean' else 'largest'} of {every}"
    if kind == "difference":
        return f"head {head} minus head {min(other_head, heads - 1)}"
    if kind == "rollout":
        return f"rollout to {label}{_LIMITS[kind]}"
    if kind == "flow":
        query = index_along(cursor, "query", queries)
        texts = texts_along(catalog, shown, "query", cursor)
        text = texts(query) if texts else None
        return (
            f"attention flow to {label} from query {query}{'' if text is None else f' {quoted(text)}'}{_LIMITS[kind]}"
        )
    return f"head {head} of {heads:,}{_LIMITS.get(kind, '')}"


def _absence(place: Place, kind: str) -> str:
    label = place.layer["label"]
    if place.record["frame"] is None or place.record["attention"] is None:
        return place.record["message"] or "nothing to show"
    if kind == "difference":
        return f"{label} has one head: a difference needs two"
    what = "attention flow" if kind == "flow" else "rollout"
    return f"no {what} to {label}: it needs square attention of one length in every layer before it"
