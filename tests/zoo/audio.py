"""Audio: models of the zoo.

In: nothing. Out: ``models``, their builders by name.
"""

from __future__ import annotations

from .registry import VOCABULARY, Built, Family, Keywords, hf, noise, token_ids

models = Family()


@models.add
def whisper() -> Built:
    """Conv1d on a spectrogram, cross-attention."""
    config = hf.WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=16,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_source_positions=30,
        max_target_positions=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    return hf.WhisperForConditionalGeneration(config), {
        "input_features": noise(2, 16, 60),
        "decoder_input_ids": token_ids(2, 5),
    }


WAV2VEC2: Keywords = {
    "vocab_size": 32,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": [16, 16],
    "conv_stride": [5, 4],
    "conv_kernel": [10, 8],
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}


@models.add
def wav2vec2() -> Built:
    """Conv1d on sound, weight norm."""
    return hf.Wav2Vec2ForCTC(hf.Wav2Vec2Config(**WAV2VEC2)), {"input_values": noise(2, 800)}


@models.add
def wavlm() -> Built:
    """Gated relative bias; attends by F.multi_head_attention_forward."""
    return hf.WavLMModel(hf.WavLMConfig(num_buckets=16, max_bucket_distance=32, **WAV2VEC2)), {
        "input_values": noise(2, 800)
    }


@models.add
def ast() -> Built:
    """A ViT on a spectrogram."""
    config = hf.ASTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        patch_size=4,
        frequency_stride=4,
        time_stride=4,
        max_length=32,
        num_mel_bins=16,
    )
    return hf.ASTModel(config), {"input_values": noise(2, 32, 16)}


@models.add
def encodec() -> Built:
    """Codec: Conv1d, LSTM, vector quantizer, ConvTranspose1d; no attention."""
    config = hf.EncodecConfig(
        num_filters=4,
        hidden_size=16,
        codebook_size=32,
        codebook_dim=16,
        upsampling_ratios=[4, 2],
        target_bandwidths=[24.0],
        num_lstm_layers=1,
    )
    return hf.EncodecModel(config), {"input_values": noise(1, 1, 640)}


@models.add
def dac() -> Built:
    """Codec: Conv1d, vector quantizer; no attention."""
    config = hf.DacConfig(
        encoder_hidden_size=8,
        downsampling_ratios=[2, 4],
        decoder_hidden_size=16,
        n_codebooks=2,
        codebook_size=32,
        codebook_dim=4,
        hidden_size=16,
    )
    return hf.DacModel(config), {"input_values": noise(1, 1, 256)}


@models.add
def vits() -> Built:
    """Speech synthesis: flows, a GAN vocoder, random numbers in the forward."""
    config = hf.VitsConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        ffn_dim=32,
        flow_size=32,
        spectrogram_bins=32,
        upsample_initial_channel=32,
        upsample_rates=[4, 2],
        upsample_kernel_sizes=[8, 4],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
        prior_encoder_num_flows=2,
        prior_encoder_num_wavenet_layers=2,
        posterior_encoder_num_wavenet_layers=2,
        duration_predictor_num_flows=2,
        duration_predictor_filter_channels=16,
        depth_separable_num_layers=2,
    )
    return hf.VitsModel(config), {"input_ids": token_ids(1, 12)}
