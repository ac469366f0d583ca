"""docs/limits.md, row by row: what does not work really does what the table says."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.cache.saving_files import FolderWriter
from memviz_widgets.capture import drafts
from memviz_widgets.capture.pages import MOST_IDLE_BYTES, PAGES
from memviz_widgets.errors import (
    EditError,
    FormatError,
    MissingExtraError,
    ModelError,
    NotReproducibleError,
    RecordingError,
    SaveError,
)
from memviz_widgets.views import TopExamples
from memviz_widgets.views.lifecycle import widgets_below

from . import test_limits_over_ranks as over_ranks
from .capture.tiny_mamba import WIDTH, TinyCache, TinyMamba

TABLE = Path(__file__).resolve().parent.parent / "docs/limits.md"


class Calls(nn.Module):
    """Calls a function with itself and x."""

    def __init__(self, function: Any, **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def test_every_row_has_a_test_and_every_test_a_row() -> None:
    rows = re.findall(r"\| `(\w+)` \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    tests = [name.removeprefix("test_") for name in {*globals(), *vars(over_ranks)} if name.startswith("test_")]
    assert sorted(rows) == sorted(set(tests) - {"every_row_has_a_test_and_every_test_a_row"})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_model() -> None:
    with pytest.raises(ModelError, match=r"TorchScript module \(Linear\), which takes no hooks; expected a Python"):
        ActivationCache.capture(torch.jit.script(nn.Linear(2, 2)), torch.ones(1, 2))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_traced_model() -> None:
    model, x = nn.Sequential(nn.Linear(2, 2)), torch.ones(1, 2)
    cache = ActivationCache.capture(torch.jit.trace(model, x), x)
    assert torch.equal(cache[""], model(x)) and "takes no hooks" in cache.opaque["0"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_part() -> None:
    cache = ActivationCache.capture(nn.Sequential(torch.jit.script(nn.Linear(2, 2)), nn.Tanh()), torch.ones(1, 2))
    assert cache.names() == ("1", "") and "takes no hooks" in cache.opaque["0"]


def test_exported_program() -> None:
    x = torch.ones(1, 2)
    program: Any = torch.export.export(nn.Sequential(nn.Linear(2, 2)), (x,)).module()
    cache = ActivationCache.capture(program, x)
    assert torch.equal(cache[""], program(x)) and "0" not in cache.names()
    assert "torch.export.unflatten(program) makes a model that calls them" in cache.remarks[0]


def test_compiled_model() -> None:
    model, x = nn.Sequential(nn.Linear(2, 2), nn.Tanh()), torch.ones(1, 2)
    compiled: Any = torch.compile(model, backend="eager")
    compiled(x)
    assert ActivationCache.capture(compiled, x).names() == ("0", "1", "")


def test_child_called_by_forward() -> None:
    model = Calls(lambda m, x: m.a.forward(nn.functional.linear(x, m.b.weight)), a=nn.Linear(2, 2), b=nn.Linear(2, 2))
    cache = ActivationCache.capture(model, torch.ones(1, 2))
    assert cache.names() == ("",) and cache.never_called == ("a", "b")
    assert "'b' was never called, but its weights were used by linear in '(model)'" in cache.remarks


def test_module_made_in_forward() -> None:
    def build(m: nn.Module, x: Tensor) -> Tensor:
        m.late = nn.Linear(2, 2)
        out: Tensor = m.late(x)
        return out

    cache = ActivationCache.capture(Calls(build), torch.ones(1, 2))
    assert any("'late' was made during the forward" in remark for remark in cache.remarks)


def test_tensor_without_values() -> None:
    model = Calls(lambda m, x: (torch.vmap(m.a)(x), torch.empty(3, device="meta"))[1], a=nn.Linear(2, 2))
    cache = ActivationCache.capture(model, torch.ones(4, 2))
    assert "inside vmap" in cache.find("a").note and "meta device" in cache.find("").note
    assert not any(record.available for record in cache.records)


def test_dtype_without_arithmetic() -> None:
    dtype = getattr(torch, "float4_e2m1fn_x2", None)
    if dtype is None:
        pytest.skip("this torch has no float4")
    record = ActivationCache.capture(Calls(lambda m, x: x.view(dtype)), torch.zeros(4, dtype=torch.uint8)).records[0]
    assert record.shape == (4,) and not record.available and "no arithmetic for float4" in record.note


def test_large_results() -> None:
    deep: Any = torch.ones(1)
    for _ in range(9):
        deep = [deep]
    cache = ActivationCache.capture(Calls(lambda m, x: deep), torch.ones(1))
    assert "nested deeper than 8 levels" in cache.records[0].note
    cache = ActivationCache.capture(Calls(lambda m, x: [x + i for i in range(600)]), torch.ones(1))
    assert len(cache.records) == 513 and "more than 512 tensors" in cache.records[-1].note


def test_changed_model() -> None:
    model = nn.Linear(2, 2)
    cache = ActivationCache.capture(model, torch.ones(1, 2), budget=0)
    nn.init.zeros_(model.weight)
    with pytest.raises(NotReproducibleError, match="is not reproducible: captured values were dropped"):
        cache.get("")


def test_hooks_of_the_user_in_a_replay() -> None:
    model, seen = nn.Linear(2, 2), []
    model.register_forward_hook(lambda *args: seen.append(1))
    cache = ActivationCache.capture(model, torch.ones(1, 2), budget=0)
    cache.get("")
    assert len(seen) == 2


def test_forward_writes_parameters() -> None:
    def halve(m: Any, x: Tensor) -> Tensor:
        with torch.no_grad():
            m.a.weight.mul_(0.5)
        out: Tensor = m.a(x)
        return out

    linear = nn.Linear(2, 2)
    before = linear.weight.clone()
    cache = ActivationCache.capture(Calls(halve, a=linear), torch.ones(1, 2))
    assert torch.equal(linear.weight, before / 2) and "wrote to the parameter 'a.weight'" in cache.remarks[0]


def test_forward_changes_own_objects() -> None:
    class Counter:
        count = 0

    def tick(m: Any, x: Tensor) -> Tensor:
        m.counter.count += 1
        m.calls = m.calls + 1
        return x

    model: Any = Calls(tick)
    model.counter, model.calls = Counter(), 0
    ActivationCache.capture(model, torch.ones(1))
    assert (model.counter.count, model.calls) == (1, 0)


def test_older_threads() -> None:
    model, go, done, over = nn.Linear(2, 2), threading.Event(), threading.Event(), threading.Event()

    def serve() -> None:
        go.wait()
        model(torch.zeros(1, 2))
        done.set()
        over.wait()

    thread = threading.Thread(target=serve)
    thread.start()

    def call(m: Any) -> None:
        go.set()
        done.wait()
        m(torch.ones(1, 2))

    cache = ActivationCache.capture(model, call=call)
    over.set()
    thread.join()
    assert len(cache.records) == 1


def test_attention_before_dropout() -> None:
    q = torch.randn(1, 2, 3, 4)
    cache = ActivationCache.capture(
        Calls(lambda m, x: nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5)), q
    )
    assert "before dropout" in cache.find("", "attention").note
    assert torch.allclose(cache.attention("").sum(-1), torch.ones(1, 2, 3))


def test_attention_before_mixing() -> None:
    mix = nn.Conv2d(2, 2, 1)
    cache = ActivationCache.capture(Calls(lambda m, x: mix((x @ x.mT).softmax(-1)) @ x), torch.randn(1, 2, 3, 4))
    assert cache.find("", "attention").note == "before conv2d mixes the heads"
    assert torch.allclose(cache.attention("").sum(-1), torch.ones(1, 2, 3))
    with pytest.raises(EditError, match="cannot be edited"):
        cache.what_if({" attention": mv.edit.zero(head=1)})


def test_attention_by_exp() -> None:
    def attend(m: nn.Module, x: Tensor) -> Tensor:
        scores = (x @ x.mT).exp()
        return (scores / scores.sum(-1, keepdim=True)) @ x

    cache = ActivationCache.capture(Calls(attend), torch.randn(1, 2, 3, 4))
    assert [record.kind for record in cache.records] == ["output"]


def test_many_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "MOST_RECORDS", 10)
    model = nn.Linear(2, 2)
    with mv.record(model) as cache:
        for _ in range(12):
            model(torch.ones(1, 2))
    assert len(cache.records) == 10 and "the first 10 records are kept" in cache.remarks[0]


def test_nested_recordings() -> None:
    model = nn.Linear(2, 2)
    with mv.record(model), pytest.raises(RecordingError, match="Recordings of one model do not nest"):
        mv.record(model).start()


def test_spill_without_zarr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r"memviz_widgets\[spill\]"):
        ActivationCache.capture(nn.Linear(2, 2), torch.ones(1, 2), spill=tmp_path)


def test_statistics_of_large_tensors() -> None:
    values = torch.randn(1 << 20) + 3
    stats = ActivationCache.from_tensors({"x": values}).records[0].stats
    assert stats is not None and (stats.min, stats.max) == (values.min().item(), values.max().item())
    assert stats.mean == pytest.approx(values.double().mean().item(), rel=1e-6)
    assert stats.std == pytest.approx(values.double().std(correction=0).item(), rel=1e-6)


def test_pages_that_wait() -> None:
    PAGES.clear()
    cache = ActivationCache.capture(nn.Identity(), torch.ones(1 << 20))
    cache.close()
    assert PAGES.idle_bytes == 1 << 22 <= MOST_IDLE_BYTES == 64 * 2**20
    PAGES.clear()
    assert PAGES.idle_bytes == 0


def test_cells_of_other_packages() -> None:
    class Leaky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.voltage = torch.zeros(2, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.voltage = 0.9 * self.voltage + x
            return (self.voltage > 1).float()

    def steps(m: nn.Module, x: Tensor) -> Tensor:
        leaky: nn.Module = m.part  # type: ignore[assignment]
        return torch.stack([leaky(step) for step in x])

    model = Calls(steps, part=Leaky())
    x = torch.rand(6, 2, 3)
    assert not ActivationCache.capture(model, x).memories()
    (found,) = mv.memory_candidates(model, x)
    assert found.name == "voltage"
    adapter = found.adapter(kind="hidden", dims="batch channel")
    mv.register_memory(adapter)
    try:
        assert ActivationCache.capture(model, x).get("part", "hidden").shape == (2, 6, 3)
    finally:
        mv.unregister_memory(adapter)


def test_recurrent_dropout() -> None:
    cache = ActivationCache.capture(nn.LSTM(3, 4, 2, dropout=0.5).train(), torch.randn(5, 2, 3))
    assert cache.get("", "cell", item="l0").shape == (2, 5, 4)
    assert "dropout" in cache.find("", "hidden", item="l1").note
    assert not cache.find("", "hidden", item="l1").available


def test_unknown_states() -> None:
    def decay(m: nn.Module, x: Tensor) -> Tensor:
        states = [x[:, 0]]
        for step in range(1, x.shape[1]):
            states.append(0.9 * states[-1] + x[:, step])
        return torch.stack(states, 1)

    cache = ActivationCache.capture(Calls(decay), torch.ones(1, 4, 2))
    assert [record.kind for record in cache.records] == ["output"]


def test_states_of_computed_weights() -> None:
    layer = TinyMamba()
    nn.utils.parametrizations.weight_norm(layer.out_proj)
    record = ActivationCache.capture(layer, torch.ones(1, 4, WIDTH)).find("", "state")
    assert not record.available and "out_proj.weight is parametrized" in record.note


def test_states_begun_before() -> None:
    torch.manual_seed(0)
    layer, x = TinyMamba(), torch.randn(1, 12, WIDTH)
    for steps in (1, 4):
        cache = TinyCache()
        layer(x[:, :5], cache)
        with mv.record(layer) as tape:
            layer(x[:, 5 : 5 + steps], cache)
        state = tape.get("", "state")
        if steps == 1:
            assert torch.equal(state, layer.states) and "began within a sequence" in tape.find("", "state").note
            assert not any(record.kind == "keep" for record in tape.records)
        else:
            assert (residual := tape.find("", "state").residual) is not None and residual > 1e-4


def test_states_of_a_changed_cache() -> None:
    torch.manual_seed(0)
    layer, x, cache = TinyMamba(), torch.randn(1, 12, WIDTH), TinyCache()
    with mv.record(layer) as tape:
        layer(x[:, :5], cache)
        cache.layers[0].recurrent_states[0] = torch.ones_like(layer.states[:, 0])
        layer(x[:, 5:6], cache)
    assert torch.equal(tape.get("", "state", step=1), layer.states)
    assert (residual := tape.find("", "state", step=1).residual) is not None and residual > 0.1


def test_overwriting_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, path = ActivationCache.capture(nn.Linear(2, 2), torch.ones(1, 2)), "memory://limits/run.zarr"
    cache.save(path, overwrite=True)

    def full(self: FolderWriter, *args: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(FolderWriter, "chunk", full)
    with pytest.raises(SaveError, match="no room"):
        cache.save(path, overwrite=True)
    with pytest.raises(FormatError, match="there is nothing at this path"):
        ActivationCache.open(path)


def test_recovered_values_of_a_saved_capture(tmp_path: Path) -> None:
    cache = ActivationCache.capture(nn.LSTM(2, 3), torch.ones(4, 1, 2))
    cache.save(tmp_path / "run.zarr")
    opened = ActivationCache.open(tmp_path / "run.zarr")
    gate = opened.find("", "gate.f")
    assert torch.equal(opened.get("", "gate.f"), cache.get("", "gate.f")) and gate.residual is not None
    assert cache.recoveries(gate) and opened.recoveries(gate) == ()


def test_steps_that_made_room() -> None:
    model, cache = nn.Linear(2, 2), ActivationCache(budget=48)  # three steps of 16 B
    for _ in range(5):
        cache.record_step(model, torch.ones(2, 2))
    record = cache.find("", step=1)
    assert not record.available and record.stats is not None
    assert "not computed again. Record with a larger budget=" in record.note


def test_generation_in_a_step() -> None:
    query, keys = torch.randn(1, 1, 1, 4), torch.randn(1, 1, 5, 4)
    model = Calls(lambda m, x: nn.functional.scaled_dot_product_attention(x, keys, keys))
    with mv.record(model) as loop:
        for _ in range(3):
            model(query)
    cache = ActivationCache()
    for _ in range(2):
        cache.record_step(model, call=lambda m: [m(query) for _ in range(3)])
    assert (1, 1, 3, 5) in [record.shape for record in loop.records if record.kind == "attention"]
    assert [(record.step, record.call, record.shape) for record in cache.records if record.kind == "attention"] == [
        (step, call, (1, 1, 1, 5)) for step in (0, 1) for call in (0, 1, 2)
    ]


def test_dataset_of_outputs_only(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(4, 5, 8)
    model = Calls(lambda model, x: model.attention(x, x, x), attention=attention)
    assert any(record.kind == "attention" for record in ActivationCache.capture(model, x).records)
    dataset = mv.record_dataset(model, [x], layers=["attention"], to=tmp_path / "acts.zarr")
    assert {record.kind for record in dataset.records} == {"output"}


def test_examples_without_a_kernel(tmp_path: Path) -> None:
    """Only the samples of the channel that is shown are in the state that a page keeps; js/tests has what it says."""
    pytest.importorskip("zarr")
    dataset = mv.record_dataset(nn.Conv2d(1, 4, 3), [torch.randn(9, 1, 6, 6)], to=tmp_path / "acts.zarr", top_k=2)
    explorer = mv.ActivationExplorer(dataset)
    explorer.selection.channel = 3
    (strip,) = (part for part in widgets_below(explorer, keep=(mv.Selection,)) if isinstance(part, TopExamples))
    told = strip.get_state(["channel", "samples"])
    assert told == {"channel": 3, "samples": [each.sample for each in dataset.top("", 3)]}
    explorer.close()
