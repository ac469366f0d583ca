"""Text encoders: models of the zoo.

In: nothing. Out: ``models``, their builders by name.
"""

from __future__ import annotations

import torch

from .registry import LANGUAGE, VOCABULARY, Built, Family, hf, noise, text, token_ids

models = Family()


@models.add
def bert() -> Built:
    """The plain encoder, SDPA."""
    return hf.BertModel(hf.BertConfig(**LANGUAGE)), text()


@models.add
def bert_masked() -> Built:
    """Eager attention with padding, weights returned, a loss."""
    model = hf.BertForMaskedLM(hf.BertConfig(attn_implementation="eager", **LANGUAGE))
    mask = torch.ones(2, 12, dtype=torch.long)
    mask[1, 7:] = 0
    return model, {"input_ids": token_ids(), "attention_mask": mask, "output_attentions": True, "labels": token_ids()}


@models.add
def albert() -> Built:
    """One layer called four times."""
    return hf.AlbertModel(hf.AlbertConfig(embedding_size=16, **dict(LANGUAGE, num_hidden_layers=4))), text()


@models.add
def distilbert() -> Built:
    """SDPA with its own names."""
    config = hf.DistilBertConfig(
        vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=64
    )
    return hf.DistilBertModel(config), text()


@models.add
def deberta_v2() -> Built:
    """Disentangled attention over contents and relative positions."""
    config = hf.DebertaV2Config(relative_attention=True, pos_att_type=["c2p", "p2c"], type_vocab_size=0, **LANGUAGE)
    return hf.DebertaV2Model(config), text()


@models.add
def longformer() -> Built:
    """Window attention and global tokens."""
    model = hf.LongformerModel(hf.LongformerConfig(attention_window=[4, 4], **LANGUAGE))
    first = torch.zeros(2, 12, dtype=torch.long)
    first[:, 0] = 1
    return model, {"input_ids": token_ids(), "global_attention_mask": first, "output_attentions": True}


@models.add
def big_bird() -> Built:
    """Block-sparse attention; draws its blocks with numpy."""
    config = hf.BigBirdConfig(
        attention_type="block_sparse", block_size=4, num_random_blocks=1, **dict(LANGUAGE, max_position_embeddings=128)
    )
    return hf.BigBirdModel(config), {"input_ids": token_ids(2, 64)}


@models.add
def reformer() -> Built:
    """LSH attention, reversible layers, an autograd Function of its own, random hashes."""
    config = hf.ReformerConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_attention_heads=2,
        attention_head_size=16,
        feed_forward_size=64,
        attn_layers=["local", "lsh"],
        axial_pos_shape=[4, 8],
        axial_pos_embds_dim=[16, 16],
        max_position_embeddings=32,
        local_attn_chunk_length=4,
        lsh_attn_chunk_length=4,
        num_buckets=4,
        num_hashes=2,
        is_decoder=False,
        hash_seed=0,
    )
    return hf.ReformerModel(config), {"input_ids": token_ids(2, 32)}


@models.add
def nystromformer() -> Built:
    """Attention by landmarks, an iterated pseudo-inverse."""
    return hf.NystromformerModel(hf.NystromformerConfig(segment_means_seq_len=12, num_landmarks=4, **LANGUAGE)), text()


@models.add
def fnet() -> Built:
    """Fourier transforms instead of attention: complex tensors."""
    config = hf.FNetConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, intermediate_size=64, max_position_embeddings=64
    )
    return hf.FNetModel(config), text()


@models.add
def funnel() -> Built:
    """Pools the sequence; modules take tuples."""
    config = hf.FunnelConfig(
        vocab_size=VOCABULARY, block_sizes=[1, 1], num_decoder_layers=1, d_model=32, n_head=4, d_head=8, d_inner=64
    )
    return hf.FunnelModel(config), text()


@models.add
def canine() -> Built:
    """Hashes characters, Conv1d to downsample."""
    config = hf.CanineConfig(
        num_hash_buckets=64,
        downsampling_rate=4,
        local_transformer_stride=8,
        **dict(LANGUAGE, max_position_embeddings=128),
    )
    return hf.CanineModel(config), {"input_ids": token_ids(2, 32, 300)}


@models.add
def convbert() -> Built:
    """Convolutions beside attention."""
    return hf.ConvBertModel(hf.ConvBertConfig(embedding_size=32, conv_kernel_size=3, head_ratio=2, **LANGUAGE)), text()


@models.add
def squeezebert() -> Built:
    """Conv1d instead of linear layers: channels before time."""
    return hf.SqueezeBertModel(hf.SqueezeBertConfig(embedding_size=32, **LANGUAGE)), text()


@models.add
def mobilebert() -> Built:
    """Bottlenecks around every layer."""
    config = hf.MobileBertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        embedding_size=32,
        intra_bottleneck_size=16,
        max_position_embeddings=64,
    )
    return hf.MobileBertModel(config), text()


@models.add
def modernbert() -> Built:
    """Window and global layers, rotary positions."""
    config = hf.ModernBertConfig(
        local_attention=4,
        global_attn_every_n_layers=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        cls_token_id=1,
        sep_token_id=2,
        **LANGUAGE,
    )
    return hf.ModernBertModel(config), text()


@models.add
def ibert() -> Built:
    """Integer arithmetic: modules return (value, scale), and softmax is its own."""
    return hf.IBertModel(hf.IBertConfig(quant_mode=True, pad_token_id=1, **LANGUAGE)), text()


@models.add
def luke() -> Built:
    """Words and entities, two inputs."""
    model = hf.LukeModel(hf.LukeConfig(entity_vocab_size=20, entity_emb_size=16, pad_token_id=1, **LANGUAGE))
    return model, {
        "input_ids": token_ids(),
        "entity_ids": torch.tensor([[3, 4], [5, 6]]),
        "entity_position_ids": torch.tensor([[[1, 2], [3, -1]], [[4, 5], [6, -1]]]),
        "entity_attention_mask": torch.ones(2, 2, dtype=torch.long),
    }


@models.add
def esm() -> Built:
    """Protein model, rotary positions."""
    config = hf.EsmConfig(
        pad_token_id=1, mask_token_id=2, position_embedding_type="rotary", token_dropout=False, **LANGUAGE
    )
    return hf.EsmForMaskedLM(config), text()


@models.add
def perceiver() -> Built:
    """Latents attend to any input; one block called several times."""
    config = hf.PerceiverConfig(
        num_latents=8,
        d_latents=16,
        d_model=24,
        num_blocks=2,
        num_self_attends_per_block=2,
        num_self_attention_heads=2,
        num_cross_attention_heads=2,
    )
    return hf.PerceiverModel(config), {"inputs": noise(2, 20, 24)}
