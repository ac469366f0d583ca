"""On a GPU: values, statistics, attention, states and replays as on the CPU, nothing waited for, nothing left changed.

Skipped where there is none. The zoo runs there too: ``MEMVIZ_TEST_DEVICE=cuda pytest tests/zoo``.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.frames.pages import PageSource

from ..benchmarks.accelerator_waits import waits_while
from ..zoo.reference import differing, same_bits, watched
from .model_state import Capture

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20
PLAIN = ("min", "max", "mean", "std", "zeros", "count", "nan")


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@contextmanager
def exact() -> Iterator[None]:
    """float32 as it says, not TF32: so that values can be compared with float64."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def convolutions(depth: int = 3) -> nn.Module:
    """Blocks of convolution, norm, and a write in place."""
    widths = [3, *([16] * depth)]
    blocks = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
        for a, b in itertools.pairwise(widths)
    ]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(16 * 64, 10)).cuda()


def encoder(depth: int = 2, dropout: float = 0.0) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=dropout, batch_first=True)
    return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False).cuda()


PICTURES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TEXTS = torch.randn(2, 12, 64, generator=torch.Generator().manual_seed(0))


def outputs(cache: ActivationCache) -> dict[tuple[str, int, str], Tensor]:
    found = [record for record in cache.records if record.kind == "output"]
    return {(each.path, each.call, each.item): cache.get(each.path, call=each.call, item=each.item) for each in found}


@pytest.mark.parametrize("budget", ["1 GiB", 0], ids=["kept", "on demand"])
@pytest.mark.parametrize("name", ["convolutions", "encoder"])
def test_values_are_what_hooks_see(name: str, budget: object, captured: Capture) -> None:
    model, x = (convolutions(), PICTURES.cuda()) if name == "convolutions" else (encoder(), TEXTS.cuda())
    model.eval()
    with watched(model) as seen:
        plain = model(x)
    cache = captured(model, x, budget=budget)
    values = outputs(cache)
    assert differing({key: seen[key] for key in values}, values) == []
    assert all(value.is_cuda for value in values.values())
    assert same_bits(values["", 0, ""], plain)
    assert {record.device for record in cache.records} == {"cuda:0"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_statistics_are_those_of_the_numbers(dtype: torch.dtype, captured: Capture) -> None:
    cache = captured(convolutions().to(dtype).eval(), PICTURES.cuda().to(dtype))
    for record in cache.records:
        value, stats = cache.value(record), record.stats
        assert isinstance(value, Tensor) and stats is not None
        numbers = value.cpu().double()
        expected = [
            numbers.min(),
            numbers.max(),
            numbers.mean(),
            numbers.std(correction=0),
            (numbers == 0).double().mean(),
        ]
        found = [stats.min, stats.max, stats.mean, stats.std, stats.zeros]
        for name, one, other in zip(PLAIN, found, expected, strict=False):
            assert one == pytest.approx(float(other), rel=1e-9, abs=1e-12), (record.path, name)
        assert stats.count == numbers.numel()


def test_nothing_waits_for_a_layer() -> None:
    def waits(depth: int, budget: object) -> tuple[int, int]:
        model = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.Tanh()) for _ in range(depth)]).cuda().eval()
        x = torch.randn(16, 64, device="cuda")
        ActivationCache.capture(model, x, budget=budget).close()
        cache, found = waits_while(lambda: ActivationCache.capture(model, x, budget=budget))
        reading = waits_while(lambda: cache.records)[1]
        cache.close()
        return found.total(), reading.total()

    kept, on_demand = [waits(depth, "1 GiB") for depth in (2, 24)], [waits(depth, 8192) for depth in (2, 24)]
    assert kept[0] == kept[1] and on_demand[0] == on_demand[1], (kept, on_demand)
    assert max(sum(each) for each in (*kept, *on_demand)) <= 12, (kept, on_demand)


def test_dropout_comes_back_as_it_fell(captured: Capture) -> None:
    model, x = encoder(dropout=0.3).train(), TEXTS.cuda()
    generators = torch.cuda.get_rng_state_all()
    with watched(model) as seen:
        model(x)
    torch.cuda.set_rng_state_all(generators)
    cache = ActivationCache.capture(model, x, budget=0)
    with closing(cache):
        values = outputs(cache)
        assert differing({key: seen[key] for key in values}, values) == []


def test_generators_are_left_where_they_were(captured: Capture) -> None:
    model, x = encoder(dropout=0.3).train(), TEXTS.cuda()
    before = torch.cuda.get_rng_state()
    cache = captured(model, x, budget=0)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    cache.value(cache.records[2])
    assert torch.equal(torch.cuda.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_fused_kernels(dtype: torch.dtype, causal: bool, captured: Capture) -> None:
    class Attends(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            q, k, v = x.view(2, 12, 3, 4, 16).permute(2, 0, 3, 1, 4)
            return functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

    x = torch.randn(2, 12, 192, device="cuda", dtype=dtype)
    q, k, _ = x.double().view(2, 12, 3, 4, 16).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-1, -2) / 4
    if causal:
        scores = scores.masked_fill(torch.ones(12, 12, device="cuda").triu(1).bool(), -torch.inf)
    found = captured(Attends().cuda(), x).attention("")
    limit = 1e-5 if dtype is torch.float32 else 8e-3
    assert float((found.double() - scores.softmax(-1)).abs().max()) < limit


def test_attention_of_the_encoder_fast_path(captured: Capture) -> None:
    model, x = encoder().eval(), TEXTS.cuda()
    with exact():
        cache = captured(model, x)
        layer: Any = model.layers[0]
        _, weights = layer.self_attn(x, x, x, need_weights=True, average_attn_weights=False)
        found = cache.attention("layers.0.self_attn")
    assert float((found - weights).abs().max()) < 1e-5


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_states_of_cudnn(name: str, captured: Capture) -> None:
    torch.manual_seed(0)
    kind: Any = getattr(nn, name)
    module = kind(16, 32, num_layers=2, bidirectional=True, batch_first=True)
    double = kind(16, 32, num_layers=2, bidirectional=True, batch_first=True).double()
    double.load_state_dict(module.state_dict())
    x = torch.randn(2, 9, 16)
    with exact():
        cache = captured(module.cuda().eval(), x.cuda())
        states = {item: cache.get("", "hidden", item=item).cpu().double() for item in ("l1", "l1_reverse")}
        residuals = [record.residual for record in cache.records if record.memory and record.kind == "hidden"]
    assert len(residuals) == 4 and all(each is not None and each < 1e-5 for each in residuals), residuals
    for state, expected in zip(states.values(), double(x.double())[0].split(32, -1), strict=True):
        assert float((state - expected).abs().max()) < 1e-5


def test_states_of_cudnn_in_tf32_say_how_far_off_they_are() -> None:
    torch.manual_seed(0)
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        with closing(ActivationCache.capture(nn.LSTM(64, 128).cuda(), torch.randn(40, 2, 64).cuda())) as cache:
            cache.get("", "hidden", item="l0")
            residuals = [record.residual for record in cache.records if record.memory and record.kind == "hidden"]
        assert residuals and all(each is not None and each < 5e-3 for each in residuals), residuals
    finally:
        torch.backends.cudnn.allow_tf32 = before


def test_the_budget_holds_on_the_device() -> None:
    """40 values of 64 MiB: what is allocated stays under the forward's peak, the budget and one value."""
    model = nn.Sequential(*[nn.Sequential(nn.Linear(1024, 1024), nn.Tanh()) for _ in range(20)]).cuda().eval()
    x = torch.randn(16384, 1024, device="cuda")
    model(x)
    torch.cuda.reset_peak_memory_stats()
    model(x)
    plain = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    cache = ActivationCache.capture(model, x, budget=64 * MIB)
    records = cache.records
    # The statistics of one value are computed in float64, a chunk at a time.
    assert torch.cuda.max_memory_allocated() - plain < (64 + 64 + 512) * MIB
    assert sum(record.kept for record in records) <= 1
    value = x
    for place, block in enumerate(model):
        value = block(value)
        assert same_bits(cache[str(place)], value)
    cache.close()


def test_pages_are_those_of_the_numbers(captured: Capture) -> None:
    cache = captured(convolutions().eval(), PICTURES.cuda())
    values = {record: cache[record.path] for record in cache.records}
    numbers = {str(record.index): value.cpu() for record, value in values.items()}
    here = PageSource(ActivationCache.from_tensors(numbers, dims={str(each.index): each.dims for each in values}))
    there = PageSource(cache)
    for index in range(len(numbers)):
        one, other = there.page(index, "frame", 0), here.page(index, "frame", 0)
        assert (bytes(one.data), bytes(one.lo), bytes(one.hi)) == (bytes(other.data), bytes(other.lo), bytes(other.hi))


class OnSideStream(nn.Module):
    """Computes on a stream of its own; whoever reads its result waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2048, 2048)
        self.stream = torch.cuda.Stream()

    def forward(self, x: Tensor) -> Tensor:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(30):
                x = torch.tanh(self.linear(x))
        torch.cuda.current_stream().wait_stream(self.stream)
        return x


@pytest.mark.parametrize("budget", ["1 GiB", 0], ids=["kept", "on demand"])
def test_values_of_another_stream(budget: object) -> None:
    model, x = OnSideStream().cuda().eval(), torch.randn(2048, 2048, device="cuda")
    with watched(model) as seen:
        model(x)
    torch.cuda.synchronize()
    with closing(ActivationCache.capture(model, x, budget=budget)) as cache:
        stats = [record.stats for record in cache.records if record.path == "linear"]
        for call, found in enumerate(stats):
            expected = seen["linear", call, ""]
            assert found is not None and found.max == float(expected.max()), call
            assert same_bits(cache.get("linear", call=call), expected)


def test_autocast(captured: Capture) -> None:
    model, x = convolutions().eval(), PICTURES.cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        with watched(model) as seen:
            model(x)
        values = outputs(captured(model, x))
    assert differing({key: seen[key] for key in values}, values) == []
    assert values["0.0", 0, ""].dtype is torch.bfloat16


def test_a_compiled_model(captured: Capture) -> None:
    model = convolutions().eval()
    compiled = torch.compile(model)
    x = PICTURES.cuda()
    compiled(x)
    with watched(model) as seen:
        model(x)
    values = outputs(captured(compiled, x))
    assert len(values) == len(seen)
    assert (
        differing(dict(seen), {(path.removeprefix("_orig_mod."), *rest): v for (path, *rest), v in values.items()})
        == []
    )


def test_generate_with_a_kv_cache() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = transformers.LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2, pad_token_id=0)
    model = transformers.LlamaForCausalLM(config).cuda().eval()
    ids = torch.tensor([[5, 6, 7, 8]], device="cuda")
    options = {"max_new_tokens": 5, "do_sample": False}
    plain = model.generate(ids, **options)
    with mv.record(model) as cache:
        again = model.generate(ids, **options)
    with closing(cache):
        assert torch.equal(plain, again)
        keys = [record for record in cache.records if record.kind == "key" and record.memory]
        assert keys and {record.device for record in keys} == {"cuda:0"}
        attention = [record for record in cache.records if record.kind == "attention"]
        weights = cache.attention(attention[0].path, step=0)
        assert float((weights.sum(-1) - 1).abs().max()) < 1e-5


def test_saved_and_opened(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    with closing(ActivationCache.capture(encoder().eval(), TEXTS.cuda())) as cache:
        cache.save(tmp_path / "run.zarr")
        with closing(ActivationCache.open(tmp_path / "run.zarr")) as opened:
            for record in cache.records:
                if record.kind == "output":
                    assert same_bits(opened[record.path].cpu(), cache[record.path].cpu())


def test_what_if() -> None:
    model, x = convolutions().eval(), PICTURES.cuda()
    with closing(ActivationCache.capture(model, x)) as cache:
        found = cache.what_if({"0": mv.edit.zero(channel=[0])})
        with closing(found):
            value = found["0"]
            assert float(value[:, 0].abs().max()) == 0.0
            first: nn.Module = model.get_submodule("0")
            handle = first.register_forward_hook(
                lambda module, args, out: out.index_fill(1, torch.tensor([0]).cuda(), 0)
            )
            expected = model(x)
            handle.remove()
            assert same_bits(found[""], expected)


def test_a_data_set(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    model = convolutions().eval()
    data = torch.utils.data.TensorDataset(torch.rand(40, 3, 8, 8))
    loader = [batch[0].cuda() for batch in torch.utils.data.DataLoader(data, 8)]
    found = mv.record_dataset(model, loader, layers=["1", "4"], to=tmp_path / "acts.zarr", top_k=3)
    with watched(model) as seen:
        for batch in loader:
            model(batch)
    expected = torch.cat([seen["4", call, ""] for call in range(5)]).cpu()
    assert same_bits(found["4"], expected)


def test_a_forward_that_runs_out_of_memory_leaves_the_model() -> None:
    class Greedy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x) + torch.empty(1 << 44, device="cuda").sum()

    model, x = Greedy().cuda(), torch.randn(2, 8, device="cuda")
    with pytest.raises(mv.errors.ForwardError, match="memory"):
        ActivationCache.capture(model, x)
    assert not any(module._forward_hooks for module in model.modules())
    with closing(ActivationCache.capture(model.linear, x)) as cache:
        assert same_bits(cache[""], model.linear(x))


def test_a_rank_of_nccl() -> None:
    """One GPU takes one rank: each way to spread a model, alone and gathered."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance.nccl_rank"],
        env={**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert len(answer) == 6
    assert all(off <= 1e-6 for off in answer.values()), answer
