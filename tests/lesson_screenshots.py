"""Pictures of every widget that the lessons show, light and dark, narrow and wide: what a reviewer has to look at.

Run: ``make screenshots`` (or ``python -m tests.lesson_screenshots FOLDER [NAME ...]``, a NAME being the begin of a
notebook's). Writes one PNG per widget, theme and width, named after notebook and cell, and says what went wrong.
Of a quiz there are two: as it is asked, and as it is answered with the first choice.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page

from .browser.jupyter_lab import CELL_WAIT_MS, Notebook, chromium, lab_server

REPO = Path(__file__).parent.parent
LESSONS = REPO / "notebooks"
LOOKS = (("light", 1400, 1700), ("dark", 600, 3800))
"""Theme, width and height of the page: a widget that is higher than the page is cut."""
RAISED = """() => [...window.jupyterapp.shell.currentWidget.content.widgets].flatMap(
  (cell, number) => (cell.model.sharedModel.outputs ?? []).filter(output => output.output_type === 'error')
    .map(output => `cell ${number} raised ${output.ename}: ${output.evalue}`))"""
"""JavaScript: a sentence per cell that raised."""
SETTLED_MS = 2500
"""Wait for the last paints, after the kernel is idle."""


def shoot(
    browser: Browser, address: str, root: Path, target: Path, lesson: Path, look: tuple[str, int, int]
) -> list[str]:
    """One lesson in one look; the pictures go to ``target``. Returns what went wrong."""
    theme, width, height = look
    name = f"{lesson.stem}-{theme}-{width}"
    shutil.copy(lesson, root / f"{name}.ipynb")
    page = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=1.5).new_page()
    notebook = Notebook(page, address, root)
    notebook.show(f"{name}.ipynb")
    _dress(page, theme)
    notebook.run_all()
    _wait_idle(page)
    for number in range(page.locator(".jp-Notebook .jp-Cell").count()):
        cell = page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{number}']")
        if not cell.count():
            continue
        cell.scroll_into_view_if_needed()
        widgets = cell.locator(".jp-OutputArea-output:has(.jupyter-widgets)")
        for which in range(widgets.count()):
            picture = target / f"{name}-cell{number:02}{f'-{which}' if which else ''}.png"
            _picture(widgets.nth(which), picture)
            if _answer(widgets.nth(which)):
                _picture(widgets.nth(which), picture.with_stem(f"{picture.stem}-answered"))
    problems = [*notebook.problems, *page.evaluate(f"() => ({RAISED})()")]
    notebook.shut_down()
    return problems


def _dress(page: Page, theme: str) -> None:
    """The theme, without the file browser."""
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    named = f"JupyterLab {theme.title()}"
    page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", named)
    page.wait_for_selector(f"body[data-jp-theme-light={str(theme == 'light').lower()}]", state="attached")


def _picture(output: Locator, path: Path) -> None:
    """A widget as it is some time after it came on the screen: figures out of sight are laid out only then."""
    output.scroll_into_view_if_needed()
    output.page.wait_for_timeout(SETTLED_MS)
    output.screenshot(path=path)


def _answer(output: Locator) -> bool:
    """Choose the first of what a quiz offers and check it; False where there is no quiz with buttons."""
    fields = output.locator(".memviz-quiz-field:has(.memviz-quiz-radio)")
    for field in fields.all():
        field.locator(".memviz-quiz-option").first.click()
    if fields.count():
        output.locator(".memviz-quiz-check").click()
    return fields.count() > 0


def _wait_idle(page: Page) -> None:
    """Until every code cell has run, or one has raised."""
    page.wait_for_function(
        f"""() => {{ const notebook = window.jupyterapp.shell.currentWidget;
        const done = [...notebook.content.widgets].every(
            cell => cell.model.type !== 'code' || cell.model.executionCount !== null);
        return (done || ({RAISED})().length) && notebook.sessionContext.session?.kernel?.status === 'idle'; }}""",
        timeout=2 * CELL_WAIT_MS,
    )


def main(target: Path, names: list[str]) -> int:
    """All lessons, or those whose stem begins with one of the names. Returns 1 when something went wrong."""
    target.mkdir(parents=True, exist_ok=True)
    lessons = [path for path in sorted(LESSONS.glob("*.ipynb")) if not names or path.stem.startswith(tuple(names))]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(REPO), os.environ.get("PYTHONPATH"))))
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, lab_server(Path(folder)) as address, chromium() as browser:
        for lesson in lessons:
            for look in LOOKS:
                for problem in shoot(browser, address, Path(folder), target, lesson, look):
                    print(f"{lesson.stem} {look[0]} {look[1]}: {problem}")
                    wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
