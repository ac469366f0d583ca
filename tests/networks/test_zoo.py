"""The zoo: what every network reaches with the weights that come along, what training gives, and what it remembers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import memviz_widgets as mv
from memviz_widgets import zoo
from memviz_widgets.errors import MissingExtraError, UnknownOptionError
from memviz_widgets.zoo import extras, recipes
from memviz_widgets.zoo.train import main

MOST_BYTES = 2_000_000


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def drawn(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# -- the weights that come along


def test_a_file_per_network_and_all_of_them_are_small() -> None:
    files = list(zoo.WEIGHTS.iterdir())
    assert {file.stem for file in files} == set(zoo.RECIPES)
    assert sum(file.stat().st_size for file in files) < MOST_BYTES


@pytest.mark.parametrize("name", zoo.RECIPES)
def test_every_network_reaches_what_its_recipe_asks_for(name: str) -> None:
    recipe = zoo.RECIPES[name]
    assert recipe.judge(zoo.load(name)) >= recipe.enough
    assert recipe.judge(zoo.make(name)) < recipe.enough - 0.2  # untrained: the judge can tell


def test_the_turing_machine_copies_as_long_as_it_has_slots() -> None:
    machine = zoo.load("turing_machine")
    assert [recipes.copy_accuracy(machine, length) for length in (1, 4, 8, 12, 15)] == [1.0] * 5
    assert recipes.copy_accuracy(machine, 20) < 0.7  # half of the bits are right by chance


def test_the_memory_network_looks_at_the_sentence_that_has_the_answer() -> None:
    stories = zoo.tell(500, drawn())
    network = zoo.load("memory_network")
    cache = mv.ActivationCache.capture(network, (stories.sentences, stories.question))
    weights = cache.get("", "read_weights")  # (B, hops, 1, S)
    right = network(stories.sentences, stories.question).argmax(1) == stories.answer
    assert right.float().mean() > 0.99
    assert (weights[:, 0, 0].argmax(1) == stories.support).float().mean() > 0.95


def test_attention_recalls_pairs_that_an_lstm_of_the_same_training_forgets() -> None:
    task = recipes.ASSOCIATIVE
    assert recipes.recall_accuracy(zoo.load("recall_transformer"), task) > 0.999
    assert recipes.recall_accuracy(zoo.load("recall_transformer"), task.with_(pairs=8)) < 0.7  # more than it has seen


def test_the_lstm_keeps_a_symbol_for_longer_than_it_was_trained_to() -> None:
    lstm = zoo.load("recall_lstm")
    assert recipes.recall_accuracy(lstm, recipes.DELAYED.with_(delay=100)) == 1.0


def test_the_vision_transformer_looks_at_the_digit_wherever_it_lies() -> None:
    canvases, _, corners = zoo.digits_on_canvas(200, "test", drawn())
    weights = mv.ActivationCache.capture(zoo.load("vision_transformer"), canvases).attention("blocks.1.attention")
    for top, left, summary in zip(*corners.T.tolist(), weights.mean(1)[:, 0, 1:], strict=True):  # (36,)
        under = summary.view(6, 6)[top // 4 : (top + 11) // 4, left // 4 : (left + 11) // 4]
        assert under.sum() > 0.4, (top, left)
    uniform = mv.ActivationCache.capture(zoo.make("vision_transformer"), canvases).attention("blocks.1.attention")
    assert uniform[:, :, 0, 1:].amax() < 0.1  # before training it looks everywhere


def test_digits_lie_within_the_canvas_and_noise_is_dark() -> None:
    canvases, digits, corners = zoo.digits_on_canvas(300, "test", drawn())
    assert canvases.shape == (300, 1, 24, 24) and set(digits.tolist()) == set(range(10))
    assert [int(corners.min()), int(corners.max())] == [0, 16]
    for canvas, (top, left) in zip(canvases, corners.tolist(), strict=True):
        canvas[:, top : top + 8, left : left + 8] = 0
    assert 0.2 < canvases.max() <= 0.25


def test_hopfield_completes_half_a_pattern() -> None:
    patterns = torch.randn(30, 64, generator=drawn()).sign()
    half = torch.where(torch.arange(64) < 32, patterns, 0.0)
    assert torch.equal(zoo.HopfieldMemory(patterns)(half), patterns)
    blended = zoo.HopfieldMemory(patterns, beta=0.001)(half)
    assert torch.allclose(blended, patterns.mean(0).expand(30, -1), atol=0.05)


# -- what is recorded of them


def test_parts_of_the_memories_are_found() -> None:
    symbols, _ = zoo.copy_batch(2, 3, recipes.BITS, drawn())
    machine = mv.ActivationCache.capture(zoo.load("turing_machine"), symbols)
    kinds = {record.kind for record in machine.memories()["memory"]}
    assert kinds == {"memory", "read_weights", "write_weights", "erase", "add", "read"}
    computer = mv.ActivationCache.capture(zoo.load("differentiable_computer"), symbols)
    assert set(computer.memories()) == {"controller", "memory"}  # the read modes are no memory of their own
    assert {"link", "usage", "precedence", "gate.free"} <= {each.kind for each in computer.memories()["memory"]}
    pictures, asked, _ = recipes.several_digits(2, 3, "test", drawn())
    digits = mv.ActivationCache.capture(zoo.load("digit_memory"), (pictures, asked))
    assert set(digits.memories()) == {"memory l0"}
    assert any(record.kind == "attention" for record in digits.records)
    queries = torch.randn(2, 8, generator=drawn())
    hopfield = mv.ActivationCache.capture(zoo.HopfieldMemory(torch.randn(5, 8, generator=drawn())), queries)
    assert [record.shape for record in hopfield.memories()["(model) reads"]] == [(2, 3, 1, 5)]


def test_what_the_slots_hold_is_what_was_written() -> None:
    symbols, _ = zoo.copy_batch(2, 6, recipes.BITS, drawn())
    for name in ("turing_machine", "differentiable_computer"):
        cache = mv.ActivationCache.capture(zoo.load(name), symbols)
        parts = {record.kind: cache.get(record.path, record.kind) for record in cache.memories()["memory"]}
        keep, write, content = mv.analysis.memory.keep_and_write(parts, "slots")
        for before, after in itertools.pairwise(range(content.shape[1])):
            expected = keep[:, after] * content[:, before] + write[:, after]
            assert torch.allclose(content[:, after], expected, atol=1e-6), (name, after)


# -- training them again


@pytest.mark.parametrize("name", ["recall_lstm", "recall_transformer", "memory_network", "turing_machine"])
def test_training_gives_a_network_that_is_as_good(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with torch.enable_grad():
        assert main([name, "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    model = zoo.make(name)
    model.load_state_dict(extras.needed("safetensors.torch", "safetensors").load_file(tmp_path / f"{name}.safetensors"))
    assert zoo.RECIPES[name].judge(model.eval()) >= zoo.RECIPES[name].enough


def test_a_seed_that_does_not_learn_is_given_up_for_the_next() -> None:
    never = recipes.Recipe(zoo.DigitsCNN, lambda model, _: next(model.parameters()).sum(), 2, 0.1, lambda _: 0.0, 0.5)
    tried: list[int] = []
    with torch.enable_grad(), pytest.raises(RuntimeError, match=r"none of the seeds 3 \.\. 10"):
        tried.extend(progress.seed for _, progress in zoo.fit(never, 3))
    assert tried == list(range(3, 11))


def test_training_ends_when_enough_is_reached_but_not_before_its_least_steps() -> None:
    recipe = recipes.Recipe(
        zoo.DigitsCNN, lambda model, _: next(model.parameters()).sum(), 8, 0.1, lambda _: 1.0, 0.5, every=2, least=4
    )
    with torch.enable_grad():
        assert [progress.step for _, progress in zoo.fit(recipe)] == [2, 4]


def test_training_leaves_the_callers_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with torch.enable_grad():
        next(zoo.fit(zoo.RECIPES["recall_lstm"]))
    assert torch.equal(torch.rand(1), expected)


# -- errors


def test_a_name_that_is_not_there_gets_the_nearest() -> None:
    with pytest.raises(UnknownOptionError, match=r"no network 'turing'.*There are digits_cnn"):
        zoo.load("turing")


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"needs nothing.*memviz_widgets\[notebooks\]"):
        extras.needed("no_such_module_at_all", "nothing")
