"""Which store and which selection the views of one cache share, and when they are let go.

In: a cache and whether the view wants to be linked. Out: the pair (FrameStore, Selection), counted per user.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from ..cache import ActivationCache
from ..selection import Selection
from .frame_store import FrameStore


@dataclass
class _Shared:
    """One store and one selection per cache, and how many open views use them."""

    store: FrameStore
    selection: Selection
    users: int = 0


_SHARED: WeakKeyDictionary[ActivationCache, _Shared] = WeakKeyDictionary()


def join(cache: ActivationCache, link: bool) -> Selection:
    """The selection a new view of ``cache`` uses: the shared one, or with ``link=False`` one of its own.

    Pages are shared in both cases. Every ``join`` needs one ``leave``.
    """
    shared = _SHARED.get(cache)
    if shared is None or shared.store.comm is None:  # None: closed behind the views' back, as Widget.close_all() does
        store = FrameStore(cache)
        store.follow(cache)
        shared = _SHARED[cache] = _Shared(store, Selection(store=store))
    shared.store.refresh(cache)
    if shared.selection.comm is None:
        shared.selection = Selection(store=shared.store)
    shared.users += 1
    return shared.selection if link else Selection(store=shared.store)


def leave(cache: ActivationCache, selection: Selection) -> None:
    """Give a selection back; with the last view of the cache its store is closed as well."""
    shared = _SHARED.get(cache)
    if shared is None or selection is not shared.selection:
        selection.close()
    if shared is None or selection.store is not shared.store:
        return  # the view's store was closed behind its back, and the cache has another one now
    shared.users -= 1
    if shared.users == 0:
        del _SHARED[cache]
        shared.selection.close()
        shared.store.close()


def is_alone(cache: ActivationCache, selection: Selection) -> bool:
    """Whether one view, and no other, uses this selection: it may then begin where it likes."""
    shared = _SHARED.get(cache)
    return shared is not None and (shared.users == 1 or selection is not shared.selection)
