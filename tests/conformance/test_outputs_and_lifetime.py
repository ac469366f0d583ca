"""Rows 35 to 40: what a model returns, from float8 to a live KV cache, and how long anything of ours is on it."""

from __future__ import annotations

import copy
import dataclasses
import gc
import math
import pickle
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import accelerate  # type: ignore[import-untyped]
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.rnn import pack_sequence

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.errors import NotKeptError

from .model_state import Capture, unchanged

X = torch.arange(32, dtype=torch.float32).view(8, 4) - 15.5


class Returns(nn.Module):
    """Returns what its argument makes."""

    def forward(self, make: Callable[[], Any]) -> Any:
        return make()


COMPLEX = torch.tensor([3 + 4j, -6 - 8j])
KINDS: dict[str, tuple[Callable[[], Tensor], Tensor, tuple[float | None, ...]]] = {
    "bfloat16": (lambda: torch.tensor([1.5, -2]).bfloat16(), torch.tensor([1.5, -2]).bfloat16(), (-2, 1.5, -0.25)),
    "float8": (lambda: torch.tensor([1, -4.0]).to(torch.float8_e4m3fn), torch.tensor([1, -4.0]), (-4, 1, -1.5)),
    "conjugate": (COMPLEX.conj, torch.tensor([3 - 4j, -6 + 8j]), (5, 10, 7.5)),
    "negated": (lambda: COMPLEX.conj().imag, torch.tensor([-4.0, 8.0]), (-4, 8, 2)),
    "complex": (COMPLEX.clone, COMPLEX, (5, 10, 7.5)),
    "requires grad": (lambda: torch.ones(2, requires_grad=True) * 3, torch.full((2,), 3.0), (3, 3, 3)),
    "sparse": (lambda: torch.eye(2).to_sparse(), torch.eye(2), (0, 1, 0.5)),
    "sparse rows": (lambda: torch.eye(2).to_sparse_csr(), torch.eye(2), (0, 1, 0.5)),
    "quantized": (
        lambda: torch.quantize_per_tensor(torch.tensor([0.5, -1.0]), 0.5, 3, torch.quint8),
        torch.tensor([0.5, -1.0]),
        (-1, 0.5, -0.25),
    ),
    "mkldnn": (lambda: torch.ones(2, 2).to_mkldnn(), torch.ones(2, 2), (1, 1, 1)),
    "empty": (lambda: torch.empty(0, 3), torch.empty(0, 3), (None, None, None)),
    "scalar": (lambda: torch.tensor(7.0), torch.tensor(7.0), (7, 7, 7)),
    "bool": (lambda: torch.tensor([True, False]), torch.tensor([True, False]), (0, 1, 0.5)),
    "uint16": (lambda: torch.tensor([1, 65535], dtype=torch.uint16), torch.tensor([1, 65535]), (1, 65535, 32768)),
    "int64": (lambda: torch.arange(3), torch.arange(3), (0, 2, 1)),
    "not finite": (lambda: torch.tensor([math.nan, math.inf, 2]), torch.tensor([math.nan, math.inf, 2]), (2, 2, 2)),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_35_values_of_every_kind(captured: Capture, kind: str) -> None:
    """Kept exactly, as a plain dense tensor, with statistics (of |z| for complex numbers)."""
    make, expected, numbers = KINDS[kind]
    cache = captured(Returns(), (make,))
    record, value = cache.find(""), cache[""]
    assert record.kept and record.shape == tuple(expected.shape)
    assert value.layout is torch.strided and not value.is_quantized and not value.requires_grad
    compared = value if value.dtype == expected.dtype else value.to(expected.dtype)
    assert (
        torch.equal(compared.nan_to_num(9), expected.nan_to_num(9))
        if kind == "not finite"
        else torch.equal(compared, expected)
    )
    stats = record.stats
    assert stats is not None and (stats.min, stats.max, stats.mean) == numbers and stats.count == expected.numel()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_35_nested_tensors(captured: Capture) -> None:
    """Shown padded with zeros; the statistics are of what is there."""
    for layout in (torch.strided, torch.jagged):
        cache = captured(
            Returns(), (lambda at=layout: torch.nested.nested_tensor([torch.ones(3, 2), torch.ones(1, 2)], layout=at),)
        )
        record, stats = cache.find(""), cache.find("").stats
        assert record.shape == (2, 3, 2) and stats is not None and (stats.count, stats.min, stats.zeros) == (8, 1, 0)
        assert cache[""][1].tolist() == [[1, 1], [0, 0], [0, 0]]


def test_35_meta_tensors_have_no_values(captured: Capture) -> None:
    """Shape and a reason."""
    cache = captured(nn.Linear(2, 3, device="meta"), torch.ones(4, 2, device="meta"))
    record = cache.find("")
    assert (record.shape, record.dtype, record.stats, record.available) == ((4, 3), "float32", None, False)
    with pytest.raises(NotKeptError, match="on the meta device: it has no values, shape only"):
        cache.get("")


@dataclasses.dataclass
class Fields:
    logits: Tensor
    more: Any


class Plain:
    def __init__(self, state: Tensor) -> None:
        self.state = state


def test_36_dataclasses_and_objects(captured: Capture) -> None:
    """Every tensor in them has a record with its place as item."""
    made = Fields(X + 1, [Plain(X + 2), {"deep": (X + 3,)}])
    cache = captured(Returns(), (lambda: made,))
    assert [record.item for record in cache.records] == ["logits", "more.0.state", "more.1.deep.0"]
    for step, item in enumerate(("logits", "more.0.state", "more.1.deep.0"), 1):
        assert torch.equal(cache.get("", item=item), X + step)


def test_36_generator_is_not_consumed(captured: Capture) -> None:
    """Neither one that a module returns nor one that it is given."""
    outputs: list[Any] = []

    class Streams(nn.Module):
        def forward(self, numbers: Iterator[int]) -> Any:
            self_made = (2 * number for number in numbers)
            return self_made, X

    cache = captured(Streams(), call=lambda m: outputs.append(m(iter(range(3)))), budget=0)
    assert list(outputs[0][0]) == [0, 2, 4]
    assert cache.records[0].note.startswith("generator: not a tensor") and torch.equal(cache.get("", item="1"), X)


def test_36_live_cache_of_keys_and_values(captured: Capture) -> None:
    """One object for all steps, which grows: each step has the keys of then."""
    from transformers import DynamicCache

    live = DynamicCache()

    class Remembers(nn.Module):
        def forward(self, x: Tensor) -> Any:
            live.update(x[None, None], -x[None, None], 0)
            return live

    cache = captured(Remembers(), call=lambda m: [m(X[t : t + 1]) for t in range(3)])
    keys = [record for record in cache.records if record.item == "layers.0.keys"]
    assert [(record.step, record.shape) for record in keys] == [(t, (1, 1, t + 1, 4)) for t in range(3)]
    for t in range(3):
        assert torch.equal(cache.get("", item="layers.0.keys", step=t), X[None, None, : t + 1])
        assert torch.equal(cache.get("", item="layers.0.values", step=t), -X[None, None, : t + 1])


LSTMS: dict[str, dict[str, Any]] = {
    "two layers": {"num_layers": 2},
    "both directions": {"bidirectional": True},
    "projection": {"proj_size": 2},
    "no bias": {"bias": False, "batch_first": True},
}


@pytest.mark.parametrize("name", LSTMS)
def test_37_lstm(captured: Capture, name: str) -> None:
    """y, h_n and c_n exactly. The cell state and the gates of every step: see test_recurrent_memory.py."""
    model, x = nn.LSTM(4, 4, **LSTMS[name]), X.view(4, 2, 4)
    cache = captured(model, x)
    y, (h, c) = model(x)
    assert [record.item for record in cache.records if not record.memory] == ["0", "1.0", "1.1"]
    for item, value in (("0", y), ("1.0", h), ("1.1", c)):
        assert torch.equal(cache.get("", item=item), value)


def test_37_lstm_with_packed_sequences(captured: Capture) -> None:
    """The valid steps of all samples, which is said."""
    model, packed = nn.LSTM(4, 4), pack_sequence([X[:3], X[3:4]])
    cache = captured(model, (packed, (torch.ones(1, 2, 4), torch.zeros(1, 2, 4))))
    y, (h, c) = model(packed, (torch.ones(1, 2, 4), torch.zeros(1, 2, 4)))
    assert torch.equal(cache.get("", item="0.data"), y.data) and "PackedSequence" in cache.records[0].note
    assert torch.equal(cache.get("", item="1.0"), h) and torch.equal(cache.get("", item="1.1"), c)


def test_38_spectral_norm_in_training(captured: Capture) -> None:
    """Reading .weight moves its vectors on: neither capture, nor replay, nor a look at a value does."""
    model: Any = nn.Sequential(spectral_norm(nn.Linear(4, 4)), nn.ReLU()).train()
    vector = model[0].parametrizations.weight[0]._u.clone()
    whole, cache = captured(model, X), captured(model, X, budget=0)
    with unchanged(model):
        value = cache["0"]
    assert torch.equal(model[0].parametrizations.weight[0]._u, vector)
    assert torch.equal(value, whole["0"]) and torch.equal(value, model[0](X))


def test_38_weights_that_are_offloaded(captured: Capture) -> None:
    """accelerate brings weights in for a call and takes them away after it, in a replay too."""
    model: Any = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    plain = copy.deepcopy(model)
    accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    assert model[0].weight.is_meta
    cache, rerun = captured(model, X), captured(model, X, budget=0)
    for each in (cache, rerun):
        with unchanged(model):
            value = each["1.0"]
        assert torch.equal(value, plain[1][0](plain[0](X)))
    assert model[0].weight.is_meta and model[1][0].weight.is_meta


def test_38_layers_on_cpu_and_disk(captured: Capture, tmp_path: Path) -> None:
    """A transformer that accelerate's dispatch_model lays over memory and disk, as ``device_map`` does."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=3, n_head=2, n_embd=8, vocab_size=20, n_positions=16)
    model = transformers.GPT2LMHeadModel(config).eval()
    ids = torch.randint(0, 20, (2, 5))
    with torch.no_grad():
        plain = captured(model, {"input_ids": ids, "use_cache": False})
    laid: dict[str, Any] = {"transformer.wte": "cpu", "transformer.wpe": "cpu", "transformer.ln_f": "cpu"}
    laid |= {"transformer.drop": "cpu", "lm_head": "cpu"}
    laid |= {f"transformer.h.{number}": "disk" if number else "cpu" for number in range(3)}
    model = accelerate.dispatch_model(model, laid, main_device="cpu", offload_dir=tmp_path, force_hooks=True)
    away = model.transformer.h[2].attn.c_attn
    assert away.weight.is_meta
    with torch.no_grad():
        for budget in ("1 GiB", 2000):
            with unchanged(model):
                cache = captured(model, {"input_ids": ids, "use_cache": False}, budget=budget)
                for path in ("transformer.h.2.attn.c_attn", "transformer.h.1.mlp", "lm_head"):
                    assert torch.equal(cache[path], plain[path]), path
                weights = cache.get("transformer.h.2.attn", "attention")
            assert torch.equal(weights, plain.get("transformer.h.2.attn", "attention")) and away.weight.is_meta


def test_39_lazy_modules() -> None:
    """Types and sizes are those that the call gave; it stays materialised, as after a plain call, without a hook."""
    model: Any = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d()).train()
    cache = ActivationCache.capture(model, X)
    assert [(record.module_type, record.shape) for record in cache.records[:2]] == [
        ("Linear", (8, 3)),
        ("BatchNorm1d", (8, 3)),
    ]
    assert type(model[0]) is nn.Linear and model[0].weight.shape == (3, 4)
    assert torch.equal(cache["0"], model[0](X)) and not cache.remarks
    assert not any(vars(part)[name] for part in model.modules() for name in vars(part) if "forward" in name)
    with unchanged(model):
        ActivationCache.capture(model, X)


def test_40_copies_and_pickles_of_a_hooked_model() -> None:
    """A copy made while hooks are on does not record, pickles, and works; the cache is of the original alone."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with unchanged(model), mv.record(model) as cache:
        twin, again = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
        twin(2 * X), again(3 * X)
        model(X)
    assert len(cache.records) == 3 and torch.equal(cache["0"], model[0](X))
    for each in (twin, again):
        assert torch.equal(each(X), model(X)) and torch.equal(pickle.loads(pickle.dumps(each))(X), model(X))


@pytest.mark.parametrize("budget", ["1 GiB", 0], ids=["held", "replayed"])
def test_40_nothing_keeps_the_model_alive(budget: object) -> None:
    """A cache that holds everything holds no module; one that must replay lets the model go when it is closed."""
    model, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), X.clone()
    cache = ActivationCache.capture(model, x, budget=budget)
    expected = model[0](x).detach()
    alive = [weakref.ref(each) for each in (model, model[0], model[0].weight, x)]
    del model, x
    if not budget:
        assert torch.equal(cache["0"], expected)
        cache.close()
    gc.collect()
    assert [each() for each in alive] == [None] * 4
    assert cache.closed or torch.equal(cache["0"], expected)


def test_40_cache_can_be_pickled_and_copied(captured: Capture) -> None:
    """Values and records survive, without hooks, closures or a model."""
    cache = captured(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), X)
    for again in (pickle.loads(pickle.dumps(cache)), copy.deepcopy(cache)):
        assert again.records == cache.records and torch.equal(again["0"], cache["0"])
