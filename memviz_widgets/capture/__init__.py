"""Capture: a model and an input become records and live values for a sink. Never imports the cache."""

from __future__ import annotations

from .attention import QueryKey
from .collectives import Asked, CollectiveError, without_collectives
from .copies_ahead import CopiesAhead
from .derived import Derived
from .device_stats import Summing, Sums
from .drafts import Sink
from .fingerprint import checksum, code_later, fingerprint, plain_mark, read_samples, read_together, samples
from .lazy import LazyValue
from .memory import MemoryAdapter, MemoryTensor, RecoveredValue, register_memory, unregister_memory
from .memory_candidates import Candidate, memory_candidates, proposal_text
from .memory_hops import hop_groups
from .outputs import tensors_of
from .placement import UNPLACED, why_collective
from .recurrent_cells import RecurrentError
from .recurrent_rerun import LayerRun, layer_run
from .replay import Replay, ReplayFailedError
from .run import Holder, Session, run
from .run_context import cheap_collections
from .sample_groups import SampleGroup, UnknownGroupError, sample_group, weights_as_kept
from .stats import tensor_stats
from .tensors import (
    TensorMap,
    dense_tensor,
    held_nbytes,
    look,
    on_host,
    plain_mode,
    same_bits,
    same_bits_later,
    snapshot,
    stream_of,
    tensor_kind,
    version_of,
    wait_for,
)
from .trace import Trace, class_name
from .what_if import Change, WhatIf
from .what_if_edits import Edit, as_edits, positions
from .what_if_origin import Origin, origin_of
from .what_if_prefix import Prefix

__all__ = [
    "UNPLACED",
    "Asked",
    "Candidate",
    "Change",
    "CollectiveError",
    "CopiesAhead",
    "Derived",
    "Edit",
    "Holder",
    "LayerRun",
    "LazyValue",
    "MemoryAdapter",
    "MemoryTensor",
    "Origin",
    "Prefix",
    "QueryKey",
    "RecoveredValue",
    "RecurrentError",
    "Replay",
    "ReplayFailedError",
    "SampleGroup",
    "Session",
    "Sink",
    "Summing",
    "Sums",
    "TensorMap",
    "Trace",
    "UnknownGroupError",
    "WhatIf",
    "as_edits",
    "cheap_collections",
    "checksum",
    "class_name",
    "code_later",
    "dense_tensor",
    "fingerprint",
    "held_nbytes",
    "hop_groups",
    "layer_run",
    "look",
    "memory_candidates",
    "on_host",
    "origin_of",
    "plain_mark",
    "plain_mode",
    "positions",
    "proposal_text",
    "read_samples",
    "read_together",
    "register_memory",
    "run",
    "same_bits",
    "same_bits_later",
    "sample_group",
    "samples",
    "snapshot",
    "stream_of",
    "tensor_kind",
    "tensor_stats",
    "tensors_of",
    "unregister_memory",
    "version_of",
    "wait_for",
    "weights_as_kept",
    "why_collective",
    "without_collectives",
]
