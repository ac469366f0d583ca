"""Vision: models of the zoo.

In: nothing. Out: ``models``, their builders by name.
"""

from __future__ import annotations

import torch

from .registry import VISION, Built, Family, Keywords, hf, noise, pictures

models = Family()


@models.add
def vit() -> Built:
    """SDPA over patches, Conv2d at the start."""
    return hf.ViTForImageClassification(hf.ViTConfig(**VISION)), pictures()


@models.add
def beit() -> Built:
    """Relative position bias."""
    return hf.BeitModel(hf.BeitConfig(vocab_size=32, use_relative_position_bias=True, **VISION)), pictures()


@models.add
def dinov2_with_registers() -> Built:
    """Layer scale, register tokens."""
    config = hf.Dinov2WithRegistersConfig(mlp_ratio=2, **{k: v for k, v in VISION.items() if k != "intermediate_size"})
    return hf.Dinov2WithRegistersModel(config), pictures()


SWIN: Keywords = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [1, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}


@models.add
def swin() -> Built:
    """Shifted windows."""
    return hf.SwinModel(hf.SwinConfig(**SWIN)), pictures()


@models.add
def swinv2() -> Built:
    """Shifted windows, cosine attention, a bias computed by an MLP."""
    return hf.Swinv2Model(hf.Swinv2Config(**SWIN)), pictures()


@models.add
def convnext() -> Built:
    """Conv2d, LayerNorm over channels; no attention."""
    config = hf.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 2], num_stages=2)
    return hf.ConvNextForImageClassification(config), pictures()


@models.add
def convnextv2() -> Built:
    """Global response norm; no attention."""
    return hf.ConvNextV2Model(hf.ConvNextV2Config(hidden_sizes=[8, 16], depths=[1, 2], num_stages=2)), pictures()


@models.add
def resnet() -> Built:
    """Conv2d, BatchNorm; no attention."""
    config = hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic")
    return hf.ResNetForImageClassification(config), pictures()


@models.add
def regnet() -> Built:
    """Squeeze and excite; no attention."""
    config = hf.RegNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], groups_width=8)
    return hf.RegNetModel(config), pictures()


@models.add
def mobilenet_v2() -> Built:
    """Depthwise Conv2d; no attention."""
    return hf.MobileNetV2Model(hf.MobileNetV2Config(image_size=32, depth_multiplier=0.25)), pictures()


@models.add
def mobilevit() -> Built:
    """Conv2d, and attention over unfolded patches."""
    config = hf.MobileViTConfig(
        image_size=32,
        patch_size=2,
        hidden_sizes=[16, 16, 16],
        neck_hidden_sizes=[8, 8, 8, 8, 8, 8, 16],
        num_attention_heads=2,
    )
    return hf.MobileViTModel(config), pictures(64)


@models.add
def cvt() -> Built:
    """Attention whose projections are convolutions."""
    # The last stage needs a depth larger than its index: the model indexes drop-path rates by stage.
    config = hf.CvtConfig(
        embed_dim=[8, 16],
        num_heads=[1, 2],
        depth=[1, 2],
        patch_sizes=[3, 3],
        patch_stride=[2, 2],
        patch_padding=[1, 1],
        mlp_ratio=[2.0, 2.0],
        attention_drop_rate=[0.0, 0.0],
        drop_rate=[0.0, 0.0],
        drop_path_rate=[0.0, 0.0],
        qkv_bias=[True, True],
        cls_token=[False, True],
        qkv_projection_method=["dw_bn"] * 2,
        kernel_qkv=[3, 3],
        padding_kv=[1, 1],
        stride_kv=[2, 2],
        padding_q=[1, 1],
        stride_q=[1, 1],
    )
    return hf.CvtModel(config), pictures()


@models.add
def poolformer() -> Built:
    """Pooling instead of attention."""
    config = hf.PoolFormerConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1])
    return hf.PoolFormerModel(config), pictures(64)


@models.add
def segformer() -> Built:
    """Attention over reduced keys, Conv2d."""
    config = hf.SegformerConfig(
        num_encoder_blocks=4,
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        mlp_ratios=[2, 2, 2, 2],
    )
    return hf.SegformerForSemanticSegmentation(config), pictures(64)


@models.add
def vit_mae() -> Built:
    """Masked patches; the noise that chooses them is an input."""
    config = hf.ViTMAEConfig(
        decoder_hidden_size=32,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=4,
        decoder_intermediate_size=64,
        mask_ratio=0.5,
        **VISION,
    )
    return hf.ViTMAEForPreTraining(config), dict(pictures(), noise=noise(2, 16))


@models.add
def hiera() -> Built:
    """Attention in windows that pool."""
    config = hf.HieraConfig(
        image_size=[32, 32],
        patch_size=[3, 3],
        patch_stride=[2, 2],
        patch_padding=[1, 1],
        embed_dim=16,
        depths=[1, 1, 1],
        num_heads=[1, 2, 4],
        embed_dim_multiplier=2.0,
        mlp_ratio=2.0,
        num_query_pool=2,
        query_stride=[2, 2],
        masked_unit_size=[4, 4],
        masked_unit_attention=[True, True, False],
    )
    return hf.HieraModel(config), pictures()


def _backbone(*stages: str) -> hf.ResNetConfig:
    return hf.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24], depths=[1, 1, 1], layer_type="basic", out_features=list(stages)
    )


@models.add
def detr() -> Built:
    """Object queries with cross-attention over Conv2d features, weights returned."""
    config = hf.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=_backbone("stage3"),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_queries=5,
    )
    return hf.DetrForObjectDetection(config), dict(pictures(64), output_attentions=True)


@models.add
def deformable_detr() -> Built:
    """Deformable attention: samples the picture at learned places."""
    config = hf.DeformableDetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=_backbone("stage1", "stage2", "stage3"),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_queries=5,
        num_feature_levels=3,
    )
    return hf.DeformableDetrModel(config), pictures(64)


@models.add
def yolos() -> Built:
    """Detection tokens among the patches."""
    config = hf.YolosConfig(num_detection_tokens=5, **dict(VISION, image_size=[32, 32]))
    return hf.YolosForObjectDetection(config), pictures()


@models.add
def mask2former() -> Built:
    """Masked cross-attention on a deformable pixel decoder; needs scipy."""
    backbone = hf.SwinConfig(
        image_size=64,
        patch_size=2,
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[2, 2, 2, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = hf.Mask2FormerConfig(
        backbone_config=backbone,
        use_pretrained_backbone=False,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=64,
        dim_feedforward=64,
        encoder_layers=1,
        decoder_layers=3,
        num_attention_heads=4,
        num_queries=5,
    )
    return hf.Mask2FormerForUniversalSegmentation(config), pictures(64)


@models.add
def sam() -> Built:
    """Prompts and picture attend to each other; modules take keywords only."""
    config = hf.SamConfig(
        vision_config={
            "hidden_size": 32,
            "output_channels": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 64,
            "patch_size": 8,
            "mlp_dim": 64,
            "window_size": 4,
            "global_attn_indexes": [1],
            "num_pos_feats": 8,
        },
        prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 4},
        mask_decoder_config={"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
    )
    return hf.SamModel(config), {"pixel_values": noise(1, 3, 64, 64), "input_points": torch.tensor([[[[20.0, 30.0]]]])}


@models.add
def superpoint() -> Built:
    """Keypoints: the size of the result depends on the values; no attention."""
    config = hf.SuperPointConfig(encoder_hidden_sizes=[8, 8, 16, 16], decoder_hidden_size=16, descriptor_decoder_dim=16)
    return hf.SuperPointForKeypointDetection(config), pictures(64)


@models.add
def videomae() -> Built:
    """Conv3d tubes of video."""
    config = hf.VideoMAEConfig(num_frames=4, tubelet_size=2, **VISION)
    return hf.VideoMAEModel(config), {"pixel_values": noise(1, 4, 3, 32, 32)}


@models.add
def timesformer() -> Built:
    """Attention over time, then over space."""
    return hf.TimesformerModel(hf.TimesformerConfig(num_frames=2, **VISION)), {"pixel_values": noise(1, 2, 3, 32, 32)}
