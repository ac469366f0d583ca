"""Where a saved capture lies: a folder or file of this machine, or of any file system that fsspec reaches.

In: a path or URL. Out: a StorePlace, which reads no more than it is asked for; or SaveError, MissingExtraError.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import FormatError, MissingExtraError, SaveError

FOLDER = ".zarr"
FILE = ".safetensors"


@dataclass(frozen=True, slots=True)
class StorePlace:
    """A path on a file system.

    Attributes:
        text: As the user wrote it, for messages.
        files: The fsspec file system.
        root: The path on it.
        local: Whether it is this machine's own.
    """

    text: str
    files: Any
    root: str
    local: bool

    @property
    def is_file(self) -> bool:
        """Whether the capture is one file."""
        return self.root.lower().endswith(FILE)

    def inside(self, name: str) -> StorePlace:
        """A folder or file in this folder."""
        return replace(self, text=f"{self.text}/{name}", root=f"{self.root}/{name}")

    def exists(self) -> bool:
        """Whether something is there."""
        return os.path.lexists(self.root) if self.local else bool(self.files.exists(self.root))

    def read(self, name: str, most: int, start: int = 0) -> bytes:
        """At most so many bytes of a file in the folder; of the file itself for the name "".

        Raises:
            FileNotFoundError: when there is none.
            OSError: when it is no file, or cannot be read.
        """
        path = f"{self.root}/{name}" if name else self.root
        if not self.local:
            data: bytes = self.files.cat_file(path, start=start, end=start + most)
            return data
        if not stat.S_ISREG(Path(path).stat().st_mode):  # a pipe would keep its reader waiting
            raise OSError(f"{path!r} is no file")
        with Path(path).open("rb") as file:
            file.seek(start)
            return file.read(most)

    def size(self, name: str) -> int:
        """Bytes of a file."""
        path = f"{self.root}/{name}" if name else self.root
        return Path(path).stat().st_size if self.local else int(self.files.size(path))


def store_place(path: object) -> StorePlace:
    """The place that a path or URL stands for.

    Raises:
        SaveError: when it is none, or of a protocol that fsspec does not know.
        MissingExtraError: when its protocol needs a package that is not installed.
    """
    text = str(os.fspath(path)) if isinstance(path, (str, os.PathLike)) else ""
    if not text:
        raise SaveError(f"path={path!r} is no path; give one such as 'run.zarr', 's3://bucket/run.zarr'.")
    from fsspec.core import url_to_fs  # noqa: PLC0415  # comes with torch; only saving and opening need it
    from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415

    try:
        files, root = url_to_fs(text)
    except ImportError as error:
        raise MissingExtraError(f"path={text!r}: {error}. pip install it to read and write there.") from error
    except ValueError as error:
        raise SaveError(f"path={text!r}: {error}. Give a path, or a URL of a protocol that fsspec knows.") from error
    return StorePlace(text, files, str(root).rstrip("/"), isinstance(files, LocalFileSystem))


def damaged(place: StorePlace, reason: object) -> FormatError:
    """The error about a file that is not as it must be."""
    return FormatError(
        f"{place.text!r} cannot be opened: {reason}. Give a path that cache.save() wrote, save the capture again, or "
        "get another copy."
    )
