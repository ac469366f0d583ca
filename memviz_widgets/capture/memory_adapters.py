"""Which adapter knows the memory of which module.

In: the modules of a model. Out: module -> adapter. The user's adapters come first, the latest before the others.
"""

from __future__ import annotations

from collections.abc import Iterable

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

CELLS = CellAdapter()
BUILT_IN: tuple[MemoryAdapter, ...] = (DncAdapter(), HopfieldAdapter(), TitansAdapter())
STATES = (MambaAdapter, Mamba2Adapter, DeltaAdapter, RgLruAdapter, RwkvAdapter, XlstmAdapter, LightningAdapter)

TORCH = "torch.nn.modules."
"""torch's own modules, which are most of a model: only recurrent ones hold a memory."""


def adapters_of(sites: Iterable[Site], trace: Trace) -> dict[int, MemoryAdapter]:
    """Id of a module -> its adapter, for those that have one."""
    # New ones per recording, since they remember how far a sequence has come, and which entries of a cache were handed
    # over; that of caches last, as it matches most.
    torchs = (*registered(), RecurrentAdapter(), CELLS)
    others = (*torchs, NtmAdapter(), *(make() for make in STATES), *BUILT_IN, CacheAdapter())
    found: dict[int, MemoryAdapter] = {}
    for site in sites:
        for adapter in torchs if type(site.module).__module__.startswith(TORCH) else others:
            try:
                matches = adapter.match(site.module)
            except Exception as error:  # of a user's adapter, or of a module that raises when it is looked at
                trace.remark(f"{type(adapter).__name__}.match of {site.path!r}: {type(error).__name__}: {error}")
                continue
            if matches:
                found[id(site.module)] = adapter
                break
    return found
