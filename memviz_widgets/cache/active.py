"""Models that are being recorded now, by ``mv.record``.

In: recordings that start and end. Out: a refusal of what would mix with them.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from ..errors import RecordingError

ACTIVE: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
"""Model -> its Recording."""


def refuse_active(model: object) -> None:
    """Raise RecordingError when this model is being recorded."""
    if isinstance(model, nn.Module) and model in ACTIVE:
        raise RecordingError(
            f"this {type(model).__name__} is being recorded already; end that recording first (cache.stop(), or "
            "leave its with block). Recordings of one model do not nest."
        )
