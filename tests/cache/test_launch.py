"""Which process of which launch this is, without asking another rank."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from memviz_widgets.cache import launch
from memviz_widgets.cache.launch import launch_token, part_of, process_group


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A process group of three, of which this is rank 1."""
    made = SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: True, get_world_size=lambda: 3, get_rank=lambda: 1
    )
    monkeypatch.setitem(sys.modules, "torch.distributed", made)
    for name in launch._FROM_LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launch, "_DRAWN", launch._Drawn())
    return made


def test_one_process_is_no_part() -> None:
    assert process_group() is None and part_of() is None


def test_a_group_of_one_is_no_part(group: SimpleNamespace) -> None:
    group.get_world_size = lambda: 1
    assert process_group() is None and part_of() is None


def test_a_rank_of_a_group(group: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_drawn", lambda: "drawn")
    part = part_of()
    assert part is not None and (part.rank, part.world_size, part.launch) == (1, 3, "drawn")


def test_the_next_launch_has_another_token(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = set()
    for restart in ("0", "1"):
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", restart)
        tokens |= {launch_token(), launch_token()}
    assert len(tokens) == 2


def test_the_token_outlives_the_host_of_the_store(group: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_drawn", lambda: "drawn")
    monkeypatch.setattr(launch, "_default_group", lambda: None)
    launch_token()
    monkeypatch.setattr(launch, "_drawn", lambda: "")
    assert launch_token() == "drawn"


def test_a_process_group_is_asked_once(group: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next group of the same process is another launch; a store that could not be reached is asked again."""
    asked: list[str] = []
    answers = iter(("", "first", "second"))

    def drawn() -> str:
        asked.append(next(answers))
        return asked[-1]

    class Group:
        pass

    one, other = Group(), Group()
    monkeypatch.setattr(launch, "_drawn", drawn)
    monkeypatch.setattr(launch, "_default_group", lambda: one)
    assert [launch_token() for _ in range(4)] == ["", "first", "first", "first"]
    monkeypatch.setattr(launch, "_default_group", lambda: other)
    assert [launch_token() for _ in range(3)] == ["second"] * 3
    assert asked == ["", "first", "second"]
