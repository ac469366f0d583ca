"""The catalog as it travels: fields as columns, what is alike once, numbers as bytes.

In: a catalog. Out: a PackedCatalog, some 40 bytes per record in place of 1,000. js/src/packed_catalog.ts unpacks it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from .entries import Catalog, LayerEntry

NESTED = ("stats", "attention", "memory")
"""Fields of a record that are entries themselves: tables of their own, without the records that have None there."""

MOST_VALUES = 256
"""Different numbers of a column that are listed; of more, each is sent as a number: a place would take no less."""


class PackedColumn(TypedDict):
    """One field of the entries of a table.

    ``dtype``: of ``data``, little-endian, one number per entry. Of "uint8", "uint16", "uint32" it is a place in
    ``values``; of "float32" and "float64" it is the value itself, NaN for None. ``data`` None: ``values[0]`` for all.
    """

    values: list[Any]
    data: bytes | None
    dtype: str


class PackedTable(TypedDict):
    """``count`` entries by field. ``nested``: entries within entries, in order; ``columns`` has which are there."""

    count: int
    columns: dict[str, PackedColumn]
    nested: dict[str, PackedTable]


class PackedCatalog(TypedDict):
    """A Catalog. ``layers``: ``steps`` is how many, ``tail`` what follows the path in ``label``, or all of the label
    where it does not begin with the path. ``calls``: how many there are in each step of each layer; ``indices``: the
    records of them, one after another. ``rest``: the other fields as they are.
    """

    layers: PackedTable
    calls: PackedColumn
    indices: PackedColumn
    records: PackedTable
    rest: dict[str, Any]


def pack_catalog(catalog: Catalog | Mapping[str, Any]) -> PackedCatalog | Mapping[str, Any]:
    """The same catalog in columns; one of a store that has none yet, ``{}``, stays as it is.

    Every value comes back as it was: numbers are sent as float32 only where that holds all of their digits.
    """
    if "layers" not in catalog or "records" not in catalog:
        return catalog
    layers: list[LayerEntry] = catalog["layers"]
    steps = [calls for layer in layers for calls in layer["records"]]
    return {
        "layers": _table([_layer_fields(layer) for layer in layers]),
        "calls": _integers(list(map(len, steps))),
        "indices": _integers([index for calls in steps for index in calls]),
        "records": _table(catalog["records"], NESTED),
        "rest": {name: value for name, value in catalog.items() if name not in ("layers", "records")},
    }


def _layer_fields(layer: LayerEntry) -> dict[str, Any]:
    """A layer without its records, its label as what is added to the path."""
    inside = layer["label"].startswith(layer["path"])
    fields: dict[str, Any] = {name: value for name, value in layer.items() if name not in ("label", "records")}
    tail = layer["label"][len(layer["path"]) :] if inside else layer["label"]
    return {**fields, "inside": inside, "tail": tail, "steps": len(layer["records"])}


def _table(entries: Sequence[Mapping[str, Any]], inner: tuple[str, ...] = ()) -> PackedTable:
    columns, nested = {}, {}
    for name in entries[0] if entries else ():
        values = [entry[name] for entry in entries]
        if name in inner:
            nested[name] = _table([value for value in values if value is not None])
            values = [value is not None for value in values]
        columns[name] = _column(values)
    return {"count": len(entries), "columns": columns, "nested": nested}


def _column(values: Sequence[Any]) -> PackedColumn:
    """Each different value once, and a place in them per entry; numbers of many values as they are."""
    kinds = set(map(type, values))
    if kinds <= {int, float, type(None)} and len(set(values)) > MOST_VALUES:
        return _numbers(values)
    listed: list[Any] = []
    places = _places(values, listed, plain=not kinds & {dict, list})
    if len(listed) == 1:
        return {"values": listed, "data": None, "dtype": ""}
    return {**_integers(places), "values": listed}


def _places(values: Iterable[Any], listed: list[Any], *, plain: bool) -> list[int]:
    """Where each value is in ``listed``, which is filled. Lists and dicts are alike when their JSON is."""
    known: dict[Any, int] = {}
    texts: dict[str, int] = {}
    places = []
    for value in values:
        key = value if plain else id(value)  # most are one object that many entries share: its JSON is made once
        place = known.get(key, -1)
        if place < 0:
            place = len(listed) if plain else texts.setdefault(json.dumps(value), len(listed))
            known[key] = place
            if place == len(listed):
                listed.append(value)
        places.append(place)
    return places


def _integers(numbers: list[int]) -> PackedColumn:
    """Numbers >= 0 that are values, or places, themselves."""
    most = max(numbers, default=0)
    dtype = next(name for name in ("uint8", "uint16", "uint32") if most <= np.iinfo(name).max)
    return _bytes(np.array(numbers, np.dtype(dtype)))


def _numbers(values: Sequence[float | None]) -> PackedColumn:
    exact = np.array([np.nan if value is None else value for value in values], np.float64)
    with np.errstate(over="ignore"):
        short = exact.astype(np.float32)
    return _bytes(short if np.array_equal(short.astype(np.float64), exact, equal_nan=True) else exact)


def _bytes(array: npt.NDArray[Any]) -> PackedColumn:
    return {"values": [], "data": array.astype(array.dtype.newbyteorder("<")).tobytes(), "dtype": array.dtype.name}
