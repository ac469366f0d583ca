"""mv.timelapse: checkpoints become steps, and the model comes back bit for bit."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.cache import checkpoints as timelapsing
from memviz_widgets.capture.progress import Progress
from memviz_widgets.errors import CheckpointError, ForwardError, ModelError, RecordingError

X = torch.linspace(-1, 1, 6).view(2, 3)


class Network(nn.Module):
    """A layer with a buffer that its forward writes to, and one that is in no state_dict."""

    scratch: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("scratch", torch.tensor([float("nan"), 1.0]), persistent=False)
        self.error: BaseException | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.error is not None:
            raise self.error
        out: Tensor = self.norm(self.first(x))
        return out


@pytest.fixture
def model() -> Iterator[Network]:
    """A network that must come back bit for bit, with the same version counters."""
    torch.manual_seed(0)
    made = Network()
    tensors = [*made.parameters(), *made.buffers()]
    before = [(tensor, tensor.clone(), tensor._version, tensor.data_ptr()) for tensor in tensors]
    yield made
    for tensor, value, version, place in before:
        assert torch.equal(
            tensor.view(torch.uint8) if tensor.dim() else tensor, value.view(torch.uint8) if value.dim() else value
        )
        assert (tensor._version, tensor.data_ptr()) == (version, place)
    assert made.training


def states(count: int) -> list[dict[str, Tensor]]:
    """Different weights of the network."""
    found = []
    for seed in range(count):
        torch.manual_seed(10 + seed)
        found.append(copy.deepcopy(Network().state_dict()))
    return found


def output_of(state: dict[str, Tensor]) -> Tensor:
    other = Network()
    other.load_state_dict(state)
    with torch.no_grad():
        out: Tensor = other(X)
    return out


def test_each_checkpoint_is_a_step_with_its_weights(model: Network) -> None:
    given = states(3)
    cache = mv.timelapse(model, given, X)
    assert cache.step_labels == ("0", "1", "2")
    assert all(torch.equal(cache.get("", step=step), output_of(given[step])) for step in range(3))


def test_keys_of_a_mapping_and_labels_name_the_steps(model: Network) -> None:
    given = states(2)
    assert mv.timelapse(model, {"before": given[0], 12: given[1]}, X).step_labels == ("before", "12")
    assert mv.timelapse(model, iter(given), X, labels=["a", "b"]).step_labels == ("a", "b")


def test_files_are_read_one_by_one_and_name_the_steps(model: Network, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    given = states(4)
    torch.save(given[0], tmp_path / "epoch 1.pt")
    safetensors.save_file(given[1], tmp_path / "epoch 2.safetensors")
    torch.save({"state_dict": given[2], "optimizer": {"lr": 0.1}, "epoch": 3}, tmp_path / "epoch 3.ckpt")
    torch.save({f"module.{key}": value for key, value in given[3].items()}, tmp_path / "epoch 4.pt")
    paths = sorted(tmp_path.iterdir())
    cache = mv.timelapse(model, [str(paths[0]), *paths[1:]], X)
    assert cache.step_labels == ("epoch 1", "epoch 2", "epoch 3", "epoch 4")
    assert all(torch.equal(cache.get("", step=step), output_of(given[step])) for step in range(4))


def test_files_of_one_name_are_told_apart_by_their_folders(model: Network, tmp_path: Path) -> None:
    paths = [tmp_path / folder / "model.pt" for folder in ("a", "b")]
    for path, state in zip(paths, states(2), strict=True):
        path.parent.mkdir()
        torch.save(state, path)
    assert mv.timelapse(model, paths, X).step_labels == tuple(map(str, paths))


def test_the_live_model_can_be_one_of_the_checkpoints(model: Network) -> None:
    with torch.no_grad():
        now = copy.deepcopy(model)(X)
    cache = mv.timelapse(model, {"now": model.state_dict(), "other": states(1)[0], "again": copy.deepcopy(model)}, X)
    assert torch.equal(cache.get("", step="now"), now) and torch.equal(cache.get("", step="again"), now)
    assert torch.equal(cache.get("", step="other"), output_of(states(1)[0]))


def test_checkpoints_that_are_all_the_live_model_are_refused(model: Network) -> None:
    with pytest.raises(CheckpointError, match=r"checkpoints 0, 1 are all the live model.*copy.deepcopy"):
        mv.timelapse(model, [model.state_dict() for _ in range(2)], X)
    with pytest.raises(CheckpointError, match=r"checkpoint 0 is the live model\. A state_dict shares its tensors"):
        mv.timelapse(model, (model.state_dict() for _ in range(2)), X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("first.weight"), "missing: 'first.weight'"),
        (lambda state: state.update(extra=torch.ones(1)), "unexpected: 'extra'"),
        (
            lambda state: state.update({"first.bias": torch.ones(5)}),
            r"of another shape: 'first.bias' is \(5,\) and in the model \(4,\)",
        ),
        (lambda state: state.clear(), "missing: 'first.weight', 'first.bias', 'norm.weight' and 4 more"),
    ],
)
def test_a_checkpoint_that_does_not_fit_names_itself_and_the_keys(model: Network, change: Any, message: str) -> None:
    good, bad = states(2)
    change(bad)
    with pytest.raises(CheckpointError, match=f"checkpoint 'epoch 9' does not fit this Network: {message}") as caught:
        mv.timelapse(model, {"epoch 1": good, "epoch 9": bad}, X)
    assert torch.equal(caught.value.cache.get("", step="epoch 1"), output_of(good))
    assert "Give checkpoints of this very model." in str(caught.value)


def test_a_tied_weight_may_be_in_the_file_once() -> None:
    model = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    model["b"].weight = model["a"].weight
    value = torch.arange(4.0).view(2, 2)
    cache = mv.timelapse(model, [{"a.weight": value}], call=lambda m: m["b"](torch.eye(2)))
    assert torch.equal(cache["b"], value.T)


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a checkpoint ran code",))


def test_a_file_runs_no_code_and_what_is_wrong_with_it_is_said(model: Network, tmp_path: Path) -> None:
    (tmp_path / "bomb.pt").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04")
    (tmp_path / "list.pt").write_bytes(b"")
    torch.save([1], tmp_path / "list.pt")
    for name in ("bomb", "cut"):
        with pytest.raises(
            CheckpointError, match=rf"checkpoint '{name}' \(.*{name}.pt'\) could not be read: .*not opened"
        ):
            mv.timelapse(model, [tmp_path / f"{name}.pt"], X)
    with pytest.raises(CheckpointError, match="checkpoint 'list' is a list; expected a state_dict, or the path"):
        mv.timelapse(model, [tmp_path / "list.pt"], X)
    with pytest.raises(CheckpointError, match=r"checkpoint 'none' \(.*\) is no file; expected one of torch.save"):
        mv.timelapse(model, [tmp_path / "none.pt"], X)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "there is no checkpoint; expected a list of state_dicts or paths"),
        ("run.pt", r"checkpoints is 'run.pt' \(str\); expected a list"),
        (Network(), r"checkpoints is one \(Network\); expected a list"),
        (7, r"checkpoints is one \(int\); expected a list"),
        ([7], "checkpoint '0' is a int; expected a state_dict"),
        (states(1)[0], "checkpoints is one state_dict; expected a list"),
    ],
)
def test_what_is_no_list_of_checkpoints_is_refused(model: Network, given: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        mv.timelapse(model, given, X)


def test_labels_must_be_as_many_as_checkpoints(model: Network) -> None:
    with pytest.raises(CheckpointError, match="labels= has 1 for 2 checkpoints; give as many"):
        mv.timelapse(model, states(2), X, labels=["a"])
    with pytest.raises(CheckpointError, match="labels= has 1 for 2 or more checkpoints") as caught:
        mv.timelapse(model, iter(states(2)), X, labels=["a"])
    assert caught.value.cache.step_labels == ("a",)
    with pytest.raises(CheckpointError, match="labels= was given with a mapping"):
        mv.timelapse(model, {"a": states(1)[0]}, X, labels=["b"])


def interrupted(given: list[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    yield given[0]
    raise KeyboardInterrupt


def test_an_interrupt_keeps_what_was_done(model: Network) -> None:
    with pytest.raises(KeyboardInterrupt, match=r"recorded until then are in error\.cache") as caught:
        mv.timelapse(model, interrupted(states(1)), X)
    cache = caught.value.cache  # type: ignore[attr-defined]
    assert torch.equal(cache.get("", step=0), output_of(states(1)[0]))


def test_a_forward_that_raises_leaves_the_weights_as_they_were(model: Network) -> None:
    model.error = ValueError("too warm")
    with pytest.raises(ForwardError, match="too warm") as caught:
        mv.timelapse(model, states(2), X)
    assert caught.value.cache.step_labels == ()


def test_a_graph_from_before_can_still_be_run_backward(model: Network) -> None:
    loss = model.first(X).square().sum()
    mv.timelapse(model, states(2), X)
    loss.backward()
    weight = model.first.weight
    expected = 2 * (X @ weight.T + model.first.bias).T @ X
    assert torch.allclose(weight.grad, expected)  # type: ignore[arg-type]


def test_every_step_sees_the_same_random_numbers() -> None:
    model, x = nn.Sequential(nn.Dropout(0.5)), torch.ones(1, 64)
    cache = mv.timelapse(model, [{}, {}], x)
    assert torch.equal(cache.get("", step=0), cache.get("", step=1))


def test_a_model_without_sizes_yet_is_refused() -> None:
    with pytest.raises(ModelError, match="the parameter 'weight' has no size yet; run the model once"):
        mv.timelapse(nn.LazyLinear(3), [{}], X)


def test_a_model_that_is_being_recorded_is_refused(model: Network) -> None:
    with mv.record(model), pytest.raises(RecordingError, match="this Network is being recorded already"):
        mv.timelapse(model, states(1), X)


@pytest.mark.parametrize("progress", [True, False])
def test_progress_counts_the_checkpoints(model: Network, monkeypatch: pytest.MonkeyPatch, progress: bool) -> None:
    made: list[Any] = []

    class Counted(Progress):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append((self, args, options))

    monkeypatch.setattr(timelapsing, "Progress", Counted)
    mv.timelapse(model, states(3), X, progress=progress)
    assert [(bar.done, args, options) for bar, args, options in made] == (
        [(3, (3, "time-lapse"), {"unit": "checkpoint"})] if progress else []
    )
