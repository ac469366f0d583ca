"""Image and text: models of the zoo.

In: nothing. Out: ``models``, their builders by name.
"""

from __future__ import annotations

import torch

from .registry import GROUPED, VISION, VOCABULARY, Built, Family, Keywords, hf, noise, pictures, token_ids

models = Family()

TEXT_TOWER: Keywords = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
}


@models.add
def clip() -> Built:
    """Two towers; the result holds results."""
    config = hf.CLIPConfig(
        text_config=dict(TEXT_TOWER, bos_token_id=1, eos_token_id=2), vision_config=dict(VISION), projection_dim=16
    )
    return hf.CLIPModel(config), dict(pictures(), input_ids=token_ids())


@models.add
def siglip() -> Built:
    """Two towers; nn.MultiheadAttention in the pooling head."""
    return hf.SiglipModel(hf.SiglipConfig(text_config=dict(TEXT_TOWER), vision_config=dict(VISION))), dict(
        pictures(), input_ids=token_ids()
    )


@models.add
def vilt() -> Built:
    """One stream for words and patches."""
    config = hf.ViltConfig(vocab_size=VOCABULARY, max_position_embeddings=32, modality_type_vocab_size=2, **VISION)
    return hf.ViltModel(config), dict(
        pictures(),
        input_ids=token_ids(),
        attention_mask=torch.ones(2, 12, dtype=torch.long),
        token_type_ids=torch.zeros(2, 12, dtype=torch.long),
        pixel_mask=torch.ones(2, 32, 32, dtype=torch.long),
    )


@models.add
def flava() -> Built:
    """Three encoders; the result holds results."""
    config = hf.FlavaConfig(
        text_config=dict(TEXT_TOWER),
        image_config=dict(VISION),
        multimodal_config={
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "intermediate_size": 64,
        },
        image_codebook_config={"hidden_size": 8, "vocab_size": 32, "num_blocks_per_group": 1},
        hidden_size=32,
        projection_dim=16,
    )
    return hf.FlavaModel(config), dict(pictures(), input_ids=token_ids())


@models.add
def llava() -> Built:
    """Picture tokens scattered into a language model's input."""
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(projection_dim=16, **VISION),
        text_config=hf.LlamaConfig(**GROUPED),
        image_token_index=98,
        vision_feature_layer=-1,
        image_seq_length=16,
    )
    ids = torch.cat([torch.full((2, 16), 98), token_ids(2, 6, 97)], 1)  # 16 places for patches, 6 words
    return hf.LlavaForConditionalGeneration(config), dict(pictures(), input_ids=ids)


@models.add
def owlvit() -> Built:
    """Detection of what a text names."""
    config = hf.OwlViTConfig(
        text_config=dict(TEXT_TOWER, max_position_embeddings=16), vision_config=dict(VISION), projection_dim=16
    )
    return hf.OwlViTModel(config), dict(pictures(), input_ids=token_ids(2, 12))


@models.add
def groupvit() -> Built:
    """Groups patches by a Gumbel softmax."""
    config = hf.GroupViTConfig(
        text_config=dict(TEXT_TOWER, bos_token_id=1, eos_token_id=2),
        vision_config=dict(
            VISION, depths=[1, 1], num_hidden_layers=2, num_group_tokens=[4, 0], num_output_groups=[4, 4]
        ),
        projection_dim=16,
        projection_intermediate_dim=16,
    )
    return hf.GroupViTModel(config), dict(pictures(), input_ids=token_ids())


@models.add
def lxmert() -> Built:
    """Three towers, cross-attention both ways."""
    config = hf.LxmertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_attention_heads=4,
        intermediate_size=64,
        l_layers=1,
        x_layers=1,
        r_layers=1,
        visual_feat_dim=16,
        visual_pos_dim=4,
        max_position_embeddings=32,
    )
    return hf.LxmertModel(config), {
        "input_ids": token_ids(),
        "visual_feats": noise(2, 5, 16),
        "visual_pos": noise(2, 5, 4),
    }
