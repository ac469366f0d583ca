"""SaveMenu without a browser: names of files, what is said of them, errors, closing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import memviz_widgets as mv
from memviz_widgets.views.explorer import Explorer
from memviz_widgets.views.save_menu import SaveMenu, free_path

Make = Callable[..., mv.ActivationExplorer]


def menu_of(view: Any) -> SaveMenu:
    found = next(
        child for row in view.children for child in getattr(row, "children", ()) if isinstance(child, SaveMenu)
    )
    assert isinstance(found, SaveMenu)
    return found


def ask(menu: SaveMenu, form: str) -> None:
    """What the browser's menu sends."""
    menu._handle_custom_msg({"type": "save", "form": form}, [])


def test_a_picture_is_written_beside_the_notebook_and_never_over_another(
    make_explorer: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    menu = menu_of(make_explorer())
    ask(menu, "png")
    first = (tmp_path / "Sequential-activations-0.png").read_bytes()
    assert menu.said == f"saved Sequential-activations-0.png ({len(first) / 1024:.1f} KiB)"
    ask(menu, "png")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "Sequential-activations-0-2.png",
        "Sequential-activations-0.png",
    ]
    assert (tmp_path / "Sequential-activations-0.png").read_bytes() == first
    assert (menu.failed, menu.answers) == (False, 2)


def test_a_page_is_asked_of_the_view_where_it_can_make_one(
    make_explorer: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_html(view: Any, path: Path) -> Path:
        path.write_text("<!doctype html>", encoding="utf-8")
        return path

    monkeypatch.setattr(Explorer, "save_html", save_html, raising=False)
    monkeypatch.chdir(tmp_path)
    menu = menu_of(make_explorer())
    assert menu.forms == ["html", "png"]
    ask(menu, "html")
    assert (menu.said, menu.failed) == ("saved Sequential-activations.html (15 B)", False)


def test_only_what_the_view_can_make_is_offered_and_done(
    make_explorer: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Still:
        def save_stem(self, form: str) -> str:
            return "still"

        def save_png(self, path: Path) -> Path:
            raise AssertionError("asked for a page")

    monkeypatch.chdir(tmp_path)
    menu = SaveMenu(selection=make_explorer().selection)
    menu.serve(Still())
    assert menu.forms == ["png"]
    ask(menu, "html")
    assert (menu.answers, list(tmp_path.iterdir())) == (0, [])
    menu.layout.close()
    menu.close()


def test_an_error_is_said_beside_the_button(
    make_explorer: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = make_explorer()
    gone = tmp_path / "gone"
    monkeypatch.setattr("memviz_widgets.views.save_menu.free_path", lambda *place: gone / "a.png")
    menu = menu_of(explorer)
    ask(menu, "png")
    assert menu.failed and menu.answers == 1
    assert menu.said.startswith("SaveError: ") and "could not be written: No such file or directory" in menu.said


def test_closing_the_view_closes_the_menu(make_explorer: Make) -> None:
    explorer = make_explorer()
    menu = menu_of(explorer)
    explorer.close()
    ask(menu, "png")
    assert menu.answers == 0 and menu.comm is None


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("Net-layer1.0.conv1", "Net-layer1.0.conv1.png"),
        ("../../etc/passwd", "etc-passwd.png"),
        ("enc l0 <b>\u4e2d", "enc-l0-b.png"),
        ("", "view.png"),
        ("x" * 300, f"{'x' * 80}.png"),
    ],
)
def test_a_name_is_safe_whatever_the_model_is_called(tmp_path: Path, stem: str, name: str) -> None:
    assert free_path(tmp_path, stem, "png") == tmp_path / name


def test_a_dangling_link_counts_as_taken(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "nowhere")
    assert free_path(tmp_path, "a", "png") == tmp_path / "a-2.png"
