"""Values that the budget did not hold, computed again by running a small part of the model.

In: records, the store of values, a Replay. Out: the values in the store, compared with what was recorded; or
NotReproducibleError, and the record counts as lost from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from torch import Tensor

from .. import capture as capturing
from ..errors import NotReproducibleError
from ..records import TensorRecord
from .values import ValueStore


class BringingBack:
    """What is needed to have values again. Holds the model, as long as its ``replay`` is open.

    Attributes:
        replay: Runs parts of the recording again; None when nothing was saved for that, or nothing needs it.
        used: Whether a value was asked back.
        records: The records of the values, in their order.
    """

    def __init__(self, values: ValueStore, replay: capturing.Replay | None) -> None:
        self.replay = replay
        self.used = False
        self._values = values
        self._lost: dict[int, str] = {}
        self.records: Sequence[TensorRecord] = ()

    @property
    def lost(self) -> int:
        """Number of records of which another run gave other values."""
        return len(self._lost)

    def settle(self) -> None:
        """The recording is over. When all values are held, the saved inputs are given up and the model goes."""
        if self.replay is None:
            return
        if self._values.complete:
            self.close()
        else:
            self.replay.settle()

    def close(self) -> None:
        """Give up the saved inputs and let the model go."""
        if self.replay is not None:
            self.replay.close()
            self.replay = None

    def fetch(self, record: TensorRecord) -> None:
        """Compute a value again, compare it with what was recorded, and hold it.

        Raises:
            NotReproducibleError: when that is not possible.
        """
        index = record.index
        if index in self._lost:
            raise NotReproducibleError(self._lost[index])
        self.used = True
        try:
            if self.replay is None:
                raise capturing.ReplayFailedError("nothing was saved to run it again")
            self._run_cheapest(self.replay, index)
        except capturing.ReplayFailedError as error:
            self._lost[index] = (
                f"{record.label!r} (call {record.call}) is not reproducible: captured values were dropped, and "
                f"{error}. "
                f"{self._values.price(record)}"
            )
            raise NotReproducibleError(self._lost[index]) from error

    def _run_cheapest(self, replay: capturing.Replay, index: int) -> None:
        """Replay the cheapest of the records that have the same values."""
        cheapest = min((index, *self._values.twins(index)), key=replay.length_around)
        if cheapest != index:
            with suppress(capturing.ReplayFailedError):
                self._run(replay, cheapest)
                return
        self._run(replay, index)

    def _run(self, replay: capturing.Replay, index: int) -> None:
        """Replay one record. Those of the same block come along: who looks at one looks at its neighbours next."""
        block = [place for place in replay.block_around(index) if place != index and self.records[place].on_demand]
        beside = self._values.absent_near(index, block)

        def take(place: int, live: Tensor | capturing.Derived) -> bool:
            if place == index:
                return self._values.restore(place, live)
            return self._values.restore_beside(place, live, wanted=index)

        replay.fetch(self.records[index], take, [self.records[place] for place in beside])
