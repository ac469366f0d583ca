"""Values on disk: every bit comes back, little is read for a part, and nothing is left behind."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.cache import spill as spilling
from memviz_widgets.cache.spill import CHUNK_BYTES, Spill, chunk_shape
from memviz_widgets.capture.lazy import LazyValue
from memviz_widgets.errors import ClosedError, MissingExtraError, SpillError

zarr = pytest.importorskip("zarr", reason="zarr 3 needs Python 3.11")

DTYPES = (
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.uint16,
    torch.int64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
)
ALL = slice(None)


@pytest.fixture
def spill(tmp_path: Path) -> Iterator[Spill]:
    spill = Spill(tmp_path)
    yield spill
    spill.close()


@pytest.fixture
def chunk_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the chunks that were read from disk, in order."""
    reads: list[str] = []
    get = zarr.storage.LocalStore.get

    async def counted(self: Any, key: str, *args: Any, **kwargs: Any) -> Any:
        if "/c" in key:
            reads.append(key.partition("/")[2])
        return await get(self, key, *args, **kwargs)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counted)
    return reads


def bits(tensor: Tensor) -> Tensor:
    real = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    return real.contiguous().flatten().view(torch.uint8)


def random_bits(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Any bit pattern: NaN of every kind, -0.0 and infinities among them."""
    if dtype == torch.bool:
        return torch.randint(0, 2, shape).bool()
    flat = torch.randint(0, 256, (torch.Size(shape).numel() * dtype.itemsize,), dtype=torch.uint8)
    return flat.view(dtype).view(shape)


@pytest.mark.parametrize("shape", [(), (0, 3), (3, 4, 5), (3, 700, 300)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_bit_comes_back(spill: Spill, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = random_bits(shape, dtype)
    loaded = spill.write(0, tensor, ()).load()
    assert (loaded.dtype, loaded.shape) == (dtype, tensor.shape)
    assert torch.equal(bits(loaded), bits(tensor))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "index", [(1, ALL, slice(2, 4)), (ALL, -1, ALL), (slice(-2, None), slice(3, 3), 0), (2, 3, 4)], ids=str
)
def test_a_part_is_that_part(spill: Spill, dtype: torch.dtype, index: tuple[int | slice, ...]) -> None:
    tensor = random_bits((3, 4, 5), dtype)
    part = spill.write(0, tensor, ()).read(index)
    assert part.shape == tensor[index].shape
    assert torch.equal(bits(part), bits(tensor[index]))


def test_a_spilled_value_is_a_lazy_value(spill: Spill) -> None:
    value = spill.write(0, torch.zeros(2, 3), ())
    assert isinstance(value, LazyValue)
    assert (value.shape, value.dtype, value.nbytes) == ((2, 3), torch.float32, 24)


def test_a_conjugate_view_is_resolved(spill: Spill) -> None:
    tensor = torch.complex(torch.ones(3), torch.ones(3)).conj()
    assert spill.write(0, tensor, ()).load().tolist() == [1 - 1j] * 3


def test_what_expand_repeats_is_written_once(spill: Spill) -> None:
    tensor = torch.arange(6.0).view(2, 1, 3).expand(2, 1000, 3)
    value = spill.write(0, tensor, ())
    assert value.nbytes == 24
    assert torch.equal(value.load(), tensor)
    assert value.read((1, slice(998, 1000), 2)).tolist() == [5.0, 5.0]


@pytest.mark.parametrize("inference", [False, True])
def test_a_value_with_several_names_is_on_disk_once(tmp_path: Path, inference: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Identity(), nn.Flatten())  # the last two return what they were given
    with torch.inference_mode(inference), torch.no_grad():
        cache = ActivationCache.capture(model, torch.ones(2, 4), budget=0, spill=tmp_path)
    files = [path for path in tmp_path.rglob("c.*") if path.is_file()]
    assert [path.stat().st_size for path in files] == [2 * 8 * 4]
    assert torch.equal(cache["2"], cache["0"]) and cache.recorded_bytes == 64


def test_a_tensor_of_autograd_and_of_inference_mode(spill: Spill) -> None:
    with torch.inference_mode():
        inference = torch.ones(3)
        value = spill.write(0, inference, ())
        part = value.read((ALL,))
    assert not part.is_inference() and part.tolist() == [1.0] * 3
    assert not spill.write(1, torch.ones(3, requires_grad=True), ()).load().requires_grad


def test_a_part_can_be_written_to_without_changing_the_value(spill: Spill) -> None:
    value = spill.write(0, torch.zeros(2, 3), ())
    value.read((0, ALL)).fill_(1)
    assert value.read((0, ALL)).tolist() == [0.0] * 3


@pytest.mark.parametrize(
    ("shape", "dims", "chunks"),
    [
        ((4, 256, 512, 512), ("batch", "channel", "height", "width"), (1, 1, 512, 512)),
        ((32, 512, 14, 14), ("batch", "channel", "height", "width"), (2, 512, 14, 14)),  # small pictures share a file
        ((8, 64, 64, 256), ("batch", "height", "width", "channel"), (1, 64, 64, 64)),
        ((4096, 2, 64), ("time", "batch", "channel"), (4096, 1, 64)),
        ((1025, 1024), ("time", "channel"), (205, 1024)),  # 5 equal parts, not 4 of 256 and one of 1
        ((2, 1 << 20), ("batch", "channel"), (1, 1 << 18)),
        ((0, 3), ("batch", "channel"), (1, 3)),
        ((), (), ()),
    ],
    ids=str,
)
def test_a_chunk_is_about_a_mebibyte_of_whole_pictures(
    shape: tuple[int, ...], dims: tuple[str, ...], chunks: tuple[int, ...]
) -> None:
    assert chunk_shape(shape, dims, itemsize=4) == chunks


def test_one_frame_reads_one_chunk(spill: Spill, chunk_reads: list[str]) -> None:
    tensor = torch.randn(2, 3, 512, 512)
    value = spill.write(0, tensor, ("batch", "channel", "height", "width"))
    chunk_reads.clear()
    assert torch.equal(value.read((1, 2, ALL, ALL)), tensor[1, 2])
    assert chunk_reads == ["c.1.2.0.0"]


def test_frames_of_one_chunk_read_it_once(spill: Spill, chunk_reads: list[str]) -> None:
    tensor = torch.randn(2, 64, 16, 16)
    value = spill.write(0, tensor, ("batch", "channel", "height", "width"))
    chunk_reads.clear()
    frames = [value.read((0, channel, ALL, ALL)) for channel in range(64)]
    assert torch.equal(torch.stack(frames), tensor[0])
    assert chunk_reads == ["c.0.0.0.0"]


def test_rows_over_two_chunks_read_two(spill: Spill, chunk_reads: list[str]) -> None:
    tensor = torch.randn(1024, 1024)
    value = spill.write(0, tensor, ("time", "channel"))
    chunk_reads.clear()
    assert torch.equal(value.read((slice(250, 260), ALL)), tensor[250:260])
    assert sorted(chunk_reads) == ["c.0.0", "c.1.0"]


def test_writing_holds_one_chunk_at_a_time(spill: Spill, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    convert = spilling._as_integers

    def seen(part: Tensor) -> Tensor:
        held.append(part.numel() * part.element_size())
        return convert(part)

    monkeypatch.setattr(spilling, "_as_integers", seen)
    spill.write(0, torch.zeros(2048, 2048).t(), ("time", "channel"))
    assert max(held) == CHUNK_BYTES and len(held) == 17  # 16 chunks, and one element for the dtype


def test_bytes_on_disk_are_those_of_the_files(spill: Spill) -> None:
    spill.write(0, torch.zeros(1000), ())
    spill.write(1, torch.zeros(3), ())
    files = [file for name in ("0", "1") for file in (spill.path / name).iterdir()]
    assert spill.nbytes == sum(file.stat().st_size for file in files) > 4012


def test_delete_removes_one_value(spill: Spill) -> None:
    gone = spill.write(0, torch.ones(3), ())
    kept = spill.write(1, torch.ones(3), ())
    spill.delete(0)
    spill.delete(7)  # never written
    assert kept.load().tolist() == [1.0] * 3
    with pytest.raises(SpillError, match=r"a value on disk is gone: '.*c.0' was removed. Capture again, and leave"):
        gone.load()


def test_a_key_written_twice_has_the_second_value(spill: Spill) -> None:
    spill.write(0, torch.zeros(3), ())
    value = spill.write(0, torch.ones(3), ())
    assert value.load().tolist() == [1.0] * 3
    assert [path.name for path in spill.path.iterdir() if path.is_dir()] == ["1"]


def test_close_removes_what_it_wrote_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("stays")
    other, spill = Spill(tmp_path), Spill(tmp_path)
    spill.write(0, torch.zeros(3), ())
    spill.close()
    spill.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["mine.txt", other.path.name])
    other.close()


def test_after_close_nothing_is_read_or_written(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    value = spill.write(0, torch.zeros(3), ())
    spill.close()
    with pytest.raises(ClosedError, match=r"was closed and its values on disk were removed. Capture again."):
        value.load()
    with pytest.raises(ClosedError, match="was closed"):
        spill.write(0, torch.zeros(3), ())


def test_a_dropped_spill_removes_its_files(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    value = spill.write(0, torch.zeros(3), ())
    path = spill.path
    del spill
    gc.collect()
    assert path.exists()  # the value needs it
    del value
    gc.collect()
    assert not path.exists()


def test_the_end_of_the_process_removes_the_files(tmp_path: Path) -> None:
    code = (
        "import torch; from memviz_widgets.cache.spill import Spill\n"
        f"spill = Spill({str(tmp_path)!r}); spill.write(0, torch.zeros(3), ())"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_leaves_the_files(spill: Spill) -> None:
    spilling._remove(spill.path, owner=os.getpid() + 1)  # what the child's copy of the Spill does when it ends
    assert spill.path.exists()


def test_a_folder_is_made(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "new" / "folder")
    assert spill.path.parent == tmp_path / "new" / "folder"
    spill.close()


def test_a_relative_folder_survives_a_change_of_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spill = Spill("here")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert spill.write(0, torch.ones(2), ()).load().tolist() == [1.0, 1.0]
    spill.close()
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("folder", [5, "", b"x", True], ids=repr)
def test_what_is_no_folder_is_refused(folder: Any) -> None:
    with pytest.raises(SpillError, match=r"spill=.* is no folder; give a path, such as spill='captures'."):
        Spill(folder)


def test_a_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpillError, match=r"spill='.*inside' cannot be used: Not a directory. Give a folder that can"):
        Spill(tmp_path / "file" / "inside")


def test_a_full_disk_is_a_spill_error_and_leaves_nothing(spill: Spill, monkeypatch: pytest.MonkeyPatch) -> None:
    store = zarr.storage.LocalStore
    put = store.set

    async def full(self: Any, key: str, value: Any) -> None:
        if "c.3" in key:
            raise OSError(errno.ENOSPC, "No space left on device")
        await put(self, key, value)

    monkeypatch.setattr(store, "set", full)
    expected = r"16.0 MiB could not be written to '.*zarr': No space left on device. Make room there, give spill= a"
    with pytest.raises(SpillError, match=expected):
        spill.write(0, torch.zeros(16, 512, 512), ())
    assert spill.nbytes == 0 and not (spill.path / "0").exists()


def test_a_missing_chunk_is_an_error_and_never_zeros(spill: Spill) -> None:
    value = spill.write(0, torch.ones(4, 512, 512), ())
    (spill.path / "0" / "c.2.0.0").unlink()
    assert value.read((1, 0, 0)).item() == 1.0
    with pytest.raises(SpillError, match=r"a value on disk is gone: '.*c.2.0.0' was removed"):
        value.load()


def test_a_damaged_chunk_is_an_error(spill: Spill) -> None:
    value = spill.write(0, torch.ones(100), ())
    (spill.path / "0" / "c.0").write_bytes(b"short")
    with pytest.raises(SpillError, match=r"a value could not be read back from '.*zarr': .*Capture again"):
        value.load()


@pytest.mark.parametrize(
    ("index", "text"),
    [
        ((0,), "1 indices for 2 axes; give an int or a slice per axis"),
        ((2, 0), "index 2 is outside of an axis of size 2"),
        ((0, slice(None, None, 2)), "a slice with step 2; only step 1 can be read"),
    ],
    ids=str,
)
def test_a_wrong_index_is_refused(spill: Spill, index: tuple[int | slice, ...], text: str) -> None:
    with pytest.raises(IndexError, match=text):
        spill.write(0, torch.zeros(2, 3), ()).read(index)


def test_zarr_does_not_warn(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a file that is no part of a hierarchy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spill = Spill(tmp_path)
        for key, dtype in enumerate(DTYPES):
            spill.write(key, torch.zeros(2, 3).to(dtype), ("time", "channel")).read((0, ALL))
        spill.close()


def test_it_works_inside_a_running_event_loop(spill: Spill) -> None:
    async def cell() -> list[float]:
        loaded: list[float] = spill.write(0, torch.ones(2), ()).load().tolist()
        return loaded

    # In a thread: the browser tests leave a loop running in the main one.
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(asyncio.run, cell()).result() == [1.0, 1.0]


def test_without_zarr_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    expected = r'spill= needs zarr, which is not installed; pip install "memviz_widgets\[spill\]"'
    with pytest.raises(MissingExtraError, match=expected):
        Spill(tmp_path)


def test_zarr_2_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zarr, "__version__", "2.18.3")
    with pytest.raises(MissingExtraError, match=r"spill= needs zarr 3, and zarr 2.18.3 is installed; pip install"):
        Spill(tmp_path)


def test_importing_the_package_imports_no_zarr() -> None:
    code = "import sys, memviz_widgets; sys.exit('zarr' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
