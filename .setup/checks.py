"""The checks of ``make test``: each is run, each can fail the run, and the end says which did.

In: a prepared .venv (prepare.py test); names of checks to run only those. Out: exit status 0 when all passed.
"""

from __future__ import annotations

import subprocess
import sys
import time

from chromium import PATH_FILE
from steps import JS, PYTHON, ROOT, environment

CHECKS = {
    "ruff-check": (PYTHON, "-m", "ruff", "check", "."),
    "ruff-format": (PYTHON, "-m", "ruff", "format", "--check", "."),
    "mypy": (PYTHON, "-m", "mypy"),
    "generated": (PYTHON, "js/generate.py", "--check"),
    "typecheck": ("npm", "--prefix", JS, "run", "typecheck"),
    "vitest": ("npm", "--prefix", JS, "test"),
    "pytest": (PYTHON, "-m", "pytest", "--durations=15"),
}


def run_check(name: str) -> int:
    """Run one check with its output shown; returns its exit status."""
    words = [str(word) for word in CHECKS[name]]
    print(f"\n==> {name}: {' '.join(words)}", flush=True)
    # One thread: with more, the small models of the tests were up to 100 times slower on a busy machine.
    extra = {"OMP_NUM_THREADS": "1", "MEMVIZ_CHROMIUM": PATH_FILE.read_text().strip()}
    started = time.monotonic()
    status = subprocess.run(words, cwd=ROOT, env=environment(extra), check=False).returncode
    verdict = "passed" if status == 0 else f"FAILED (exit status {status})"
    print(f"==> {name}: {verdict}, {time.monotonic() - started:.0f} s", flush=True)
    return status


def main(names: list[str]) -> int:
    """Run the named checks, or all; returns the exit status."""
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    failed = [name for name in names or CHECKS if run_check(name)]
    print(f"\n==> FAILED: {', '.join(failed)}" if failed else "\n==> all checks passed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
