"""Encoder-decoders of text: models of the zoo.

In: nothing. Out: ``models``, their builders by name.
"""

from __future__ import annotations

from .registry import VOCABULARY, Built, Family, hf, token_ids

models = Family()


@models.add
def t5() -> Built:
    """Relative bias, cross-attention, cache."""
    config = hf.T5Config(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return hf.T5ForConditionalGeneration(config), {"input_ids": token_ids(), "decoder_input_ids": token_ids(2, 5)}


@models.add
def bart() -> Built:
    """Cross-attention, cache."""
    config = hf.BartConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
    )
    return hf.BartForConditionalGeneration(config), {"input_ids": token_ids(), "decoder_input_ids": token_ids(2, 5)}


@models.add
def led() -> Built:
    """Window attention with cross-attention."""
    config = hf.LEDConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        attention_window=4,
        max_encoder_position_embeddings=64,
        max_decoder_position_embeddings=64,
    )
    return hf.LEDModel(config), {"input_ids": token_ids(), "decoder_input_ids": token_ids(2, 5)}


@models.add
def longt5() -> Built:
    """Local attention with transient global tokens."""
    config = hf.LongT5Config(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        local_radius=3,
        global_block_size=4,
        encoder_attention_type="transient-global",
    )
    return hf.LongT5Model(config), {"input_ids": token_ids(2, 24), "decoder_input_ids": token_ids(2, 5)}


@models.add
def switch_transformers() -> Built:
    """Mixture of experts, cross-attention."""
    config = hf.SwitchTransformersConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        num_experts=4,
        expert_capacity=8,
        num_sparse_encoder_layers=1,
        num_sparse_decoder_layers=1,
        num_decoder_layers=2,
    )
    return hf.SwitchTransformersModel(config), {"input_ids": token_ids(), "decoder_input_ids": token_ids(2, 5)}


@models.add
def prophetnet() -> Built:
    """Attention in n streams, cross-attention."""
    config = hf.ProphetNetConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_encoder_layers=2,
        num_decoder_layers=2,
        num_encoder_attention_heads=4,
        num_decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
        ngram=2,
    )
    return hf.ProphetNetModel(config), {"input_ids": token_ids(), "decoder_input_ids": token_ids(2, 5)}
