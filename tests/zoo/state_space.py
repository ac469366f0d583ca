"""Recurrent, state space and hybrid language models: models of the zoo.

In: nothing. Out: ``models``, their builders by name.
"""

from __future__ import annotations

from .registry import GROUPED, VOCABULARY, Built, Family, hf, text

models = Family()


@models.add
def mamba() -> Built:
    """Selective state space, Conv1d."""
    config = hf.MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8)
    return hf.MambaForCausalLM(config), text()


@models.add
def mamba2() -> Built:
    """State space as a scan in chunks."""
    config = hf.Mamba2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        state_size=8,
        num_heads=8,
        head_dim=8,
        n_groups=2,
        chunk_size=8,
        expand=2,
    )
    return hf.Mamba2ForCausalLM(config), text()


@models.add
def falcon_mamba() -> Built:
    """State space with normed parameters."""
    config = hf.FalconMambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8)
    return hf.FalconMambaForCausalLM(config), text()


@models.add
def rwkv() -> Built:
    """Linear recurrence; rescales its weights in eval mode."""
    config = hf.RwkvConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        attention_hidden_size=32,
        intermediate_size=64,
        context_length=64,
    )
    return hf.RwkvForCausalLM(config), text()


@models.add
def xlstm() -> Built:
    """Matrix memory."""
    # 128 wide, since the config rounds the width of keys up to 64 for the cache but not for the layer.
    config = hf.xLSTMConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        embedding_dim=128,
        num_hidden_layers=2,
        num_blocks=2,
        num_heads=4,
        chunk_size=16,
        mode="inference",
    )
    return hf.xLSTMForCausalLM(config), text()


@models.add
def recurrent_gemma() -> Built:
    """Linear recurrence and local attention; its state is in buffers of the modules."""
    config = hf.RecurrentGemmaConfig(
        **dict(
            GROUPED,
            num_hidden_layers=3,
            lru_width=32,
            attention_window_size=8,
            conv1d_width=4,
            block_types=["recurrent", "recurrent", "attention"],
        )
    )
    return hf.RecurrentGemmaForCausalLM(config), text()


@models.add
def jamba() -> Built:
    """State space, attention and experts in turn."""
    config = hf.JambaConfig(
        attn_layer_period=2,
        attn_layer_offset=1,
        expert_layer_period=2,
        expert_layer_offset=1,
        num_experts=4,
        num_experts_per_tok=2,
        mamba_d_state=8,
        use_mamba_kernels=False,
        **GROUPED,
    )
    return hf.JambaForCausalLM(config), text()


@models.add
def zamba() -> Built:
    """One attention block shared by several layers of state space."""
    config = hf.ZambaConfig(
        **dict(
            GROUPED,
            num_hidden_layers=6,
            attn_layer_period=2,
            attn_layer_offset=1,
            num_key_value_heads=4,
            n_mamba_heads=2,
            mamba_d_state=8,
            attention_head_dim=16,
            attention_hidden_size=64,
            use_mamba_kernels=False,
        )
    )
    return hf.ZambaForCausalLM(config), text()


@models.add
def zamba2() -> Built:
    """The same with an adapter per use."""
    config = hf.Zamba2Config(
        **dict(
            GROUPED,
            num_hidden_layers=6,
            hybrid_layer_ids=[1, 3, 5],
            layers_block_type=["mamba", "hybrid"] * 3,
            num_key_value_heads=4,
            attention_head_dim=16,
            mamba_d_state=8,
            n_mamba_heads=4,
            mamba_headdim=16,
            mamba_ngroups=1,
            num_mem_blocks=1,
            chunk_size=8,
            use_mem_rope=False,
        )
    )
    return hf.Zamba2ForCausalLM(config), text()


@models.add
def bamba() -> Built:
    """State space with one attention layer."""
    config = hf.BambaConfig(
        mamba_n_heads=8,
        mamba_d_head=8,
        mamba_d_state=8,
        mamba_n_groups=1,
        mamba_chunk_size=8,
        attn_layer_indices=[1],
        **GROUPED,
    )
    return hf.BambaForCausalLM(config), text()


@models.add
def falcon_h1() -> Built:
    """State space and attention side by side in every layer."""
    config = hf.FalconH1Config(
        mamba_n_heads=8,
        mamba_d_head=8,
        mamba_d_ssm=64,
        mamba_d_state=8,
        mamba_n_groups=1,
        mamba_chunk_size=8,
        head_dim=8,
        **GROUPED,
    )
    return hf.FalconH1ForCausalLM(config), text()


@models.add
def qwen3_next() -> Built:
    """Delta rule and gated attention; mixture of experts."""
    config = hf.Qwen3NextConfig(
        head_dim=8,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
        linear_num_value_heads=4,
        linear_num_key_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        layer_types=["linear_attention", "full_attention"],
        **GROUPED,
    )
    return hf.Qwen3NextForCausalLM(config), text()


@models.add
def lfm2() -> Built:
    """Short convolutions and attention."""
    config = hf.Lfm2Config(layer_types=["conv", "full_attention"], block_multiple_of=8, **GROUPED)
    return hf.Lfm2ForCausalLM(config), text()


@models.add
def minimax() -> Built:
    """Lightning attention (linear) and full attention; mixture of experts."""
    config = hf.MiniMaxConfig(
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=2,
        block_size=8,
        layer_types=["linear_attention", "full_attention"],
        **GROUPED,
    )
    return hf.MiniMaxForCausalLM(config), text()


@models.add
def granitemoehybrid() -> Built:
    """State space and attention; mixture of experts."""
    config = hf.GraniteMoeHybridConfig(
        layer_types=["mamba", "attention"],
        mamba_n_heads=8,
        mamba_d_head=8,
        mamba_d_state=8,
        mamba_n_groups=1,
        mamba_chunk_size=8,
        mamba_expand=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        shared_intermediate_size=32,
        **GROUPED,
    )
    return hf.GraniteMoeHybridForCausalLM(config), text()


@models.add
def nemotron_h() -> Built:
    """Each layer is one mixer: state space, attention or MLP."""
    config = hf.NemotronHConfig(
        **dict(
            GROUPED,
            layers_block_type=["mamba", "attention", "mlp", "mamba"],
            num_hidden_layers=4,
            mamba_num_heads=8,
            mamba_head_dim=8,
            ssm_state_size=8,
            n_groups=1,
            chunk_size=8,
            head_dim=8,
        )
    )
    return hf.NemotronHForCausalLM(config), text()
