"""Varied models, in training and in evaluation: after a capture that ends well, that fails half way, or that is
interrupted half way, the model and the process are in full what they were."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.checkpoint import checkpoint

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.errors import ForwardError

from .model_state import changes, full_state

X = torch.arange(32, dtype=torch.float32).view(8, 4) - 15.5
SEQUENCE = torch.linspace(-1, 1, 2 * 6 * 16).view(2, 6, 16)
PAD = torch.tensor([[False] * 6, [False] * 4 + [True] * 2])
IDS = torch.tensor([[1, 2, 3, 4, 5]])


class Case(NamedTuple):
    """How to build a model, its input, and the modes in which it runs."""

    build: Callable[[], nn.Module]
    x: Any = X
    modes: Callable[[], AbstractContextManager[Any]] = nullcontext
    changes_for_good: str = ""
    """Start of the places that a forward changes for good, whoever runs it."""


class Chain(nn.Sequential):
    """Passes the first tensor of each result on."""

    def forward(self, x: Any) -> Any:
        for part in self:
            x = part(x, x, x) if isinstance(part, nn.MultiheadAttention) else part(x)
            x = x[0] if isinstance(x, tuple) else x
        return x


class Checkpoints(Chain):
    """Recomputes its parts in backward, and runs one inside."""

    def forward(self, x: Tensor) -> Any:
        out = checkpoint(super().forward, x, use_reentrant=False)
        out.sum().backward()
        return out


class Tied(nn.Module):
    """One weight under two names, and one module under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.again = self.first

    def forward(self, x: Tensor) -> Any:
        return self.again(self.second(self.first(x)))


class Remembers(nn.Module):
    """State in every place that a module may have."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: Tensor
        self.register_buffer("memory", torch.zeros(4))
        self.register_buffer("scratch", torch.ones(4), persistent=False)
        self.linear, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False)
        self.state, self.steps = torch.zeros(4), 0
        self.past: list[Tensor] = []
        self.seen: set[int] = set()
        self.table: dict[str, Any] = {"first": self.state}

    def forward(self, x: Tensor) -> Any:
        self.memory += x.mean(0).detach()
        self.scratch = self.memory * 2
        self.state = self.state + 1
        self.steps += 1
        self.past.append(x)
        self.table["first"] += 1
        self.table["second"] = x
        self.seen.add(self.steps)
        self.extra = x
        self.eval()
        self.linear.weight.requires_grad_(False)
        return self.linear(self.norm(x)) + self.state


class RemembersDeeply(nn.Linear):
    """State in containers inside containers."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.log: dict[str, list[float]] = {"mean": []}
        self.past: list[tuple[Tensor, dict[str, Tensor]]] = [(torch.zeros(4), {"max": torch.zeros(4)})]

    def forward(self, x: Tensor) -> Any:
        self.log["mean"].append(x.mean().item())
        self.past[0][0].add_(1)
        self.past[0][1]["max"].add_(1)
        self.past[0][1]["new"] = x
        return super().forward(x)


def with_hooks_of_the_user() -> nn.Module:
    """Hooks of every sort, one of which changes the output."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Linear(4, 4))
    model[0].register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    model[0].register_forward_hook(lambda module, args, kwargs, output: output + 1, with_kwargs=True, always_call=True)
    model[1].register_full_backward_hook(lambda module, grad_in, grad_out: None)
    model[2].register_forward_hook(lambda module, args, output: None, prepend=True)
    model[2].register_state_dict_pre_hook(lambda module, prefix, keep: None)
    model.get_parameter("2.weight").register_hook(lambda grad: grad * 2)
    return model


def with_grads(model: nn.Module) -> nn.Module:
    """The model after a backward, so that there are grads to keep."""
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    return model


def bert() -> nn.Module:
    from transformers import BertConfig, BertModel

    return BertModel(
        BertConfig(num_hidden_layers=2, hidden_size=16, num_attention_heads=2, intermediate_size=8, vocab_size=9)
    )


def gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=16, n_head=2, vocab_size=9, n_positions=8))


def llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes: dict[str, Any] = {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 8, "vocab_size": 9}
    return LlamaForCausalLM(LlamaConfig(num_attention_heads=4, num_key_value_heads=2, **sizes)).eval()


def attention() -> nn.Module:
    return Chain(nn.Linear(16, 16), nn.MultiheadAttention(16, 4, batch_first=True), nn.LayerNorm(16)).eval()


def encoder() -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2).eval()


def compiled() -> Any:
    model: Any = torch.compile(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), backend="eager")
    model(X)
    return model


bfloat16 = partial(torch.autocast, "cpu", torch.bfloat16)

CASES = {
    "batchnorm": Case(lambda: with_grads(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True)))),
    "dropout": Case(lambda: nn.Sequential(nn.Dropout(), nn.Linear(4, 4), nn.Dropout(inplace=True), nn.RReLU())),
    "lstm": Case(lambda: Chain(nn.Linear(4, 4), nn.LSTM(4, 4, 2, dropout=0.5), nn.Linear(4, 2)), X.view(4, 2, 4)),
    "attention": Case(attention, SEQUENCE, torch.no_grad),
    "encoder with padding": Case(encoder, {"src": SEQUENCE, "src_key_padding_mask": PAD}, torch.no_grad),
    "bert in training": Case(lambda: with_grads(bert()), {"input_ids": IDS, "output_attentions": True}, bfloat16),
    "gpt2": Case(gpt2, {"input_ids": IDS, "labels": IDS, "output_hidden_states": True}),
    "llama": Case(llama, {"input_ids": IDS}, torch.inference_mode),
    "spectral norm": Case(lambda: nn.Sequential(spectral_norm(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 4))),
    # The weights are written and put back; their version counts on.
    "max norm": Case(
        lambda: nn.Sequential(nn.Embedding(9, 4, max_norm=0.1), nn.Tanh(), nn.Linear(4, 4)),
        IDS,
        changes_for_good="0._parameters.weight version",
    ),
    "tied": Case(lambda: with_grads(Tied())),
    "checkpointed": Case(lambda: with_grads(Checkpoints(nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 4)))),
    "lazy": Case(lambda: nn.Sequential(nn.Linear(4, 4), nn.LazyLinear(2), nn.BatchNorm1d(2)), changes_for_good="1"),
    "hooks of the user": Case(with_hooks_of_the_user),
    "state everywhere": Case(lambda: nn.Sequential(Remembers(), nn.Tanh(), nn.BatchNorm1d(4))),
    "state in deep containers": Case(lambda: nn.Sequential(RemembersDeeply(), nn.Tanh(), nn.Linear(4, 4))),
    "compiled": Case(compiled),
}
ENDINGS: list[BaseException | None] = [None, ZeroDivisionError("half way"), KeyboardInterrupt()]
endings = pytest.mark.parametrize("ending", ENDINGS, ids=["ends", "fails", "is interrupted"])


def run_plainly(case: Case, model: nn.Module) -> None:
    args, kwargs = ((), case.x) if isinstance(case.x, dict) else ((case.x,), {})
    model(*args, **kwargs)


def trip_half_way(case: Case, model: nn.Module, error: BaseException) -> None:
    """Make the module in the middle of a forward raise, by a hook that is the model's own from then on."""
    started: list[nn.Module] = []
    twin = case.build()
    for part, own in zip(twin.modules(), model.modules(), strict=True):
        part.register_forward_pre_hook(lambda module, args, own=own: started.append(own))
    with case.modes():
        run_plainly(case, twin)

    def trip(module: nn.Module, args: object) -> None:
        raise error

    started[len(started) // 2].register_forward_pre_hook(trip)


def ready(name: str, ending: BaseException | None) -> tuple[Case, nn.Module]:
    """A model that will end so."""
    case = CASES[name]
    model = case.build()
    if ending is not None:
        trip_half_way(case, model, ending)
    return case, model


def raised(act: Callable[[], object]) -> BaseException | None:
    """What a function raises, if it is one of the endings."""
    try:
        act()
    except (ForwardError, ZeroDivisionError, KeyboardInterrupt) as error:
        return error
    return None


@endings
@pytest.mark.parametrize("budget", ["1 GiB", 0], ids=["held", "on demand"])
@pytest.mark.parametrize("name", CASES)
def test_capture_leaves_everything_as_it_was(name: str, budget: object, ending: BaseException | None) -> None:
    case, model = ready(name, ending)
    caches: list[ActivationCache] = []
    with case.modes():
        before = full_state(model)
        error = raised(lambda: caches.append(ActivationCache.capture(model, case.x, budget=budget)))
        changed = changes(before, full_state(model))
    for_good = case.changes_for_good
    assert [place for place in changed if not for_good or not place.startswith(for_good)] == []
    assert ending in (error, getattr(error, "__cause__", None))
    cache = caches[0] if caches else getattr(error, "cache", None)
    assert cache is not None and ("" in cache) == (ending is None)
    assert not [text for text in cache.remarks if "put back" in text or "not undone" in text]


@endings
@pytest.mark.parametrize("name", CASES)
def test_recording_changes_what_the_loop_changes(name: str, ending: BaseException | None) -> None:
    """What the user's own forward changed is theirs: the same places as without a recording, and no other."""

    def changed_by(recorded: bool) -> list[str]:
        case, model = ready(name, ending)
        recording = mv.record(model)
        with case.modes():
            before = full_state(model)
            with recording if recorded else nullcontext():
                assert raised(lambda: run_plainly(case, model)) is ending
            assert not recorded or ("" in recording) == (ending is None)
            return changes(before, full_state(model))

    assert changed_by(recorded=True) == changed_by(recorded=False)


@pytest.mark.parametrize("name", CASES)
def test_values_on_demand_are_those_of_the_capture(name: str) -> None:
    """Every value by a replay equals the one of a capture that held it, and no replay changes anything."""
    case, model = ready(name, None)
    with case.modes():
        torch.manual_seed(1)
        whole = ActivationCache.capture(model, case.x)
        torch.manual_seed(1)
        cache = ActivationCache.capture(model, case.x, budget=0)
    outputs = [record for record in cache.records if record.kind == "output"]
    assert outputs and not any(record.kept for record in outputs)
    before = full_state(model)
    places = [(record.path, record.call, record.item) for record in outputs]
    for path, call, item in places:
        value = cache.get(path, call=call, item=item)
        assert same(value, whole.get(path, call=call, item=item)), (path, call, item)
        changed = [place for place in changes(before, full_state(model)) if place != "0._parameters.weight version"]
        assert changed == [], (path, call, item)


def same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
