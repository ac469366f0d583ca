"""``python -m memviz_widgets.zoo.train NAME``: make the weights of a network again.

In: names of networks, or "all". Out: a file NAME.safetensors each, in the folder that ``--out`` names.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm.auto import tqdm

from .extras import needed
from .recipes import RECIPES, fit


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is named; the exit status is 1 when a network did not learn."""
    parser = argparse.ArgumentParser(prog="python -m memviz_widgets.zoo.train", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*RECIPES, "all"], metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the files (default: here)")
    parser.add_argument("--seed", type=int, default=0, help="first seed that is tried (default: 0)")
    options = parser.parse_args(arguments)
    names = list(RECIPES) if "all" in options.names else options.names
    torch.set_num_threads(1)  # small networks: more threads are slower, and sum in another order
    failed = [name for name in names if not _trained(name, options.seed, options.out)]
    return 1 if failed else 0


def _trained(name: str, seed: int, folder: Path) -> bool:
    """Train one network with a bar, and write its weights."""
    save_file = needed("safetensors.torch", "safetensors").save_file
    recipe = RECIPES[name]
    model = recipe.make()
    with tqdm(total=recipe.steps, desc=name, unit="step") as bar:
        try:
            for trained, progress in fit(recipe, seed):
                model = trained
                bar.n = progress.step
                bar.set_postfix(seed=progress.seed, loss=f"{progress.loss:.3g}", reached=f"{progress.reached:.4f}")
        except RuntimeError as error:
            sys.stderr.write(f"{name}: {error}\n")
            return False
    folder.mkdir(parents=True, exist_ok=True)
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, folder / f"{name}.safetensors")
    return True


if __name__ == "__main__":
    sys.exit(main())
