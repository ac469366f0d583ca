"""Time series and control: models of the zoo.

In: nothing. Out: ``models``, their builders by name.
"""

from __future__ import annotations

import torch

from .registry import Built, Family, Keywords, hf, noise

models = Family()


SERIES: Keywords = {
    "prediction_length": 4,
    "context_length": 8,
    "lags_sequence": [1, 2],
    "num_time_features": 1,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
}


def _past_and_future() -> Keywords:
    """2 series: context and lags are 10 steps, the prediction is 4."""
    return {
        "past_values": noise(2, 10),
        "past_time_features": noise(2, 10, 1),
        "past_observed_mask": torch.ones(2, 10),
        "future_values": noise(2, 4),
        "future_time_features": noise(2, 4, 1),
    }


@models.add
def time_series_transformer() -> Built:
    """Predicts a distribution, which is part of the result."""
    config = hf.TimeSeriesTransformerConfig(**SERIES)
    return hf.TimeSeriesTransformerForPrediction(config), _past_and_future()


@models.add
def informer() -> Built:
    """ProbSparse attention over sampled keys: random numbers in the forward."""
    return hf.InformerModel(hf.InformerConfig(**SERIES | {"encoder_layers": 2})), _past_and_future()


@models.add
def autoformer() -> Built:
    """Autocorrelation by Fourier transform instead of attention; takes series apart."""
    config = hf.AutoformerConfig(label_length=4, moving_average=3, **SERIES)
    return hf.AutoformerModel(config), _past_and_future()


@models.add
def patchtst() -> Built:
    """Patches of a series, BatchNorm."""
    config = hf.PatchTSTConfig(
        num_input_channels=2,
        context_length=32,
        patch_length=8,
        patch_stride=8,
        d_model=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        ffn_dim=32,
        prediction_length=4,
    )
    return hf.PatchTSTForPrediction(config), {"past_values": noise(2, 32, 2)}


@models.add
def patchtsmixer() -> Built:
    """MLP mixer; no attention."""
    config = hf.PatchTSMixerConfig(
        context_length=32,
        patch_length=8,
        patch_stride=8,
        num_input_channels=2,
        d_model=16,
        num_layers=2,
        prediction_length=4,
    )
    return hf.PatchTSMixerForPrediction(config), {"past_values": noise(2, 32, 2)}


@models.add
def decision_transformer() -> Built:
    """States, actions and rewards as one sequence."""
    config = hf.DecisionTransformerConfig(
        state_dim=5, act_dim=2, hidden_size=32, n_layer=2, n_head=4, max_ep_len=32, n_positions=64
    )
    return hf.DecisionTransformerModel(config), {
        "states": noise(1, 6, 5),
        "actions": noise(1, 6, 2),
        "rewards": noise(1, 6, 1),
        "returns_to_go": noise(1, 6, 1),
        "timesteps": torch.arange(6)[None],
        "attention_mask": torch.ones(1, 6, dtype=torch.long),
    }
