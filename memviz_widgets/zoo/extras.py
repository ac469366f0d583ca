"""What the zoo needs beside torch, imported where it is used: scikit-learn for its digits, safetensors for weights."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import MissingExtraError


def needed(module: str, package: str) -> Any:
    """A module of an optional package.

    Raises:
        MissingExtraError: when it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"the zoo needs {package}, which is not installed; expected the extra notebooks. "
            'Run: pip install "memviz_widgets[notebooks]"'
        ) from error
