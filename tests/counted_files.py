"""A file system in memory that notes every request which an object store would get, with its bytes.

In: URLs ``counted://...``, once :func:`counted` has begun. Out: the requests, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import fsspec
from fsspec import AbstractFileSystem

PROTOCOL = "counted"


class Request(NamedTuple):
    """One request: "PUT", "GET", "HEAD" or "LIST"; the path; bytes that went over the wire as data."""

    verb: str
    path: str
    nbytes: int


class CountedFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Objects by path, as S3 has them: a folder is there when an object lies in it."""

    protocol = PROTOCOL
    objects: dict[str, bytes] = {}  # noqa: RUF012  # of all instances: fsspec makes them
    requests: list[Request] = []  # noqa: RUF012

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        """PUT."""
        path = self._strip_protocol(path)
        self.requests.append(Request("PUT", path, len(value)))
        self.objects[path] = bytes(value)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """GET, of a range if one is given."""
        path = self._strip_protocol(path)
        if path not in self.objects:
            self.requests.append(Request("GET", path, 0))
            raise FileNotFoundError(path)
        data = self.objects[path][start:end]
        self.requests.append(Request("GET", path, len(data)))
        return data

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """HEAD; of what is no object, a LIST besides."""
        path = self._strip_protocol(path)
        self.requests.append(Request("HEAD", path, 0))
        if path in self.objects:
            return {"name": path, "size": len(self.objects[path]), "type": "file"}
        self.requests.append(Request("LIST", path, 0))
        if any(name.startswith(f"{path}/") for name in self.objects):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """LIST."""
        path = self._strip_protocol(path)
        self.requests.append(Request("LIST", path, 0))
        below = [name[len(path) + 1 :] for name in self.objects if name.startswith(f"{path}/")]
        found = {f"{path}/{name.split('/')[0]}" for name in below}
        return [self.info(name) for name in sorted(found)] if detail else sorted(found)


@contextmanager
def counted() -> Iterator[CountedFiles]:
    """Let ``counted://`` URLs be known, with nothing there; afterwards their objects are gone."""
    fsspec.register_implementation(PROTOCOL, CountedFiles, clobber=True)
    CountedFiles.objects.clear()
    CountedFiles.requests.clear()
    try:
        yield fsspec.filesystem(PROTOCOL)
    finally:
        CountedFiles.objects.clear()
        CountedFiles.requests.clear()
