"""Anchors: calls that can be made again, because their inputs were saved when they began.

In: calls that begin and end, while a recording runs. Out: for a record, the smallest saved call around it.
Chosen are the outermost call and the blocks of the network (see blocks.py); the inputs of finer ones are given up first
when the room for inputs is used up.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from .blocks import block_levels
from .saved_inputs import Held, Hold, SavedInputs
from .state import RandomKeeper
from .surroundings import Surroundings
from .tensors import version_of
from .trace import Modules, walk

MOST_ANCHORS = 512
"""Anchors of one recording; each holds some KiB besides its inputs (states of the random generators)."""


@dataclass(slots=True, eq=False)
class Anchor:
    """A call that can be made again.

    Attributes:
        module: The module that was called; None for the whole recording.
        level: 0 for the outermost call, 1 for blocks in it, 2 for blocks in those.
        first: Index of the first record made inside it.
        stop: Index after the last record made inside it; None while it runs.
        inputs: Its saved arguments; None when ``entry`` needs none, and when there was no room for them.
        entry: Runs it without arguments; None when the module is called with ``inputs``.
        surroundings: The modes and random generators when it began.
        weights: Versions of its parameters when it began, in a loop; None for those when the recording ended.
    """

    module: nn.Module | None
    level: int
    first: int
    stop: int | None = None
    inputs: SavedInputs | None = None
    entry: Callable[[], Any] | None = None
    surroundings: Surroundings | None = None
    weights: dict[int, int] | None = None

    @property
    def saved(self) -> bool:
        """Whether it can be run again."""
        return self.inputs is not None or self.entry is not None

    def covers(self, index: int) -> bool:
        """Whether the record was made inside this call."""
        return self.first <= index and self.stop is not None and index < self.stop


class Anchors:
    """The anchors of one recording.

    Args:
        modules: Those of the recorded model, itself first.
        hold: Keeps a copy of a tensor for replay; None when there is no room.
        release: Gives such a copy up.
        loop: Whether the weights may change between the calls: a training loop.
        blocks: Whether inputs of blocks are saved; else those of the outermost call alone.
    """

    def __init__(
        self,
        modules: Modules,
        hold: Hold,
        release: Callable[[Held], None],
        *,
        loop: bool = False,
        blocks: bool = True,
    ) -> None:
        self._hold = hold
        self._release = release
        self._levels = block_levels(modules) if blocks else {}
        self._open: list[Anchor | None] = []
        self._anchors: list[Anchor] = []
        self._moving: Anchor | None = None
        self._settled: dict[int, int] = {}
        self._copies: dict[int, tuple[object, Any]] = {}
        self._loop = loop
        self._model = modules[0][1]
        self._kept: Anchor | None = None

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], index: int) -> bool:
        """A call begins and the next record will have this index; True when :meth:`end` must be told of its end."""
        level = self._levels.get(id(module))
        if level is None or len(self._anchors) >= MOST_ANCHORS:
            return False
        self._open.append(self._save(module, level, args, kwargs, index))
        return True

    def begin_outermost(
        self,
        module: nn.Module | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        index: int,
        entry: Callable[[], Any] | None = None,
        generators: RandomKeeper | None = None,
    ) -> None:
        """The outermost call begins: saved whatever its inputs are, if only by reference.

        ``generators``: the random generators as they are, if somebody has asked for them.
        """
        anchor: Anchor | None = None
        if len(self._anchors) < MOST_ANCHORS:
            anchor = self._save(module, 0, args, kwargs, index, entry, generators)
        self._open.append(anchor)

    def end(self, index: int) -> None:
        """The call that began last has ended, and the next record will have this index."""
        anchor = self._open.pop()
        if anchor is not None:
            anchor.stop = index
        if not self._open:
            self._copies.clear()

    def end_all(self, index: int) -> None:
        """Whatever is open has ended, if only by an exception."""
        while self._open:
            self.end(index)

    def _save(
        self,
        module: nn.Module | None,
        level: int,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        index: int,
        entry: Callable[[], Any] | None = None,
        generators: RandomKeeper | None = None,
    ) -> Anchor | None:
        anchor = Anchor(module, level, index, entry=entry, weights=self.weights_of(module) if self._loop else None)
        self._anchors.append(anchor)
        if entry is None:
            self._fill(anchor, args, kwargs)
        if anchor.saved:
            anchor.surroundings = Surroundings(torch_only=level > 0, generators=generators)
        return anchor

    def _fill(self, anchor: Anchor, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Save the arguments of a call that begins, if there is room."""
        held: list[Held] = []

        def hold(tensor: Any, outermost: bool) -> Held | None:
            kept = self._hold(tensor, outermost)
            while kept is None and self._give_up_finer(anchor.level):
                kept = self._hold(tensor, outermost)
            if kept is not None:
                held.append(kept)
            return kept

        try:
            anchor.inputs = SavedInputs(args, kwargs, hold, self._copies, outermost=anchor.level == 0)
        except Exception:  # NotSaveableError, or an argument whose deepcopy raises
            for each in held:
                self._release(each)

    def _give_up_finer(self, level: int) -> bool:
        """Give up the inputs of one anchor of a deeper level, the deepest and oldest first; False without one."""
        finer = [each for each in self._anchors if each.level > level and each.stop is not None and each.inputs]
        if not finer:
            return False
        self._empty(max(finer, key=lambda each: each.level))
        return True

    def _empty(self, anchor: Anchor) -> None:
        for held in anchor.inputs.held if anchor.inputs else ():
            self._release(held)
        anchor.inputs = None

    def unsaved_around(self, index: int, within: Anchor) -> Anchor | None:
        """The smallest call around this record whose inputs found no room, inside another one."""
        found = [
            each
            for each in self._anchors
            if each.covers(index) and not each.saved and each.module is not None and each.first >= within.first
        ]
        return min(found, key=lambda each: (each.stop or 0) - each.first, default=None)

    def refill(self, anchor: Anchor, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Save the inputs of a call after all, in a replay that comes by; in place of those saved so before."""
        if self._moving is not None:
            self._empty(self._moving)
        self._moving = anchor
        self._fill(anchor, args, kwargs)
        anchor.surroundings = Surroundings(torch_only=True)

    def weights_of(self, module: nn.Module | None) -> dict[int, int]:
        """Id of each parameter of a saved call's module -> its version, which grows with every write to it.

        An embedding with max_norm writes to its weights in every forward, and a capture puts them back.
        """
        parts = [part for _, part in walk(self._model if module is None else module)]
        return {
            id(value): version_of(value) or 0
            for part in parts
            if part.__dict__.get("max_norm") is None
            for value in part._parameters.values()
            if value is not None
        }

    def same_weights(self, anchor: Anchor) -> bool:
        """Whether nobody wrote to the parameters of a saved call since."""
        known = anchor.weights if anchor.weights is not None else self._settled
        return all(known.get(each) == version for each, version in self.weights_of(anchor.module).items())

    def settle(self) -> None:
        """The recording is over: weights that are written to from now on are not those of the recording."""
        self._settled = self.weights_of(None)

    def around(self, index: int) -> Iterator[Anchor]:
        """Anchors whose call made this record, the smallest first."""
        found = [each for each in self._anchors if each.saved and each.covers(index)]
        yield from sorted(found, key=lambda each: (each.stop or 0) - each.first)

    def length_around(self, index: int) -> int:
        """Number of records that running the smallest saved call around this one makes; a lot when there is none."""
        smallest = next(self.around(index), None)
        return sys.maxsize if smallest is None else (smallest.stop or 0) - smallest.first

    def keep_outermost(self) -> Anchor | None:
        """The outermost call, whose inputs stay held from now on; None in a loop, and when they were not saved."""
        first = self._anchors[0] if self._anchors and not self._loop else None
        self._kept = first if first is not None and first.saved and first.level == 0 else None
        return self._kept

    def clear(self) -> None:
        """Give up everything but what is to be kept."""
        for anchor in self._anchors:
            if anchor is not self._kept:
                self._empty(anchor)
        self._anchors.clear()
        self._open.clear()
