"""Slot memories as they come: ``dnc`` as installed, and models with the structure of packages that are not on an index.

Each obeys its law, ``content_t = content_{t-1} * prod(1 - w e^T) + sum w a^T``, to rounding: the largest error over all
steps, samples, slots and widths is held against 1e-7 where contents are about 1.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.analysis.memory import hopfield_energy
from memviz_widgets.capture.memory_hops import hop_groups

from .attention_families import MemN2N
from .model_state import Capture
from .slot_models import NTM, Hopfield, Hops, Loops, NeuralMemory

dnc: Any = importlib.import_module("dnc")

ROUNDING = 1e-7
SHARED = "rnn_layer_memory_shared"
X = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(3))


def largest_error(memory: Tensor, weights: Tensor, erase: Tensor, add: Tensor) -> float:
    """Of the law, from the second step on: (B, T, S, D), (B, T, N, S), (B, T, N, D), (B, T, N, D)."""
    keep = (1 - weights[..., None] * erase[..., None, :]).prod(2)
    write = torch.einsum("btns,btnd->btsd", weights, add)
    assert write.abs().max() > 0.01, "something is written"
    return float((keep[:, 1:] * memory[:, :-1] + write[:, 1:] - memory[:, 1:]).abs().max())


def of(cache: mv.ActivationCache, path: str, item: str = "") -> Callable[[str], Tensor]:
    """Reads the parts of a memory by kind."""

    def part(kind: str) -> Tensor:
        value = cache.get(path, kind, item=item)
        assert isinstance(value, Tensor)
        return value

    return part


def law_error(part: Callable[[str], Tensor]) -> float:
    return largest_error(part("memory"), part("write_weights"), part("erase"), part("add"))


def made_dnc(independent: bool) -> Any:
    torch.manual_seed(0)
    return dnc.DNC(4, 8, nr_cells=7, cell_size=5, read_heads=2, independent_linears=independent)


@pytest.mark.parametrize("independent", [False, True])
def test_dnc_obeys_its_law(captured: Capture, independent: bool) -> None:
    part = of(captured(made_dnc(independent), (X,)), SHARED)
    assert law_error(part) <= ROUNDING
    read = torch.einsum("btns,btsd->btnd", part("read_weights"), part("memory"))
    torch.testing.assert_close(part("read"), read, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("independent", [False, True])
def test_dnc_gates_follow_from_each_other(captured: Capture, independent: bool) -> None:
    """Usage and links, by the formulas of the paper, from the recorded gates and weights of the step before."""
    part = of(captured(made_dnc(independent), (X,)), SHARED)
    usage, free, weights = part("usage"), part("gate.free"), part("read_weights")
    written = part("write_weights")[:, :-1, 0]
    retained = (1 - free[:, 1:, :, None] * weights[:, :-1]).prod(2)
    expected = (usage[:, :-1] + written - usage[:, :-1] * written) * retained
    torch.testing.assert_close(usage[:, 1:], expected, rtol=0, atol=1e-6)
    assert (part("write_weights").sum(-1) <= part("gate.write") + 1e-6).all()
    torch.testing.assert_close(part("read_modes").sum(-1), torch.ones(2, 6, 2))


def test_dnc_read_modes_are_backward_forward_content(captured: Capture) -> None:
    """The weights of a step are the modes times what each gives, so the order is as the note says."""
    cache = captured(made_dnc(True), (X,))
    part = of(cache, SHARED)
    modes, before, link = part("read_modes")[:, 1:], part("read_weights")[:, :-1], part("link")[:, 1:]
    backward = torch.einsum("btnj,btji->btni", before, link)
    forward = torch.einsum("btij,btnj->btni", link, before)
    content = part("read_weights")[:, 1:] - modes[..., :1] * backward - modes[..., 1:2] * forward
    torch.testing.assert_close(content.sum(-1), modes[..., 2], rtol=0, atol=1e-5)
    assert (content > -1e-6).all()
    [note] = [record.note for record in cache.memories()[SHARED] if record.kind == "read_modes"]
    assert note == "in order: backward, forward, content"


def test_dnc_is_captured_in_one_run(captured: Capture) -> None:
    """Each of its calls starts from another random state: what is shown is the run that gave the output."""
    model, seen = made_dnc(False), []
    memory = getattr(model, SHARED)
    handle = memory.register_forward_hook(lambda module, args, result: seen.append(result[1]["memory"].clone()))
    cache = captured(model, (X,))
    handle.remove()
    assert len(seen) == 6, "one run"
    assert torch.equal(of(cache, SHARED)("memory"), torch.stack(seen, 1))
    assert not torch.equal(model(X)[0], model(X)[0])


def test_dnc_steps_differ_although_its_state_is_one_dict(captured: Capture) -> None:
    model, states = made_dnc(False), []
    handle = getattr(model, SHARED).register_forward_hook(lambda module, args, result: states.append(result[1]))
    part = of(captured(model, (X,)), SHARED)
    handle.remove()
    assert len(states) == 6 and all(state is states[0] for state in states)
    for kind in ("memory", "read_weights", "write_weights", "usage", "link", "precedence"):
        steps = part(kind)
        assert all(not torch.equal(steps[:, t], steps[:, t + 1]) for t in range(1, 5)), kind


def test_dnc_output_has_the_same_bits() -> None:
    model = made_dnc(False)
    torch.manual_seed(5)
    plain = model(X)[0]
    torch.manual_seed(5)
    with mv.record(model) as cache:
        recorded = model(X)[0]
    assert torch.equal(plain, recorded)
    cache.close()


def test_a_dnc_memory_per_layer_is_a_memory_each(captured: Capture) -> None:
    torch.manual_seed(0)
    model = dnc.DNC(4, 8, num_layers=2, nr_cells=7, cell_size=5, read_heads=2, share_memory=False)
    cache = captured(model, (X,))
    labels = ["rnn_layer_memory_0", "rnn_layer_memory_1"]
    assert set(labels) <= set(cache.memories())
    assert all(law_error(of(cache, label)) <= ROUNDING for label in labels)


def stepped(model: NTM) -> mv.ActivationCache:
    """A recording of a loop of the user's over six steps."""
    model.memory.reset(2)
    with mv.record(model) as cache:
        for x in X.unbind(1):
            model(x)
    return cache


def made_ntm(order: str = "rw", act: Any = None, **options: Any) -> NTM:
    torch.manual_seed(1)
    return NTM(order, torch.clone if act is None else act, **options)


@pytest.mark.parametrize("act", [None, nn.Tanh(), nn.Sigmoid(), nn.ReLU()], ids=["plain", "tanh", "sigmoid", "relu"])
def test_ntm_in_the_users_loop_obeys_its_law(act: Any) -> None:
    cache = stepped(made_ntm(act=act))
    part = of(cache, "memory")
    assert law_error(part) <= ROUNDING
    read = torch.einsum("btns,btsd->btnd", part("read_weights")[:, 1:], part("memory")[:, :-1])
    torch.testing.assert_close(part("read")[:, 1:], read, rtol=0, atol=ROUNDING)  # reads before the write
    cache.close()


def test_ntm_in_one_call_obeys_its_law(captured: Capture) -> None:
    cache = captured(Loops(made_ntm()), (X,))
    assert law_error(of(cache, "ntm.memory")) <= ROUNDING
    assert of(cache, "ntm.memory")("memory").shape == (2, 6, 7, 5)


def notes(cache: mv.ActivationCache, kind: str) -> dict[str, str]:
    """Item -> note of the parts of one kind."""
    return {record.item: record.note for record in cache.memories()["memory"] if record.kind == kind}


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("rw", {"": "reads before the write"}),
        ("wr", {"": "reads after the write"}),
        ("rwrw", {"head0": "reads before the write", "head1": "reads after 1 of the 2 writes of its step"}),
        ("rrww", {"head0": "reads before the write", "head1": "reads before the write"}),
        ("wwr", {"": "reads after the write"}),
    ],
)
def test_ntm_says_what_a_read_saw(order: str, expected: dict[str, str]) -> None:
    cache = stepped(made_ntm(order))
    assert notes(cache, "read_weights") == expected
    cache.close()


def test_ntm_with_two_write_heads_obeys_their_law() -> None:
    """The content is recorded after the last write of a step; the second head's erase also meets the first's add."""
    cache = stepped(made_ntm("rwrw"))
    heads = [of(cache, "memory", item) for item in ("head0", "head1")]
    content = of(cache, "memory")("memory")[:, :-1]
    for part in heads:
        weights, erase, add = (part(kind)[:, 1:, 0] for kind in ("write_weights", "erase", "add"))
        content = content * (1 - weights[..., None] * erase[..., None, :]) + weights[..., None] * add[..., None, :]
    assert (content - of(cache, "memory")("memory")[:, 1:]).abs().max() <= ROUNDING
    cache.close()


def test_ntm_that_keeps_no_old_content_says_that_nothing_checks_the_add() -> None:
    cache = stepped(made_ntm(keeps=False))
    assert notes(cache, "add")[""].startswith("as the head's layer gives it")
    assert law_error(of(cache, "memory")) <= ROUNDING
    cache.close()


def test_ntm_that_adds_something_else_gets_no_add() -> None:
    cache = stepped(made_ntm(act=nn.Softplus()))
    kinds = {record.kind for record in cache.memories()["memory"]}
    assert kinds == {"memory", "read_weights", "write_weights", "read"}
    assert notes(cache, "write_weights")[""] == "what was written could not be recovered from the head's layer"
    cache.close()


def test_ntm_output_has_the_same_bits() -> None:
    model = Loops(made_ntm())
    plain = model(X)
    with mv.record(model) as cache:
        recorded = model(X)
    assert torch.equal(plain, recorded)
    cache.close()


@pytest.mark.parametrize("updates", [0, 1, 4])
def test_hopfield_association_gives_the_output(captured: Capture, updates: int) -> None:
    torch.manual_seed(2)
    model = Hopfield(4, updates=updates)
    cache = captured(model, (X,))
    part = of(cache, "association_core")
    association = part("association") if updates == 0 else part("association")[:, -1]
    values = X @ model.association_core.in_proj_weight[8:].T
    torch.testing.assert_close(association[:, 0] @ values, cache[""], rtol=0, atol=1e-5)
    record = next(record for record in cache.records if record.kind == "association")
    assert record.residual is not None and record.residual < 1e-5
    assert "attention" not in {record.kind for record in cache.records}, "once is enough"


def test_hopfield_updates_never_raise_the_energy(captured: Capture) -> None:
    torch.manual_seed(2)
    part = of(captured(Hopfield(4, updates=5), (X,)), "association_core")
    states, patterns = part("state"), part("memory")
    assert states.shape == (2, 6, 1, 6, 4) and patterns.shape == (2, 1, 6, 4)
    for sample in range(2):
        energy = hopfield_energy(patterns[sample, 0], states[sample, :, 0].flatten(0, 1), 2.0).unflatten(0, (6, 6))
        assert (energy[1:] <= energy[:-1] + 1e-5).all()
        assert (energy[0] - energy[-1]).max() > 1e-3


def test_hopfield_that_stands_still_is_repeated(captured: Capture) -> None:
    """A layer that may stop as soon as it moves by less than 100 makes one update of the five that it is allowed."""
    torch.manual_seed(2)
    cache = captured(Hopfield(4, updates=5, eps=100.0), (X,))
    association = of(cache, "association_core")("association")
    assert association.shape[1] == 6
    assert not torch.equal(association[:, 0], association[:, 1])
    assert all(torch.equal(association[:, 1], association[:, update]) for update in range(2, 6))
    [record] = [record for record in cache.records if record.kind == "association"]
    assert record.residual is not None and record.residual < 1e-5


def test_hopfield_with_dropout_says_why_there_is_nothing(captured: Capture) -> None:
    cache = captured(Hopfield(4, dropout=0.5).train(), (X,))
    record = next(record for record in cache.records if record.kind == "association")
    assert not record.available and record.note.startswith("dropout is on")


def test_norms_of_a_memory_of_weights(captured: Capture) -> None:
    model = NeuralMemory(3, 4, 2)
    cache = captured(model, {"x": X, "return_surprises": True})
    part = of(cache, "", "weight")
    start = model.memory_model.weight.detach()
    chunks = X.unflatten(1, (3, 2)).mean(2)
    weights = torch.stack([start + sum(torch.outer(c, c) for c in chunks[1, :step]) for step in range(4)])
    assert part("norm").shape == (2, 4, 3) and part("update").shape == (2, 3, 3)
    torch.testing.assert_close(part("norm")[1, :, 2], weights.flatten(1).norm(dim=1))
    torch.testing.assert_close(part("update")[1, :, 0], chunks[1].square().sum(-1))  # the norm of c c^T
    assert of(cache, "")("surprise").shape == (2, 6, 3)


def test_hops_of_a_memory_network_are_reads_in_a_row(captured: Capture) -> None:
    cache = captured(Hops(3), (X[:, 0], X))
    [(label, members)] = hop_groups(cache.records)
    assert label == "hops.* reads"
    assert [cache.records[index].path for index in members] == ["hops.0", "hops.1", "hops.2"]


def test_hops_without_a_module_are_reads_in_a_row(captured: Capture) -> None:
    stories, question = torch.randint(1, 99, (2, 5, 4)), torch.randint(1, 99, (2, 3))
    model = MemN2N(lambda shares, values: torch.bmm(shares[:, None], values)[:, 0])
    cache = captured(model, (stories, question))
    [(label, members)] = hop_groups(cache.records)
    assert label == "(model) reads" and [cache.records[index].item for index in members] == ["", "1", "2"]


def test_generated_text_is_no_row_of_reads() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=20, n_positions=32, n_embd=8, n_layer=3, n_head=2)
    model = transformers.GPT2LMHeadModel(config).eval()
    options = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    cache = mv.ActivationCache.capture(model, call=lambda m: m.generate(torch.tensor([[1]]), **options))
    assert sum(record.kind == "attention" and record.shape[2] == 1 for record in cache.records) >= 9
    assert hop_groups(cache.records) == []
    cache.close()
