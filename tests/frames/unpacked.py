"""A packed catalog read back in Python, as js/src/packed_catalog.ts reads it in the browser.

In: columns, their bytes as bytes. Out: the catalog that was packed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def unpacked(packed: Any) -> Any:
    """The catalog of a packed one."""
    counts, indices = iter(_numbers(packed["calls"])), iter(_numbers(packed["indices"]))
    layers = []
    for fields in _entries(packed["layers"]):
        inside, tail, steps = (fields.pop(name) for name in ("inside", "tail", "steps"))
        records = [[next(indices) for _ in range(next(counts))] for _ in range(steps)]
        layers.append({**fields, "label": fields["path"] + tail if inside else tail, "records": records})
    return {**packed["rest"], "layers": layers, "records": _entries(packed["records"])}


def _entries(table: Any) -> list[dict[str, Any]]:
    nested = {name: iter(_entries(inner)) for name, inner in table["nested"].items()}
    columns = {name: _values(column, table["count"]) for name, column in table["columns"].items()}
    entries = [{name: values[i] for name, values in columns.items()} for i in range(table["count"])]
    return [
        {name: (next(nested[name]) if value else None) if name in nested else value for name, value in entry.items()}
        for entry in entries
    ]


def _values(column: Any, count: int) -> list[Any]:
    if column["data"] is None:
        return [column["values"][0]] * count
    numbers = _numbers(column)
    if column["dtype"].startswith("float"):
        return [None if math.isnan(number) else number for number in numbers]
    return [column["values"][number] for number in numbers]


def _numbers(column: Any) -> list[Any]:
    found: list[Any] = np.frombuffer(column["data"], np.dtype(column["dtype"]).newbyteorder("<")).tolist()
    return found
