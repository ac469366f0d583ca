"""Discovery: what it proposes for memories that no adapter knows, and what it must not propose."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import memviz_widgets as mv
from memviz_widgets.capture.memory import register_memory, unregister_memory
from memviz_widgets.capture.memory_candidates import Candidate, memory_candidates, proposal_text
from memviz_widgets.errors import DimsError, ForwardError, InputError

from ..conformance.model_state import unchanged

SLOTS, WIDTH, HIDDEN = 5, 3, 4
STEPS = torch.randn(6, 2, HIDDEN, generator=torch.Generator().manual_seed(1))


class Slots(nn.Module):
    """A memory that is never called: others read and write its plain attribute."""

    at_first: Tensor
    content: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("at_first", torch.full((SLOTS, WIDTH), 0.1))

    def reset(self, batch: int) -> None:
        self.content = self.at_first.expand(batch, SLOTS, WIDTH).clone()


class Head(nn.Module):
    """Addresses by content and place, erases and adds; returns its weights, which it gets back as ``before``."""

    def __init__(self, slots: Slots) -> None:
        super().__init__()
        self.slots = slots
        self.project = nn.Linear(HIDDEN, SLOTS + WIDTH)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        logits, write = self.project(x).split([SLOTS, WIDTH], -1)
        weights = (logits + before).softmax(-1)
        self.slots.content = self.slots.content * (1 - 0.5 * weights[..., None]) + weights[..., None] * write[:, None]
        return weights


class Turing(nn.Module):
    """A controller, a head and slots; one call is one step of a loop that the user writes."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots()
        self.control = nn.Linear(HIDDEN, HIDDEN)
        self.head = Head(self.slots)

    def forward(self, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.head(self.control(x), weights)
        return (weights[..., None] * self.slots.content).sum(1), weights


def run_turing(model: Any) -> None:
    model.slots.reset(2)
    weights = torch.zeros(2, SLOTS)
    for x in STEPS:
        _, weights = model(x, weights)


class Controlled(nn.Module):
    """The whole loop in one forward: the memory is read at the calls of the parts that the loop makes."""

    def __init__(self) -> None:
        super().__init__()
        self.turing = Turing()

    def forward(self, sequence: Tensor) -> None:
        run_turing(self.turing)


class Differentiable(nn.Module):
    """A memory as dnc has it: one dict of state, which is changed in place and returned."""

    def __init__(self) -> None:
        super().__init__()
        self.write = nn.Linear(HIDDEN, SLOTS + WIDTH)

    def forward(self, x: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        logits, write = self.write(x).split([SLOTS, WIDTH], -1)
        weights = logits.softmax(-1)
        state["memory"] = 0.9 * state["memory"] + weights[..., None] * write[:, None]
        link = (1 - weights[:, :, None] - weights[:, None]) * state["link"] + weights[:, :, None] * state["last"][
            :, None
        ]
        state["link"] = link.clamp(min=0)
        state["last"] = weights
        return state["memory"].sum(1), state


class Looped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.memory = Differentiable()

    def forward(self, sequence: Tensor) -> Tensor:
        zeros = {"memory": (SLOTS, WIDTH), "link": (SLOTS, SLOTS), "last": (SLOTS,)}
        state = {name: torch.zeros(2, *shape) for name, shape in zeros.items()}
        read = sequence[0]
        for x in sequence:
            read, state = self.memory(x, state)
        return read


class Own(nn.Module):
    """A user's own recurrent module: its state is an attribute. With everything that must be set aside."""

    position: Tensor
    running_scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * HIDDEN, HIDDEN)
        self.state = torch.zeros(2, HIDDEN)
        self.before = torch.zeros(2, HIDDEN)
        self.window = torch.zeros(2, SLOTS, HIDDEN)
        self.register_buffer("position", torch.zeros(2, 1))
        self.register_buffer("running_scale", torch.ones(HIDDEN))
        self.recent: deque[float] = deque(maxlen=3)

    def forward(self, x: Tensor) -> Tensor:
        self.before = self.state
        self.state = self.mix(torch.cat([x, self.state], -1)).tanh()
        self.window = torch.cat([self.window[:, 1:], x[:, None]], 1)
        self.position = self.position + 1
        self.running_scale = 0.9 * self.running_scale + 0.1 * x.detach().std(0)
        return self.state


def run_own(model: Any) -> None:
    for x in STEPS:
        model(x)


def found(candidates: list[Candidate]) -> dict[str, str]:
    return {".".join(filter(None, (each.path, each.name))): each.looks_like for each in candidates}


def test_the_memory_of_a_module_that_is_never_called_is_found() -> None:
    candidates = memory_candidates(Turing(), call=run_turing)
    assert found(candidates) == {"slots.content": "slots", "head.output": "weights over slots"}
    assert candidates[0].shape == (2, SLOTS, WIDTH)


def test_it_is_found_also_when_the_loop_is_in_the_forward() -> None:
    names = found(memory_candidates(Controlled(), STEPS))
    assert names == {"turing.slots.content": "slots", "turing.head.output": "weights over slots"}


def test_each_tensor_of_a_dict_of_state_is_found() -> None:
    assert found(memory_candidates(Looped(), STEPS)) == {
        "memory.output.1.memory": "slots",
        "memory.output.1.last": "weights over slots",
        "memory.output.1.link": "link",
    }


def test_of_a_module_of_ones_own_only_its_state_is_proposed() -> None:
    assert found(memory_candidates(Own(), call=run_own)) == {"state": "vector"}


class Shared(nn.Module):
    """One layer used again and again, as in ALBERT: a deep network, no memory."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(HIDDEN, 2, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(4):
            x = self.layer(x)
        return x


class Convolutions(nn.Sequential):
    def __init__(self) -> None:
        # The vectors of the spectral norm change in each call of a training forward, as the norm's statistics do.
        layers = [spectral_norm(nn.Conv2d(3, 3, 3, padding=1)), nn.BatchNorm2d(3), nn.ReLU()]
        super().__init__(*layers, *layers, *layers, *layers)


class Encoder(nn.TransformerEncoder):
    def __init__(self) -> None:
        super().__init__(nn.TransformerEncoderLayer(HIDDEN, 2, 8, batch_first=True), 4)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (Convolutions(), torch.randn(2, 3, 6, 6)),
        (Encoder(), torch.randn(2, 5, HIDDEN)),
        (Shared(), torch.randn(2, 5, 4)),
    ],
    ids=["convolutions", "transformer", "shared layer"],
)
def test_networks_without_memory_give_no_proposal(model: nn.Module, x: Tensor) -> None:
    assert memory_candidates(model.train(), x) == []
    assert memory_candidates(model.train(), call=lambda m: [m(x + step) for step in range(4)]) == []


def test_a_transformer_that_generates_gives_no_proposal() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    config = transformers.LlamaConfig(**sizes, num_attention_heads=4, max_position_embeddings=32)
    model, cache = transformers.LlamaModel(config).eval(), transformers.StaticCache(config=config, max_cache_len=16)
    ids = torch.randint(50, (2, 6))
    assert memory_candidates(model, call=lambda m: [m(t, past_key_values=cache) for t in ids.split(1, 1)]) == []


def test_the_reason_says_what_was_seen() -> None:
    slots, weights = memory_candidates(Turing(), call=run_turing)
    assert slots.reason == "5 x 3 numbers for each of 2 samples; 5 of 5 calls of '(model)' changed it."
    assert weights.reason == (
        "numbers from 0 to 1 whose sum along the last axis is at most 1; "
        "5 of 5 calls of 'head' changed it, and 5 were given what the call before returned."
    )


def test_the_proposal_is_a_text() -> None:
    text = proposal_text(memory_candidates(Turing(), call=run_turing)).splitlines()
    assert text[0] == "2 tensors look like memories:"
    assert text[1].startswith("  [0] slots.content: slots (2, 5, 3). ")
    assert text[-1] == "Pick one: mv.register_memory(mv.memory_candidates(model, x)[0].adapter())"
    assert proposal_text([]) == "No tensor of this model looks like a memory."
    assert proposal_text(memory_candidates(Own(), call=run_own)).startswith("1 tensor looks like a memory:")


def test_a_picked_candidate_is_recorded_after_each_call() -> None:
    model = Turing()
    candidates = memory_candidates(model, call=run_turing)
    adapter = candidates[0].adapter()
    register_memory(adapter)
    try:
        with torch.no_grad(), mv.record(model) as cache:
            run_turing(model)
    finally:
        unregister_memory(adapter)
    content = cache.get("slots", kind="memory")
    assert content.shape == (2, len(STEPS), SLOTS, WIDTH)
    assert torch.equal(content[:, -1], model.slots.content)
    assert not torch.equal(content[:, 0], content[:, 1])


def test_several_candidates_are_recorded_by_one_adapter() -> None:
    model = Looped()
    picked = {each.name: each for each in memory_candidates(model, STEPS)}
    adapter = picked["output.1.memory"].adapter().also(picked["output.1.last"], "write_weights", "batch slot")
    register_memory(adapter)
    try:
        with torch.no_grad():
            cache = mv.ActivationCache.capture(model, STEPS)
            read = model(STEPS)
    finally:
        unregister_memory(adapter)
    assert torch.allclose(cache.get("memory", kind="memory")[:, -1].sum(1), read)
    assert cache.get("memory", kind="write_weights").shape == (2, len(STEPS), SLOTS)


def test_dims_must_fit_the_tensor() -> None:
    candidate = memory_candidates(Turing(), call=run_turing)[0]
    with pytest.raises(DimsError, match=r"slots\.content: slots \(2, 5, 3\) has 3 axes, and dims gives 2 names"):
        candidate.adapter(dims="batch slot")
    with pytest.raises(DimsError, match="dims is 'a a b': a name stands twice"):
        candidate.adapter(dims="a a b")


def test_a_tensor_that_is_gone_is_recorded_as_such() -> None:
    model = Turing()
    adapter = memory_candidates(model, call=run_turing)[0].adapter()
    model.slots.content = torch.zeros(2)
    found_now = list(adapter.read(model, (), {}, None))
    assert [(each.value, each.note) for each in found_now] == [(None, "'content' is of 1 axes after this call")]


def test_the_model_comes_back_as_it_was() -> None:
    model = Own()
    with unchanged(model):
        memory_candidates(model, call=run_own)


def test_errors_say_what_happened() -> None:
    with pytest.raises(ForwardError, match="the forward raised RuntimeError"):
        memory_candidates(Own(), torch.randn(2, 99))
    with pytest.raises(InputError, match="both x and call= were given"):
        memory_candidates(Own(), STEPS, call=run_own)
