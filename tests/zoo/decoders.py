"""Decoder language models: models of the zoo.

In: nothing. Out: ``models``, their builders by name.
"""

from __future__ import annotations

import torch

from .registry import GROUPED, LANGUAGE, VOCABULARY, Built, Family, hf, text, token_ids

models = Family()


@models.add
def gpt2() -> Built:
    """SDPA, a Conv1D class as linear layer, a key-value cache in the result."""
    config = hf.GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4)
    return hf.GPT2LMHeadModel(config), text()


@models.add
def gpt2_attn() -> Built:
    """The same in eager attention, which returns its weights."""
    config = hf.GPT2Config(
        vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4, attn_implementation="eager"
    )
    return hf.GPT2LMHeadModel(config), {
        "input_ids": token_ids(),
        "output_attentions": True,
        "output_hidden_states": True,
    }


@models.add
def gpt_neo() -> Built:
    """Local and global layers in turn."""
    config = hf.GPTNeoConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=4,
        max_position_embeddings=64,
    )
    return hf.GPTNeoForCausalLM(config), text()


@models.add
def gpt_neox() -> Built:
    """Rotary positions, attention beside the MLP."""
    return hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**LANGUAGE)), text()


@models.add
def bloom() -> Built:
    """ALiBi, q, k and v in one projection."""
    return hf.BloomForCausalLM(hf.BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4)), text()


@models.add
def opt() -> Built:
    """Learned positions."""
    config = hf.OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        ffn_dim=64,
        num_attention_heads=4,
        max_position_embeddings=64,
        word_embed_proj_dim=32,
    )
    return hf.OPTForCausalLM(config), text()


@models.add
def llama() -> Built:
    """SDPA, grouped queries, RMSNorm, rotary positions, cache."""
    return hf.LlamaForCausalLM(hf.LlamaConfig(**GROUPED)), text()


@models.add
def llama_bf16() -> Built:
    """The same in bfloat16."""
    model, keywords = llama()
    return model.to(torch.bfloat16), keywords


@models.add
def llama_tuple() -> Built:
    """The same with a tuple as result."""
    model, keywords = llama()
    return model, keywords | {"return_dict": False, "use_cache": False}


@models.add
def llama_step() -> Built:
    """One decoding step: a filled cache goes in and is changed in place, so two calls with the same keywords differ."""
    model, keywords = llama()
    with torch.no_grad():
        past = model.eval()(**keywords, use_cache=True).past_key_values
    return model, {"input_ids": token_ids(2, 1), "past_key_values": past, "use_cache": True}


@models.add
def mistral() -> Built:
    """Sliding window, grouped queries."""
    return hf.MistralForCausalLM(hf.MistralConfig(sliding_window=4, **GROUPED)), text()


@models.add
def mixtral() -> Built:
    """Mixture of experts; the router's softmax is no attention."""
    config = hf.MixtralConfig(num_local_experts=4, num_experts_per_tok=2, output_router_logits=True, **GROUPED)
    return hf.MixtralForCausalLM(config), text()


@models.add
def qwen3_moe() -> Built:
    """Mixture of experts, normed q and k."""
    config = hf.Qwen3MoeConfig(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, head_dim=8, **GROUPED)
    return hf.Qwen3MoeForCausalLM(config), text()


@models.add
def gemma2() -> Built:
    """Soft cap on the scores, eager by default, sliding window."""
    return hf.Gemma2ForCausalLM(hf.Gemma2Config(head_dim=8, sliding_window=4, **GROUPED)), text()


@models.add
def gemma3_text() -> Built:
    """A sliding and a full layer."""
    config = hf.Gemma3TextConfig(
        head_dim=8, sliding_window=4, layer_types=["sliding_attention", "full_attention"], **GROUPED
    )
    return hf.Gemma3ForCausalLM(config), text()


@models.add
def deepseek_v3() -> Built:
    """Latent attention (MLA): q and k wider than v; mixture of experts."""
    config = hf.DeepseekV3Config(
        **dict(
            GROUPED,
            num_key_value_heads=4,
            q_lora_rank=16,
            kv_lora_rank=16,
            qk_rope_head_dim=8,
            qk_nope_head_dim=8,
            v_head_dim=8,
            n_routed_experts=4,
            num_experts_per_tok=2,
            n_group=2,
            topk_group=1,
            n_shared_experts=1,
            moe_intermediate_size=32,
            first_k_dense_replace=1,
        )
    )
    return hf.DeepseekV3ForCausalLM(config), text()


@models.add
def gpt_oss() -> Built:
    """Attention sinks; mixture of experts computed as a batch."""
    config = hf.GptOssConfig(
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention"],
        **GROUPED,
    )
    return hf.GptOssForCausalLM(config), text()


@models.add
def diffllama() -> Built:
    """Differential attention: the difference of two softmaxes."""
    return hf.DiffLlamaForCausalLM(hf.DiffLlamaConfig(**GROUPED)), text()


@models.add
def phi3() -> Built:
    """q, k and v in one projection."""
    return hf.Phi3ForCausalLM(hf.Phi3Config(**GROUPED)), text()


@models.add
def xlnet() -> Built:
    """Two streams, relative positions, memory of earlier segments."""
    config = hf.XLNetConfig(
        vocab_size=VOCABULARY, d_model=32, n_layer=2, n_head=4, d_inner=64, mem_len=8, use_mems_eval=True
    )
    return hf.XLNetLMHeadModel(config), text()
