"""Measures of memory: how much of the past a model holds, for how long, where, and at whose cost.

In: tensors of one run, such as states (T, N), gates (T, B, H), addressing weights (..., S), slots (..., S, D), or
outcomes per example. Out: numbers per delay, unit, slot, key, pattern or example. This module has the names of all of
them.

Said once for all functions: sums are float64, results float32 (float64 where an input is float64), without gradient,
and inputs are never written to. Logarithms are natural, entropies in nats. Delays count from 0: the state of step t has
seen the input of step t. Memory that never changes measures 0 where 0 means "none", and NaN where a measure does not
apply: no direction, nothing addressed. A result that is more than one number is a frozen dataclass, which has beside
the score the number of samples and what chance would give. MeasureError, which is a ValueError, for what does not fit a
measure: axes, lengths, ranges, NaN, Inf; WeightsError for what are no attention weights.
"""

from __future__ import annotations

from .memory_cache import KeyImportance, h2o_importance, snapkv_importance
from .memory_capacity import LinearCapacity, linear_capacity
from .memory_examples import (
    Exposure,
    Memorisation,
    SeenUnseen,
    exposure,
    memorisation,
    seen_unseen_auc,
    training_subsets,
)
from .memory_fisher import FisherMemory, fisher_memory
from .memory_gradient import GradientHorizon, gradient_horizon
from .memory_hopfield import (
    RETRIEVED,
    Basin,
    RetrievalPath,
    classical_retrieval,
    hopfield_basin,
    hopfield_energy,
    hopfield_retrieval,
    hopfield_separation,
)
from .memory_law import ReadProvenance, keep_and_write, read_provenance
from .memory_matrix import Crosstalk, matrix_crosstalk
from .memory_noise import NoiseFit, noise_fit
from .memory_processing import MOST_PRODUCTS, ProcessingCapacity, information_processing_capacity
from .memory_reconstruction import Reconstruction, linear_reconstruction
from .memory_retention import (
    TRUSTED_RESIDUAL,
    Provenance,
    RetentionCurve,
    half_lives,
    provenance,
    retention,
    time_constants,
)
from .memory_slots import (
    Coherence,
    SlotUsage,
    coherence,
    erased_mass,
    read_sharpness,
    slot_usage,
    welch_bound,
    write_overlap,
)
from .memory_spectrum import ParticipationRatio, effective_rank, participation_ratio

__all__ = [
    "MOST_PRODUCTS",
    "RETRIEVED",
    "TRUSTED_RESIDUAL",
    "Basin",
    "Coherence",
    "Crosstalk",
    "Exposure",
    "FisherMemory",
    "GradientHorizon",
    "KeyImportance",
    "LinearCapacity",
    "Memorisation",
    "NoiseFit",
    "ParticipationRatio",
    "ProcessingCapacity",
    "Provenance",
    "ReadProvenance",
    "Reconstruction",
    "RetentionCurve",
    "RetrievalPath",
    "SeenUnseen",
    "SlotUsage",
    "classical_retrieval",
    "coherence",
    "effective_rank",
    "erased_mass",
    "exposure",
    "fisher_memory",
    "gradient_horizon",
    "h2o_importance",
    "half_lives",
    "hopfield_basin",
    "hopfield_energy",
    "hopfield_retrieval",
    "hopfield_separation",
    "information_processing_capacity",
    "keep_and_write",
    "linear_capacity",
    "linear_reconstruction",
    "matrix_crosstalk",
    "memorisation",
    "noise_fit",
    "participation_ratio",
    "provenance",
    "read_provenance",
    "read_sharpness",
    "retention",
    "seen_unseen_auc",
    "slot_usage",
    "snapkv_importance",
    "time_constants",
    "training_subsets",
    "welch_bound",
    "write_overlap",
]
