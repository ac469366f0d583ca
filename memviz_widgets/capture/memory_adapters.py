"""Which adapter knows the memory of which module.

In: the modules of a model. Out: module -> adapter. The user's adapters come first, the latest before the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn

from .memory import MemoryAdapter, registered
from .memory_delta import DeltaAdapter
from .memory_dnc import DncAdapter
from .memory_hopfield import HopfieldAdapter
from .memory_kv import CacheAdapter
from .memory_lightning import LightningAdapter
from .memory_mamba import MambaAdapter
from .memory_mamba2 import Mamba2Adapter
from .memory_ntm import NtmAdapter
from .memory_recurrent import CellAdapter, RecurrentAdapter
from .memory_rglru import RgLruAdapter
from .memory_rwkv import RwkvAdapter
from .memory_titans import TitansAdapter
from .memory_xlstm import XlstmAdapter
from .trace import Site, Trace

STATES = (MambaAdapter, Mamba2Adapter, DeltaAdapter, RgLruAdapter, RwkvAdapter, XlstmAdapter, LightningAdapter)
RECURRENT: tuple[type[Any], ...] = (RecurrentAdapter, CellAdapter)
# Each says by ``may_match`` what of a class rules it out, or by ``needs`` which attribute a module must have. That of
# caches last, as it matches most.
ALL: tuple[type[Any], ...] = (*RECURRENT, NtmAdapter, *STATES, DncAdapter, HopfieldAdapter, TitansAdapter, CacheAdapter)

TORCH = "torch.nn.modules."
"""torch's own modules, which are most of a model: only recurrent ones hold a memory."""


def adapters_of(sites: Iterable[Site], trace: Trace) -> dict[int, MemoryAdapter]:
    """Id of a module -> its adapter, for those that have one."""
    # New ones per recording, since they remember how far a sequence has come, and which entries of a cache were handed
    # over. A user's adapter is asked for every module; one of ours only where nothing rules it out.
    own = [(adapter, "") for adapter in registered()]
    made: dict[type[Any], MemoryAdapter] = {}
    asked: dict[type[nn.Module], list[tuple[MemoryAdapter, str]]] = {}
    found: dict[int, MemoryAdapter] = {}
    for module, path in sites:
        kind = type(module)
        adapters = asked.get(kind)
        if adapters is None:
            adapters = asked[kind] = [*own, *_ours(kind, made)]
        for adapter, needed in adapters:
            if needed and not _has_own(module, needed):
                continue
            try:
                matches = adapter.match(module)
            except Exception as error:  # of a user's adapter, or of a module that raises when it is looked at
                trace.remark(f"{type(adapter).__name__}.match of {path!r}: {type(error).__name__}: {error}")
                continue
            if matches:
                found[id(module)] = adapter
                break
    return found


def _ours(kind: type[nn.Module], made: dict[type[Any], MemoryAdapter]) -> Iterator[tuple[MemoryAdapter, str]]:
    """Our adapters that may match modules of a class, and what each module must have itself; "": nothing.

    ``made``: the adapters that this recording has already.
    """
    for adapter in RECURRENT if kind.__module__.startswith(TORCH) else ALL:
        needed = getattr(adapter, "needs", "")
        if needed or _may_match(adapter, kind):
            if adapter not in made:
                made[adapter] = adapter()
            yield made[adapter], "" if _finds_elsewhere(kind, needed) else needed


def _may_match(adapter: type[Any], kind: type[nn.Module]) -> bool:
    """What the adapter says; of a class that raises when it is looked at, ``match`` of each module will tell."""
    try:
        return bool(adapter.may_match(kind))
    except Exception:
        return True


def _finds_elsewhere(kind: type[nn.Module], name: str) -> bool:
    """Whether modules of a class may have an attribute that is in none of torch's tables."""
    own_way = kind.__getattr__ is not nn.Module.__getattr__ or kind.__getattribute__ is not object.__getattribute__
    return own_way or hasattr(kind, name)


def _has_own(module: nn.Module, name: str) -> bool:
    """As ``hasattr``, which makes an error for each module that has not; of plain attributes and torch's tables."""
    own = module.__dict__
    return name in own or name in own["_parameters"] or name in own["_buffers"] or name in own["_modules"]
