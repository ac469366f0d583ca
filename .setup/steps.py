"""What every set-up step shares: where things are, how a command is run, and when a step is already done.

In: commands and the files they depend on. Out: commands that ran, and one stamp file per step under .venv/stamps/.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JS = ROOT / "js"
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"


class SetUpError(RuntimeError):
    """A set-up step that failed; the text says what was got and what to do."""


def say(text: str) -> None:
    """Print one line of progress, at once also when the output is a pipe."""
    print(f"[set-up] {text}", flush=True)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a step: this one with the commands of .venv found first, and ``extra``."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": str(VENV), **(extra or {})}


def run(*command: str | Path, cwd: Path = ROOT, extra: Mapping[str, str] | None = None) -> None:
    """Run a command with its output shown.

    Raises:
        SetUpError: when it does not exist or exits with anything but 0.
    """
    words = [str(word) for word in command]
    say(" ".join(words))
    sys.stdout.flush()
    try:
        status = subprocess.run(words, cwd=cwd, env=environment(extra), check=False).returncode
    except OSError as error:
        raise SetUpError(f"cannot start {words[0]}: {error}") from error
    if status:
        raise SetUpError(f"exit status {status} of: {' '.join(words)}")


def output_of(*command: str | Path) -> str | None:
    """What a command prints on stdout, stripped; None when it cannot be started or fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, env=environment(), check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


def digest(files: Iterable[Path], *texts: str) -> str:
    """One hash over the names and contents of files, in any order, and over texts."""
    sha = hashlib.sha256()
    for path in sorted(files):
        sha.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
        sha.update(path.read_bytes())
    for text in texts:
        sha.update(f"\0{text}".encode())
    return sha.hexdigest()


def is_done(step: str, state: str) -> bool:
    """True when this step was last finished with the same ``state`` (see ``digest``)."""
    stamp = VENV / "stamps" / step
    return stamp.is_file() and stamp.read_text() == state


def mark_done(step: str, state: str) -> None:
    """Remember that this step is finished for ``state``."""
    stamp = VENV / "stamps" / step
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(state)
