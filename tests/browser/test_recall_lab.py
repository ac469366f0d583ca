"""RecallLab in a real notebook: it runs beside other cells, stops, and a point with wrong answers opens its run."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from .jupyter_lab import Notebook

TRAINED_CELL = """from memviz_widgets import zoo
from memviz_widgets.analysis.recall import AssociativeRecall, DelayedRecall
torch.manual_seed(0)
task = AssociativeRecall(pairs=4, symbols=16)
lstm = zoo.RecallLSTM(task.vocabulary, task.answers)
models = {"attention": zoo.load("recall_transformer"), "lstm": lstm}
lab = mv.RecallLab(models, task, sweep={"pairs": [2, 4, 8], "gap": [0, 5]}, n=64)
lab"""
SLOW_CELL = """import time
from memviz_widgets.analysis.recall import DelayedRecall
class Slow(torch.nn.Module):
    def forward(self, symbols):
        time.sleep(0.1)
        return torch.nn.functional.one_hot(symbols[:, :1].expand_as(symbols), 10).float()
lab = mv.RecallLab(Slow(), DelayedRecall(), sweep={"delay": list(range(60))}, n=8, chunk=4)
lab"""
STATE = ".memviz-recall-controls[data-state={}]"


def test_it_measures_and_opens_the_runs_that_failed(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(TRAINED_CELL, picture=False)
    page = notebook.page
    button = page.locator(".memviz-recall-button")
    expect(button).to_have_text("Run", timeout=60_000)
    button.click()
    expect(page.locator(STATE.format("done"))).to_be_visible(timeout=30_000)
    cells = page.locator(".memviz-recall-cell")
    expect(cells.nth(1)).to_have_text("100 %")  # attention recalls the four pairs that it was trained on
    expect(page.locator(".memviz-recall-table tbody tr").nth(1)).to_contain_text("64 numbers, 256 B")
    dots = page.locator(".memviz-recall-figure .object_grp")
    expect(dots).to_have_count(7)  # three per model, and the ring

    dots.nth(5).hover()  # the ring is first, then those of attention
    expect(page.locator(".memviz-recall-readout")).to_contain_text("lstm at pairs 4:")
    dots.nth(5).click()
    expect(page.locator(".memviz-recall-heading")).to_contain_text("lstm at pairs 4, sequence", timeout=20_000)
    notebook.wait_ready()
    expect(page.locator(".memviz-memory-picture")).to_be_visible()
    shown, at = notebook.evaluate("[lab.curves.failure['asked'], lab.explorer.selection.time]")
    assert shown == at
    expect(page.locator("[data-part=asked]")).to_have_attribute("title", f"step {shown}: the answer is asked here")
    expect(page.locator(".memviz-recall-verdict strong")).not_to_have_text("not known")

    cells.nth(2).focus()  # attention at pairs 8, by the keyboard
    page.keyboard.press("Enter")
    expect(page.locator(".memviz-recall-heading")).to_contain_text("attention at pairs 8", timeout=20_000)
    expect(page.locator(".memviz-memory-picture")).to_have_count(0)
    expect(page.locator(".memviz-head-grid, .memviz-heads").first).to_be_visible()
    notebook.execute("lab.close()")
    expect(page.locator(".memviz-recall")).to_have_count(0)


def test_it_stops_and_other_cells_run_meanwhile(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(SLOW_CELL, picture=False, width=600)
    page = notebook.page
    button = page.locator(".memviz-recall-button")
    expect(button).to_have_text("Run", timeout=60_000)
    button.click()
    expect(page.locator(".memviz-recall-cell[data-state=right]").nth(1)).to_be_visible(timeout=30_000)
    assert notebook.evaluate("[lab.running, 6 * 7]") == [True, 42]  # all points take 12 s
    button.click()
    expect(page.locator(STATE.format("stopped"))).to_be_visible(timeout=5_000)
    expect(button).to_have_text("Continue")
    done = notebook.evaluate("lab.controls.done")
    assert 2 <= done < 60
    button.click()
    expect(page.locator(".memviz-recall-cell[data-state=right]").nth(done + 1)).to_be_attached(timeout=30_000)
    notebook.execute("lab.close()")
    expect(page.locator(".memviz-recall-controls")).to_have_count(0)
