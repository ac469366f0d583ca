"""Pictures of the explorer on trained networks, light and dark, narrow and wide: what a reviewer has to look at.

Run: ``make screenshots`` (or ``python -m tests.screenshots FOLDER [NAME ...]``). Writes one PNG per network, theme and
width; the README shows some of them, which ``make screenshots`` copies to docs/.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from .browser.conftest import SETUP
from .browser.jupyter_lab import Notebook, chromium, lab_server

SHOWN = {
    "onet": """from tests.real_models import onet
model, x = onet()
explorer = mv.ActivationExplorer(model, x[:8])
explorer.selection.layer = "prelu1"
explorer.selection.channel = 20
explorer""",
    "g2p": """from tests.real_models import g2p
model, ids = g2p()
explorer = mv.ActivationExplorer(model, ids)
explorer.selection.layer = "enc[0]"
explorer.selection.channel = 40
explorer.selection.time = 6
explorer""",
    "on_demand": """from tests.real_models import minilm
model, inputs = minilm()
with torch.no_grad():
    explorer = mv.ActivationExplorer(model, inputs, budget="300 KiB")
explorer.selection.layer = "encoder.layer.2.attention.self attention"
explorer.selection.head = 5
explorer""",
    "attention": """from tests.real_models import minilm, minilm_tokens
model, inputs = minilm()
with torch.no_grad():
    explorer = mv.AttentionExplorer(model, inputs, tokens=minilm_tokens())
explorer.selection.head = 5
explorer.selection.query = 4
explorer""",
    "patches": """from tests.real_models import vit
model, picture = vit(96, 16)
with torch.no_grad():
    explorer = mv.AttentionExplorer(model, {"pixel_values": picture}, image=picture[0])
explorer.choice.kind = "row"
explorer.selection.query = 9
explorer""",
    "memory": """from tests.real_models import g2p
model, ids = g2p()
with torch.no_grad():
    explorer = mv.MemoryExplorer(model, ids, tokens=[*"activation", "</s>"])
explorer.choice.order = "timescale"
explorer.selection.channel = 40
explorer.selection.time = 6
explorer""",
    "writers": """torch.manual_seed(0)
words = "the cat that the dog chased ran away and hid under the bed".split()
with torch.no_grad():
    explorer = mv.MemoryExplorer(torch.nn.LSTM(8, 24, batch_first=True), torch.randn(1, len(words), 8), tokens=words)
explorer.choice.map = "wrote"
explorer.selection.time = 9
explorer""",
    "slots": """from tests.conformance.slot_models import NTM
torch.manual_seed(0)
model, x = NTM("rw"), torch.randn(2, 20, 4)
model.memory.reset(2)
with torch.no_grad(), mv.record(model) as cache:
    for step in x.unbind(1):
        model(step)
explorer = mv.MemoryExplorer(cache)
explorer.choice.map = "cursor"
explorer.selection.time = 12
explorer""",
    "kv": """from transformers import LlamaConfig, LlamaForCausalLM
torch.manual_seed(0)
size = dict(vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
model = LlamaForCausalLM(LlamaConfig(**size, num_key_value_heads=2)).eval()
ids = torch.randint(1, 48, (1, 6))
with mv.record(model, tokens=[f"w{k}" for k in range(20)]) as cache:
    model.generate(ids, max_new_tokens=14, min_new_tokens=14, do_sample=False, pad_token_id=0)
explorer = mv.MemoryExplorer(cache)
explorer.choice.map = "wrote"
explorer.selection.time = 9
explorer""",
    "steps": """torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.Tanh())
with mv.record(model, budget="64 KiB") as cache:
    for step in range(4):
        model(torch.randn(1, 3, 24, 24))
    model[0](torch.randn(1, 3, 24, 24))
explorer = mv.ActivationExplorer(cache)
explorer.selection.layer = "1"
explorer.selection.step = 2
explorer""",
    "recall": """from memviz_widgets import zoo
from memviz_widgets.analysis.recall import AssociativeRecall
torch.manual_seed(0)
task = AssociativeRecall(pairs=4, symbols=16)
models = {"attention": zoo.load("recall_transformer"), "lstm": zoo.RecallLSTM(task.vocabulary, task.answers)}
lab = mv.RecallLab(models, task, sweep={"pairs": [1, 2, 4, 6, 8, 12, 16], "gap": [0, 5, 10, 20]})
lab.run(progress=False)
lab.failure("lstm", 4)
lab""",
    "linear": """torch.manual_seed(0)
explorer = mv.ActivationExplorer(torch.nn.Sequential(torch.nn.Linear(16, 48), torch.nn.ReLU()), torch.randn(6, 16))
explorer.selection.layer = 1
explorer""",
    "loud": """values = torch.randn(1, 3, 20, 30)
values[0, 0, 3, 4:9] = float("nan")
values[0, 0, 8, 12] = float("inf")
values[0, 0, 12, 20] = -float("inf")
explorer = mv.ActivationExplorer(torch.nn.Identity(), values)
explorer""",
}
WIDTHS = {1400: 1900, 600: 3600}
"""Width of the page, and a height in which the highest explorer is not cut."""


def shoot(browser: Browser, address: str, root: Path, target: Path, name: str, theme: str, width: int) -> None:
    """One notebook, one picture of its explorer with a margin of the page around it."""
    page = browser.new_context(viewport={"width": width, "height": WIDTHS[width]}, device_scale_factor=1.5).new_page()
    notebook = Notebook(page, address, root)
    notebook.open(f"{name}-{theme}-{width}.ipynb", [SETUP, SHOWN[name]])
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    if theme == "dark":
        page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
    else:
        page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
        page.wait_for_selector("body[data-jp-theme-light=true]", state="attached")
    notebook.run_all()
    notebook.wait_ready()
    page.wait_for_timeout(2500)
    page.locator(".memviz-explorer").first.screenshot(path=target / f"{name}-{theme}-{width}.png")
    notebook.shut_down()
    for problem in notebook.problems:
        print(f"{name} {theme} {width}: {problem}")


def main(target: Path, names: list[str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, lab_server(Path(folder)) as address, chromium() as browser:
        for name in names or SHOWN:
            for theme in ("light", "dark"):
                for width in WIDTHS:
                    shoot(browser, address, Path(folder), target, name, theme, width)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
