"""Pictured: a view that can be saved as a picture, and that stands as one where no widget can run.

In: what the view says it shows, as a Board. Out: a PNG file, or a still picture beside the widget in a mime bundle.
"""

from __future__ import annotations

import base64
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import MissingExtraError, SaveError
from ..export.picture_parts import Board

LEAST_SCALE, MOST_SCALE = 0.5, 8.0
STILL_BYTES = 150_000
"""Most bytes of the still picture: it stays in the notebook's file."""


class Pictured:
    """Mixin of views, before the widget class. A subclass says what is on its picture: see ``_board``."""

    def save_png(self, path: str | os.PathLike[str], *, scale: float = 2) -> Path:
        """Write what is on the screen as a picture, without a browser: maps with axes and colours, tables.

        The whole map is drawn, also where the screen shows a part of it enlarged. Values that are not held are computed
        or read again first, as the screen does.

        Args:
            path: Ends in ".png"; a file that is there is replaced.
            scale: Pixels per pixel of a screen of usual density, 0.5 .. 8.

        Returns:
            The path of the file.

        Raises:
            SaveError: when the path or the scale is of no use, with what to do.
            MissingExtraError: without Pillow, which the extra ``picture`` installs.
            ClosedError: after ``close()``.
        """
        target = Path(path)
        if target.suffix.lower() != ".png":
            raise SaveError(f"path={str(path)!r} does not end with '.png'; write 'picture.png'.")
        if not LEAST_SCALE <= scale <= MOST_SCALE:
            raise SaveError(f"scale={scale!r}; expected a number from {LEAST_SCALE:g} to {MOST_SCALE:g}, such as 2.")
        if find_spec("PIL") is None:
            raise MissingExtraError(
                "save_png() draws with Pillow, which is not installed: pip install 'memviz_widgets[picture]'."
            )
        from ..export.picture import png_bytes  # noqa: PLC0415  (Pillow is an extra)

        drawn = png_bytes(self._board(held_only=False), float(scale))
        try:
            target.write_bytes(drawn)
        except OSError as error:
            raise SaveError(
                f"{str(path)!r} could not be written: {error.strerror or error}. Give a path in a folder that is there."
            ) from error
        return target

    def _board(self, held_only: bool) -> Board:
        """What the view shows, as a board; ``held_only``: without reading what is not held."""
        raise NotImplementedError

    def _say_problem(self, text: str) -> None:
        """Show an error under the view."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widget; and a picture for places without widgets: nbconvert, Sphinx, GitHub."""
        bundle = super()._repr_mimebundle_(**options)  # type: ignore[misc]  # of the widget class that follows
        still, words = self._still()
        if not still or not isinstance(bundle, dict):
            return bundle
        bundle["image/png"] = base64.b64encode(still).decode("ascii")
        return bundle, {"image/png": {"alt": words}}

    def _still(self) -> tuple[bytes, str]:
        """A small picture of what is held, and its title; b"" without Pillow, or when it is too large to keep."""
        if find_spec("PIL") is None:
            return b"", ""
        from ..export.picture import small_png_bytes  # noqa: PLC0415  (Pillow is an extra)

        try:
            board = self._board(held_only=True)
            return small_png_bytes(board, STILL_BYTES), board.title
        except Exception as error:  # the widget has to be shown whatever happens to the picture
            self._say_problem(f"no still picture: {type(error).__name__}: {error}")
            return b"", ""
