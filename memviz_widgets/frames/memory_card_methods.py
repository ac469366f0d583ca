"""How each measure of the memory card is computed: formula, conventions, source. Shown with the measure.

In: nothing. Out: a CardMethod per measure, by the key that a CardRow has.
"""

from __future__ import annotations

from .entries import CardMethod

_GATES = (
    "Tallec & Ollivier 2018 (arXiv 1804.11188); Mahto et al. 2021 (arXiv 2009.12727); mv.analysis.memory.time_constants"
)
_TABLE: dict[str, tuple[str, str]] = {
    "time constant": (
        "τ = -1 / mean(ln keep) of each unit, over the steps of this sample: the lag after which 1/e is left. "
        "keep is the forget gate of an LSTM, z of a GRU, exp(dt · A) of a state-space layer (there τ = 1 / (dt · "
        "|A|)), 1 - w eᵀ of slots. The logarithm is averaged, not the gate, since what survives is the product of "
        "its values. Natural logarithms.",
        _GATES,
    ),
    "half-life": (
        "ln 2 · τ of each unit: steps after which half is left.",
        _GATES,
    ),
    "retention horizon": (
        "First lag k at which the mean over units and starts of S(t, t - k) = keep_{t-k+1} · … · keep_t is below "
        "1/e. Longer lags have fewer starts.",
        "ours; for state-space layers Ali, Zimerman & Wolf 2024 (arXiv 2403.01590); mv.analysis.memory.retention",
    ),
    "saturation": (
        "Share of steps and units at which the gate is below 0.1 (shut), and above 0.9 (open). A gate that is "
        "always at one end passes no gradient and decides nothing.",
        "Karpathy, Johnson & Li 2015 (arXiv 1506.02078)",
    ),
    "effective rank": (
        "exp(H(s / Σ s)) of the singular values s of the states, steps x numbers; the mean is not taken off. How "
        "many directions the states use.",
        "Roy & Vetterli 2007 (EUSIPCO); mv.analysis.memory.effective_rank",
    ),
    "participation ratio": (
        "(Σλ)² / Σλ² of the eigenvalues λ of the covariance of the states. Few steps make it small whatever the "
        "states are: compare with noise of as many steps T and numbers N, 1 / (1/N + 1/T).",
        "Gao et al. 2017 (bioRxiv 214262); mv.analysis.memory.participation_ratio",
    ),
    "linear memory capacity": (
        "Σ over delays k ≥ 0 of cov²(u_{t-k}, y_k) / (var u · var y_k), y_k the best linear readout of the state, "
        "fitted on the first half of the steps and measured on the other. Delay 0 counts: Jaeger and reservoirpy "
        "begin at 1. Each delay gets 1 / (test steps - 1) by chance, which is taken off. The bound holds for "
        "independent inputs: inputs that resemble their neighbours are guessed, not remembered.",
        "Jaeger 2001 (GMD report 152); mv.analysis.memory.linear_capacity",
    ),
    "gradient horizon": (
        "J_k = ‖∂h_T / ∂x_{T-k}‖, h the hidden state after the last step, x the input of this layer, from 8 "
        "random directions v: J_k² = E|J_kᵀ v|². The horizon is the first lag from which on all J are below 1/e "
        "(or 1 %) of the largest. The layer is run again with its recorded inputs, first states and weights. It "
        "says what small changes of an input still do, not what is stored.",
        "Madsen 2019 (doi 10.23915/distill.00016); Hutchinson 1990; mv.analysis.memory.gradient_horizon",
    ),
    "slots in use": (
        "S · exp(-KL) with KL = ln S + Σ z ln z, z the share of all weight that each slot got over the steps and "
        "heads: the number of slots that would be used as unevenly. A softmax puts some weight on every slot, so "
        "slots that are not 0 are no measure.",
        "Lample et al. 2019 (arXiv 1907.05242); mv.analysis.memory.slot_usage",
    ),
    "sharpness": (
        "1 - H(w) / ln S of each weighting w over the S slots (or patterns), mean over steps, heads and queries.",
        "entropy of the addressing of Graves et al. 2014 (arXiv 1410.5401); mv.analysis.memory.read_sharpness",
    ),
    "erased mass": (
        "‖M_{t-1} ∘ (1 - keep_t)‖² / ‖M_{t-1}‖² of each step but the first, keep = Π over heads of 1 - w eᵀ: what "
        "part of the memory the writes of a step erase.",
        "ours, of the erase step of Graves et al. 2014 (arXiv 1410.5401, eq. 3); mv.analysis.memory.erased_mass",
    ),
    "write overlap": (
        "Σ over slots of w_t · usage_{t-1}: how much of a write goes to slots that are in use.",
        "ours, with the usage of Graves et al. 2016 (DNC); mv.analysis.memory.write_overlap",
    ),
    "coherence": (
        "max |cos(M_i, M_j)| over i ≠ j, of the slots (or patterns) that are not zero. No set of S directions in "
        "D dimensions stays below the Welch bound √((S - D) / (D (S - 1))).",
        "Welch 1974; mv.analysis.memory.coherence",
    ),
    "rank of the matrix": (
        "exp(H(s / Σ s)) of the singular values of the matrix that a head holds after the last step: how many "
        "pairs of key and value it can tell apart at most.",
        "Roy & Vetterli 2007 (EUSIPCO); mv.analysis.memory.effective_rank",
    ),
    "crosstalk": (
        "|S k_j - v_j|² / |v_j|² of each stored pair, mean over the pairs: how far what a key gives back after "
        "the last step is from its value. Random unit keys have (n - 1) / D on average.",
        "Kohonen 1972; Schlag, Irie & Schmidhuber 2021 (arXiv 2102.11174); mv.analysis.memory.matrix_crosstalk",
    ),
    "H2O": (
        "Entries, from the most attended on, that together have 90 % of the attention of all queries; mean over "
        "the heads of the cache. Uniform: the same if each query attended alike to every entry that it could see.",
        "accumulated attention of Zhang et al. 2023 (arXiv 2306.14048)",
    ),
    "SnapKV": (
        "Entries before the window, from the most attended on, that together have 90 % of the attention of the "
        "last queries, averaged over 5 neighbours; mean over the heads of the cache. Uniform: of uniform "
        "attention.",
        "Li et al. 2024 (arXiv 2404.14469); mv.analysis.memory.snapkv_importance",
    ),
    "sink share": (
        "Share of the attention of all queries that the first entry gets, mean over the heads of the cache. The "
        "first queries have little choice and count, too: compare with uniform attention.",
        "Xiao et al. 2023 (arXiv 2309.17453)",
    ),
    "patterns in an answer": (
        "Patterns, from the strongest association on, that together have 90 % of the last association of a query; "
        "mean over heads and queries. 1 is a retrieval, about all of them a mean over the store.",
        "Ramsauer et al. 2020 (arXiv 2008.02217), their count k of patterns per head",
    ),
    "separation": (
        "x_i · x_i - max over j ≠ i of x_i · x_j of each stored pattern: above 0 it is told from the others.",
        "Ramsauer et al. 2020 (arXiv 2008.02217, def. 2); mv.analysis.memory.hopfield_separation",
    ),
    "energy": (
        "-lse(β, X ξ) + ξ·ξ / 2 + ln S / β + M² / 2 of the state patterns ξ, M the longest stored pattern; mean over "
        "heads and queries, before the first update and after the last. Updates never raise it.",
        "Ramsauer et al. 2020 (arXiv 2008.02217, eq. 2); mv.analysis.memory.hopfield_energy",
    ),
    "state size": (
        "Numbers that this memory carries from one step to the next for one sequence, with their bytes: cell, "
        "hidden, state, slots with their usage, links and weights. A KV cache grows: all keys and values up to "
        "the last step.",
        "the axis of Arora et al. 2023 (arXiv 2312.04927)",
    ),
    "d50": (
        "First value at which accuracy has fallen half-way to chance, to (1 + chance) / 2; straight lines between "
        "the values that were measured.",
        "mv.analysis.recall",
    ),
    "accuracy": (
        "Part of the answers that is right when only the K possible ones can be chosen, at the largest value; ± "
        "is the standard error over sequences. Chance is 1 / K.",
        "mv.analysis.recall",
    ),
    "bits kept": (
        "L (log₂ K - CE) per sequence, CE the mean cross-entropy of an answer in bits: 0 for equal probabilities, "
        "below 0 for sure and wrong ones.",
        "mv.analysis.recall",
    ),
}

METHODS: dict[str, CardMethod] = {name: {"how": how, "source": source} for name, (how, source) in _TABLE.items()}
"""By measure."""
