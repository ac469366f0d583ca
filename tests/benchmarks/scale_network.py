"""Networks with the sizes of a Decoder, asked what they cost: on the meta device, and scaled down with values.

In: a Decoder. Out: prices by kind of record as ``ActivationCache.estimate`` finds them; what a budget keeps of a
capture with values. Needs transformers.
"""

from __future__ import annotations

import ast
import copy
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache, record_dataset
from memviz_widgets.cache.estimate import Estimate
from memviz_widgets.records import TensorRecord

from .scale_capture import LLAMA_70B, TOKENS, Decoder, Price

SMALL = replace(LLAMA_70B, width=256, heads=8, kv_heads=1, head_width=32, inner=896, vocabulary=4008)
FEW = replace(SMALL, layers=12)
SMALL_TOKENS = 64
SCALE = (LLAMA_70B.width // SMALL.width) * (TOKENS // SMALL_TOKENS)
"""Values of the small one are this many times smaller, but for the rotary table."""
_KINDS = (
    (r"model\.layers\.\d+", "block outputs (the residual stream)"),
    (r"model\.layers\..*norm", "norms of the blocks"),
    (r".*\.[qkv]_proj", "`q_proj`, `k_proj`, `v_proj`"),
    (r".*\.o_proj", "`o_proj`"),
    (r".*\.(gate|up)_proj", "`gate_proj`, `up_proj`"),
    (r".*\.act_fn", "`act_fn`"),
    (r".*\.down_proj", "`down_proj`"),
    (r"model\.(embed_tokens|rotary_emb|norm)", "embedding, rotary table, last norm"),
    (r"lm_head", "logits"),
    (r".*\.(self_attn|mlp)|model|", "the same tensors under other names"),
)
"""Of outputs: the first that the path matches counts."""


def network(net: Decoder, device: str) -> nn.Module:
    """The network, in bfloat16, without training anything: on the meta device it takes no memory."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=net.vocabulary,
        hidden_size=net.width,
        intermediate_size=net.inner,
        num_hidden_layers=net.layers,
        num_attention_heads=net.heads,
        num_key_value_heads=net.kv_heads,
        head_dim=net.head_width,
        max_position_embeddings=2 * TOKENS,
    )
    with torch.device(device):
        made: nn.Module = LlamaForCausalLM(config)
    return made.to(torch.bfloat16).eval()


def sequence(tokens: int, device: str) -> dict[str, Tensor]:
    """The input: one sequence."""
    return {"input_ids": torch.arange(tokens, device=device).remainder(100)[None]}


def kind_of(record: TensorRecord) -> str:
    """Which row of the table a record belongs to."""
    if record.kind == "attention":
        return "attention, as query and key"
    if record.kind in ("key", "value"):
        return "KV cache: values (its keys are those above)"
    return next(kind for pattern, kind in _KINDS if re.fullmatch(pattern, record.path))


def prices_of(estimate: Estimate) -> dict[str, Price]:
    """Kind -> its records and their bytes."""
    prices: dict[str, Price] = {}
    for record, cost in zip(estimate.records, estimate.costs, strict=True):
        kind = kind_of(record)
        prices[kind] = prices.get(kind, Price(0, 0)).plus(Price(1, cost))
    return prices


def estimated(net: Decoder, tokens: int, choice: str = "all") -> Estimate:
    """The price of a capture on the meta device."""
    with torch.no_grad():
        return ActivationCache.estimate(network(net, "meta"), sequence(tokens, "meta"), layers=layers_of(choice))


def layers_of(choice: str) -> list[str] | None:
    """``layers=`` of a choice, as the page shows it."""
    return None if choice == "all" else list(ast.literal_eval(choice.strip("`")))


def estimated_on_a_rank(net: Decoder, tokens: int, parallel: int) -> Estimate:
    """The same on one of several ranks of tensor parallelism; torch's own stand-in for a group talks to nobody."""
    with _ranks(parallel) as mesh:
        from torch.distributed.tensor.parallel import (
            ColwiseParallel,
            RowwiseParallel,
            parallelize_module,
        )

        model = network(net, "meta")
        split = {r".*\.([qkv]|gate|up)_proj|lm_head": ColwiseParallel, r".*\.(o|down)_proj": RowwiseParallel}
        names = [name for name, _ in model.named_modules()]
        plan = {name: style() for name in names for pattern, style in split.items() if re.fullmatch(pattern, name)}
        parallelize_module(model, mesh, plan)
        with torch.no_grad():
            return ActivationCache.estimate(model, sequence(tokens, "meta"))


@contextmanager
def _ranks(count: int) -> Iterator[Any]:
    import torch.distributed as group  # takes a while
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    group.init_process_group("fake", store=FakeStore(), rank=0, world_size=count)
    try:
        yield init_device_mesh("cpu", (count,))
    finally:
        group.destroy_process_group()


class Kept(NamedTuple):
    """What a budget keeps.

    Attributes:
        held_bytes: Of values and saved inputs.
        records: Records that have their values.
        blocks: Blocks whose inputs are saved: whatever is missing in them costs one block.
    """

    held_bytes: int
    records: int
    blocks: int


def kept(budget_bytes: int) -> Kept:
    """What a capture of the small network keeps of a budget that is scaled down as it is; in bytes of the large one."""
    cache = _captured(SMALL, budget=budget_bytes // SCALE)
    replay = cache._again.replay
    inside = [record.index for record in cache.records if re.fullmatch(r".*\.mlp\.down_proj", record.path)]
    blocks = sum(replay is not None and replay.length_around(index) <= RECORDS_OF_A_BLOCK for index in inside)
    found = Kept(cache.held_bytes * SCALE, sum(record.kept for record in cache.records), blocks)
    cache.close()
    return found


RECORDS_OF_A_BLOCK = 16


@lru_cache(maxsize=2)
def _with_values(net: Decoder) -> nn.Module:
    torch.manual_seed(0)
    return network(net, "cpu")


def _captured(net: Decoder, **options: Any) -> ActivationCache:
    """A capture of a network that was not captured before: of one that was, the price is known from the start."""
    with torch.no_grad():
        return ActivationCache.capture(copy.deepcopy(_with_values(net)), sequence(SMALL_TOKENS, "cpu"), **options)


def spilled() -> tuple[int, int]:
    """Chunks on disk and their bytes when the network of a few blocks is captured with no budget but a disk."""
    with tempfile.TemporaryDirectory() as folder:
        cache = _captured(FEW, budget=0, spill=folder)
        files = [path for path in Path(folder).rglob("c.*") if path.is_file()]
        found = len(files), sum(path.stat().st_size for path in files)
        cache.close()
    return found


def reduced(choice: str) -> int:
    """Bytes of a sample in a data set of the network of a few blocks, recorded with ``reduce="mean"``."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = record_dataset(
            _with_values(FEW),
            [sequence(SMALL_TOKENS, "cpu")],
            layers=layers_of(choice),
            to=Path(folder) / "acts.zarr",
            reduce="mean",
            progress=False,
        )
        return sum(record.nbytes for record in dataset.records)
