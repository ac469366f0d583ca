"""Files that are cut off, damaged, foreign, newer or made to do harm: an error that says so, and nothing else."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.errors import FormatError, MemvizError

from .test_saving import assert_same, loaded

HOSTILE: list[Any] = [None, True, -1, 2**70, 1e308, "x", "nan", [], {}, [[]], [2**40], "../../etc", 7]
NESTED = b"[" * 200_000


class Small(nn.Module):
    """Attention with a mask, and a memory over two calls."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.ones(3, 3, dtype=torch.bool).tril()
        y = nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)
        state = torch.zeros(2, 4)
        for step in range(2):
            state = self.cell(y[:, 0, step], state)
        return state


@pytest.fixture(scope="module")
def cache() -> ActivationCache:
    torch.manual_seed(0)
    model, x = Small(), torch.randn(2, 1, 3, 4)
    return ActivationCache.capture(model, x, tokens=list("abc"), image=torch.rand(3, 2, 2))


@pytest.fixture(scope="module", params=["run.zarr", "run.safetensors"])
def saved(request: pytest.FixtureRequest, cache: ActivationCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / request.param
    cache.save(path)
    return path


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    target = tmp_path / saved.name
    (shutil.copytree if saved.is_dir() else shutil.copy)(saved, target)
    return target


def files_of(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def read_all(path: Path | str) -> ActivationCache:
    """Open, and look at everything that a view may look at."""
    opened = ActivationCache.open(path)
    for record in opened.records:
        if record.available:
            loaded(opened, record.index)
    assert opened.memories() is not None
    return opened


def refusal(path: Path | str) -> str:
    """The text of the error that opening or reading gives."""
    with pytest.raises(FormatError) as caught:
        read_all(path)
    return str(caught.value)


def is_described(file: Path) -> bool:
    """A file that only other readers of Zarr look at."""
    return file.name == "zarr.json" and "values" in file.parts


# -- damage


def test_cut_off_at_every_file_and_chunk(copied: Path) -> None:
    for file in files_of(copied):
        data = file.read_bytes()
        for length in {0, 1, 7, len(data) // 2, len(data) - 1}:
            file.write_bytes(data[:length])
            if not is_described(file):
                assert str(copied) in refusal(copied)
        file.write_bytes(data)
    read_all(copied)


def test_a_file_cut_off_at_every_eighth_byte(cache: ActivationCache, tmp_path: Path) -> None:
    file = tmp_path / "run.safetensors"
    cache.save(file)
    data = file.read_bytes()
    for length in range(0, len(data), 8):
        file.write_bytes(data[:length])
        refusal(file)


def test_a_file_that_is_missing(cache: ActivationCache, tmp_path: Path) -> None:
    copied = tmp_path / "run.zarr"
    cache.save(copied)
    for file in files_of(copied):
        if is_described(file):
            continue
        data = file.read_bytes()
        file.unlink()
        assert "missing" in refusal(copied) or "interrupted" in refusal(copied)
        file.write_bytes(data)


def test_a_flipped_bit_is_found_or_changes_nothing(copied: Path, cache: ActivationCache) -> None:
    found = unseen = 0
    for file in files_of(copied):
        if is_described(file):
            continue
        data = file.read_bytes()
        for place in range(0, len(data), max(1, len(data) // 150)):
            changed = bytearray(data)
            changed[place] ^= 1 << place % 8
            file.write_bytes(changed)
            try:
                assert_same(cache, read_all(copied))
                unseen += 1
            except FormatError:
                found += 1
        file.write_bytes(data)
    assert found > 3 * unseen  # spaces, and what only other readers look at


def test_a_chunk_that_is_longer_than_it_was(cache: ActivationCache, tmp_path: Path) -> None:
    copied = tmp_path / "run.zarr"
    cache.save(copied)
    chunk = next(file for file in files_of(copied) if file.name.startswith("c"))
    chunk.write_bytes(chunk.read_bytes() + b"\0" * 100)
    assert "bytes of" in refusal(copied)


# -- indices that somebody wrote on purpose, with checksums that fit


def index_of(path: Path) -> Any:
    if path.is_dir():
        return json.loads((path / "memviz.json").read_text())
    return json.loads(header_of(path)[0]["__metadata__"]["index"])


def header_of(path: Path) -> tuple[Any, bytes]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def forge(path: Path, index: Any, **label: Any) -> None:
    """Write an index with a label that fits."""
    text = json.dumps(index) if not isinstance(index, bytes) else index.decode()
    fitting = {"index_bytes": len(text), "index_crc32": f"{zlib.crc32(text.encode()):08x}"}
    if path.is_dir():
        (path / "memviz.json").write_text(text)
        root = json.loads((path / "zarr.json").read_text())
        root["attributes"]["memviz"] |= fitting | label
        (path / "zarr.json").write_text(json.dumps(root))
        return
    header, elements = header_of(path)
    metadata = header["__metadata__"]
    metadata["memviz"] = json.dumps(json.loads(metadata["memviz"]) | fitting | label)
    metadata["index"] = text
    made = json.dumps(header).encode()
    path.write_bytes(len(made).to_bytes(8, "little") + made + elements)


def places_in(value: Any) -> Iterator[tuple[Any, ...]]:
    """Every place of nested JSON."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inside:
        yield (key,)
        yield from ((key, *rest) for rest in places_in(child))


def with_change(index: Any, place: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    changed = deepcopy(index)
    target = changed
    for key in place[:-1]:
        target = target[key]
    change(target, place[-1])
    return changed


@pytest.fixture
def opened_forged(copied: Path) -> Callable[[Any], bool]:
    """Whether an index is refused; anything but an error of ours fails the test."""

    def attempt(index: Any) -> bool:
        forge(copied, index)
        try:
            read_all(copied)
        except MemvizError:
            return True
        return False

    return attempt


def test_any_entry_of_another_type_or_size(copied: Path, opened_forged: Callable[[Any], bool]) -> None:
    index = index_of(copied)
    places = list(places_in(index))
    assert len(places) > 400
    chosen = places if copied.is_dir() else places[:: max(1, len(places) // 150)]
    refused = 0
    for number, place in enumerate(chosen):
        for hostile in HOSTILE[number % 3 :: 3]:
            refused += opened_forged(with_change(index, place, partial(_put, hostile)))
    assert refused > len(chosen)


def _put(new: Any, target: Any, key: Any) -> None:
    target[key] = new


def test_any_entry_that_is_missing(copied: Path, opened_forged: Callable[[Any], bool]) -> None:
    index = index_of(copied)
    outer = [place for place in places_in(index) if not isinstance(place[-1], int)]
    keys = {tuple(key for key in place if not isinstance(key, int)): place for place in outer}
    for place in keys.values():
        changed = with_change(index, place, lambda target, key: target.pop(key))
        # Names of modules, mask, written_by, and what captures from before it was thought of do not have.
        optional = place[-1] in ("written_by", "step_labels", "part", "placement", "rank", "mask") or (
            place[0] == "trace" and len(place) > 2
        )
        assert opened_forged(changed) or optional, place


@pytest.mark.parametrize("size", [2**20, 2**40, 2**62])
def test_a_shape_that_would_fill_the_memory_is_refused_before_it_does(copied: Path, size: int) -> None:
    index = index_of(copied)
    for record in index["records"]:
        if record["value"] and "" in record["value"]["arrays"]:
            array = index["arrays"][record["value"]["arrays"][""]]
            array["shape"] = array["stored"] = [size, *array["shape"][1:]]
            record["shape"] = array["shape"]
    forge(copied, index)
    tracemalloc.start()
    refusal(copied)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_repeats_without_end_are_refused(copied: Path) -> None:
    index = index_of(copied)
    record = next(each for each in index["records"] if each["value"] and "" in each["value"]["arrays"])
    array = index["arrays"][record["value"]["arrays"][""]]
    array |= {"shape": [2**20, 2**20], "stored": [1, 1], "chunks": [1, 1], "crc32": "00000000"}
    forge(copied, index)
    assert "sizes that make fewer" in refusal(copied)


def test_a_zip_of_a_chunk_that_unpacks_to_more_is_read_as_far_as_declared(
    cache: ActivationCache, tmp_path: Path
) -> None:
    cache.save(tmp_path / "run.zarr")
    packed = tmp_path / "run.zip"
    bomb = "values/0/" + next(file.name for file in (tmp_path / "run.zarr/values/0").iterdir() if file.name[0] == "c")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files_of(tmp_path / "run.zarr"):
            name = file.relative_to(tmp_path / "run.zarr").as_posix()
            archive.writestr(f"run.zarr/{name}", file.read_bytes() if name != bomb else bytes(1 << 27))
    tracemalloc.start()
    assert "chunk" in refusal(f"zip://run.zarr::{packed}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def test_an_honest_zip_opens(cache: ActivationCache, tmp_path: Path) -> None:
    cache.save(tmp_path / "run.zarr")
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "run.zarr")
    assert_same(cache, read_all(f"zip://run.zarr::{tmp_path / 'packed.zip'}"))


def test_names_that_look_like_paths_stay_names(tmp_path: Path) -> None:
    names = ["../../outside", "/etc/passwd", "a\\..\\b", "\x00", "x" * 5000, "\ud800"]
    inner = tmp_path / "inner"
    inner.mkdir()
    cache = ActivationCache.from_tensors({name: torch.ones(2) for name in names}, tokens=["../x", "<b>", "y"])
    for name in ("run.zarr", "run.safetensors"):
        cache.save(inner / name)
        opened = read_all(inner / name)
        assert list(opened) == names and opened.tokens == [["../x", "<b>", "y"]]
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
    files = {file.name for file in files_of(inner)}
    assert files == {"memviz.json", "zarr.json", "c.0", "run.safetensors"}


@pytest.mark.parametrize("number", ["../../../etc/passwd", "..", -1, 10**6])
def test_an_array_is_a_number_and_never_a_path(copied: Path, number: object) -> None:
    index = index_of(copied)
    next(each for each in index["records"] if each["value"])["value"]["arrays"] = {"": number}
    forge(copied, index)
    assert "expected a whole number below" in refusal(copied)


@pytest.mark.parametrize("text", [NESTED, b"{", b"\xff\xfe", b"[1]", b"1" * 10_000, b'{"arrays": NaN}', b"null"])
def test_an_index_that_is_no_index(copied: Path, text: bytes) -> None:
    if copied.is_dir():
        (copied / "memviz.json").write_bytes(text)
        root = json.loads((copied / "zarr.json").read_text())
        root["attributes"]["memviz"] |= {"index_bytes": len(text), "index_crc32": f"{zlib.crc32(text):08x}"}
        (copied / "zarr.json").write_text(json.dumps(root))
    else:
        copied.write_bytes(len(text).to_bytes(8, "little") + text)
    refusal(copied)


# -- foreign and newer


def test_a_newer_version_says_to_upgrade(copied: Path) -> None:
    forge(copied, {"whatever": "comes"}, version=2)
    assert "has version 2 of the format, and this memviz_widgets reads up to version 1; upgrade it" in refusal(copied)


def test_a_newer_capture_may_be_replaced(copied: Path, cache: ActivationCache) -> None:
    forge(copied, {"whatever": "comes"}, version=2)
    cache.save(copied, overwrite=True)
    assert_same(cache, read_all(copied))


def test_nothing_there(tmp_path: Path) -> None:
    for name in ("none.zarr", "none.safetensors"):
        assert "there is nothing at this path" in refusal(tmp_path / name)
        assert "there is nothing at this path" in refusal(f"memory://{tmp_path.name}/{name}")


def test_a_folder_without_a_label(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    assert "it is no saved capture, or its saving was interrupted" in refusal(tmp_path / "empty.zarr")


def test_somebody_elses_files(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr 3 needs Python 3.11")
    safetensors = pytest.importorskip("safetensors.torch")
    zarr.create_group(tmp_path / "other.zarr", attributes={"some": "thing"})
    safetensors.save_file({"x": torch.ones(2)}, tmp_path / "other.safetensors")
    for name in ("other.zarr", "other.safetensors"):
        assert "it was not saved by memviz_widgets" in refusal(tmp_path / name)


class Trap:
    """Runs when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("sprung",)


def test_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.safetensors").write_bytes(pickle.dumps(Trap()))
    folder = tmp_path / "run.zarr"
    folder.mkdir()
    (folder / "zarr.json").write_bytes(pickle.dumps(Trap()))
    assert "no safetensors file" in refusal(tmp_path / "run.safetensors")
    assert "no JSON" in refusal(folder)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_for_a_file_a_file_for_a_folder_and_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "file.zarr").write_text("text")
    os.mkfifo(tmp_path / "pipe.safetensors")
    for name in ("folder.safetensors", "file.zarr", "pipe.safetensors"):
        assert "cannot be opened" in refusal(tmp_path / name)
