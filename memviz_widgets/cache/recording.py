"""Recording: an ActivationCache that is filled while the user's own code runs the model.

In: a model, then whatever the user calls between start and stop. Out: a cache whose records have a step per outermost
call of the model. Nothing is put back: training steps and states of the user's loop are theirs to keep.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from torch import nn

from ..errors import RecordingError
from .activation_cache import ActivationCache
from .active import ACTIVE, refuse_active

if TYPE_CHECKING:
    from typing_extensions import Self  # typing has it from Python 3.11


def record(
    model: nn.Module,
    *,
    tokens: Any = None,
    image: Any = None,
    layers: object = None,
    dims: Mapping[str, object] | None = None,
    budget: object = "1 GiB",
    spill: str | os.PathLike[str] | None = None,
    gather: bool = False,
) -> Recording:
    """Record your own loop: ``with mv.record(model) as cache:`` around any code that runs the model.

    Each outermost call of the model becomes a ``step``, calls of its modules within one a ``call``. Across notebook
    cells: ``cache = mv.record(model)``, then ``cache.start()`` in one cell and ``cache.stop()`` in another. The cache
    can be looked at when the recording has ended. One recording per model at a time, each used once.

    Args:
        model: Any nn.Module. Hooks are on it from start to stop, and on nothing else.
        tokens, image, layers, dims, budget, spill: As in :meth:`ActivationCache.capture`.
        gather: As there, when the recording ends: at :meth:`~Recording.stop`, or where the with block is left without
            an error.

    Raises:
        ModelError, LayersError, DimsError, BudgetError, SpillError, MissingExtraError: about the arguments, at once.
    """
    return Recording(
        model, tokens=tokens, image=image, layers=layers, dims=dims, budget=budget, spill=spill, gather=gather
    )


class Recording(ActivationCache):
    """The cache that :func:`record` makes. See there."""

    def __init__(
        self, model: nn.Module, *, layers: object = None, dims: Mapping[str, object] | None = None, **options: Any
    ) -> None:
        self._wants_all = bool(options.pop("gather", False))
        super().__init__(options.pop("budget"), **options)
        self._session = self._make_session(model, layers, dims, loop=True)
        self._started = False
        self._stopped = False

    def start(self) -> Self:
        """Begin to record what the model computes from now on.

        Raises:
            RecordingError: when this recording was started before, or the model is in another one.
        """
        if self._stopped:
            raise RecordingError("this recording has ended and cannot be used again; make a new mv.record(model).")
        if self._started:
            raise RecordingError("this recording was started already; call cache.stop() to end it.")
        model = self._session.model
        refuse_active(model)
        self._session.begin()
        self._started = True
        ACTIVE[model] = self
        return self

    def stop(self) -> Self:
        """End the recording: the model has no hooks any more, and the values can be looked at.

        Raises:
            RecordingError: when it was not started, or has ended.
            GatherError: when another rank does not take part in gathering.
        """
        self._end()
        if self._wants_all:
            self._gather()
        return self

    def _end(self) -> None:
        """End the recording, without asking other ranks."""
        if not self._started:
            raise RecordingError("this recording was not started; call cache.start(), or use it as a with block.")
        if self._stopped:
            raise RecordingError("this recording has ended already.")
        self._stopped = True
        ACTIVE.pop(self._session.model, None)
        self._session.end()
        self._settle(self._session)

    def record_step(self, *args: Any, **kwargs: Any) -> None:
        """Not of a recording, whose steps are the calls of your loop.

        Raises:
            RecordingError: always.
        """
        raise RecordingError(
            "the steps of this recording are the calls of your own loop; for forwards between the steps of a training "
            "make a cache of its own: cache = mv.ActivationCache(), then cache.record_step(model, x)."
        )

    @property
    def recording(self) -> bool:
        """Whether the recording has not ended yet: nothing can be looked at."""
        return not self._stopped

    def close(self) -> None:
        """End the recording if it runs, and free all values."""
        if self._started and not self._stopped:
            self._end()
        super().close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._stopped:
            # After an error the others may never come.
            self.stop() if kind is None else self._end()

    def __repr__(self) -> str:
        if self._stopped:
            return super().__repr__()
        return f"<Recording: {'started' if self._started else 'not started'}>"
