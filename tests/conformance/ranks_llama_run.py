"""One rank of two that hold a Llama by tensor parallelism: a launch of test_ranks_llama.py.

In: rank, number of ranks, a folder. Out: a store of all ranks, and one that the first rank made alone before.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module
from transformers import LlamaConfig, LlamaForCausalLM

import memviz_widgets as mv

from .rank_placement_run import TIMEOUT

LAYERS = 2
SIZES: dict[str, Any] = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": LAYERS}
HEADS: dict[str, Any] = {"num_attention_heads": 8, "num_key_value_heads": 4}
COLUMNS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj")
ROWS = ("self_attn.o_proj", "mlp.down_proj")
ALONE, TOGETHER = "alone.zarr", "together.zarr"


def llama() -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = LlamaForCausalLM(LlamaConfig(**SIZES, **HEADS))
    return model.eval()


def record(model: nn.Module, path: Path) -> None:
    """A generation of three tokens: a KV cache that grows."""
    ids = torch.randint(1, 48, (2, 4), generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), mv.record(model) as cache:
        model.generate(ids, max_new_tokens=3, min_new_tokens=3, do_sample=False, pad_token_id=0)  # type: ignore[operator]
    cache.save(path)


def main() -> None:
    rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    if rank == 0:
        record(llama(), folder / ALONE)
    distributed.init_process_group("gloo", f"file://{folder / 'store'}", TIMEOUT, count, rank)
    model = llama()
    layers = range(LAYERS)
    plan: dict[str, ParallelStyle] = {
        f"model.layers.{layer}.{name}": ColwiseParallel() for layer in layers for name in COLUMNS
    }
    plan |= {f"model.layers.{layer}.{name}": RowwiseParallel() for layer in layers for name in ROWS}
    parallelize_module(model, init_device_mesh("cpu", (count,)), plan)
    record(model, folder / TOGETHER)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
