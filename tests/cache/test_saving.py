"""A cache that was saved and opened again is the same cache, without its model."""

from __future__ import annotations

import errno
import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets import ActivationCache
from memviz_widgets.cache import saving_files
from memviz_widgets.cache.store_format_arrays import DTYPES
from memviz_widgets.cache.stored_attention import StoredAttention
from memviz_widgets.capture import QueryKey
from memviz_widgets.capture.lazy import Index
from memviz_widgets.errors import ClosedError, MissingExtraError, NotKeptError, RecordingError, SaveError

PATHS = ["run.zarr", "run.safetensors"]
# torch warns of complex32 wherever it is used.
WARNING_FREE = {name: dtype for name, dtype in DTYPES.items() if name != "complex32"}
ALL = slice(None)


def loaded(cache: ActivationCache, index: int) -> Tensor:
    value = cache.value(cache.records[index])
    return value.detach() if isinstance(value, Tensor) else value.load()


def bits(tensor: Tensor) -> Tensor:
    return tensor.resolve_conj().contiguous().reshape(-1).view(torch.uint8)


def assert_same(first: ActivationCache, second: ActivationCache) -> None:
    assert second.records == first.records
    for record in first.records:
        if record.available:
            assert torch.equal(bits(loaded(first, record.index)), bits(loaded(second, record.index))), record.label


def again(cache: ActivationCache, path: str | Path, **options: Any) -> ActivationCache:
    cache.save(path, **options)
    return ActivationCache.open(path)


class Reader(nn.Module):
    """Attention and a recurrent memory."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.block = nn.TransformerEncoderLayer(16, 4, batch_first=True)
        self.lstm = nn.LSTM(16, 8, batch_first=True)
        self.unused = nn.Linear(2, 2)

    def forward(self, ids: Tensor) -> Any:
        return self.lstm(self.block(self.embed(ids)))


def reader_cache(**options: Any) -> ActivationCache:
    torch.manual_seed(0)
    ids = torch.randint(0, 20, (2, 9))
    return ActivationCache.capture(Reader().eval(), ids, **options)


@pytest.mark.parametrize("name", PATHS)
def test_everything_comes_back(tmp_path: Path, name: str) -> None:
    cache = reader_cache(tokens={"source": list("abcdefghi")}, image=np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    opened = again(cache, tmp_path / name)
    assert_same(cache, opened)
    assert opened.memories() == cache.memories()
    assert opened.find("lstm", "cell").residual is not None
    assert "unused" in opened.never_called == cache.never_called and opened.remarks == cache.remarks
    assert opened.tokens == {"source": [list("abcdefghi")]} and opened.token_texts == cache.token_texts
    assert isinstance(opened.image, np.ndarray) and (opened.image == cache.image).all()
    assert opened.recorded_bytes == cache.recorded_bytes and opened.held_bytes == 0


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("dtype", WARNING_FREE.values(), ids=WARNING_FREE)
def test_every_bit_of_every_dtype(tmp_path: Path, dtype: torch.dtype, name: str) -> None:
    if dtype is torch.bool:
        tensor = torch.tensor([True, False, True]).expand(2, 3).contiguous()
    else:
        tensor = torch.randint(0, 256, (6 * dtype.itemsize,), dtype=torch.uint8).view(dtype).view(2, 3)
    cache = ActivationCache.from_tensors({"number": tensor[0, 0], "empty": tensor[:, :0], "all": tensor})
    there = [record for record in cache.records if record.available]
    opened = again(cache, tmp_path / name)
    for record in there:
        assert torch.equal(bits(loaded(opened, record.index)), bits(loaded(cache, record.index)))
        assert loaded(opened, record.index).dtype is dtype


@pytest.mark.parametrize("name", PATHS)
def test_values_of_many_chunks_and_parts_of_them(tmp_path: Path, name: str) -> None:
    tensor = torch.randn(3, 700, 900)  # 2.4 MiB per sample
    opened = again(ActivationCache.from_tensors({"x": tensor}, dims="batch time channel"), tmp_path / name)
    value = opened.value(opened.records[0])
    assert not isinstance(value, Tensor)
    assert torch.equal(value.load(), tensor)
    parts: list[Index] = [
        (1, slice(300, 650), slice(10, 20)),
        (slice(1, 3), 699, ALL),
        (2, 0, 0),
        (ALL, slice(5, 5), ALL),
    ]
    for index in parts:
        assert torch.equal(value.read(index), tensor[index])


def test_what_is_repeated_or_shared_is_stored_once(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    cache = ActivationCache.capture(Twice(), torch.randn(1, 64, 64))
    assert len(cache.records) == 2
    wide = ActivationCache.from_tensors({"wide": torch.randn(1, 64, 64).expand(100, 64, 64)})
    for given in (cache, wide):
        opened = again(given, tmp_path / "run.zarr", overwrite=True)
        chunks = [file for file in (tmp_path / "run.zarr" / "values").rglob("c*") if file.is_file()]
        assert sum(file.stat().st_size for file in chunks) == 64 * 64 * 4
        assert_same(given, opened)


def test_memory_stays_within_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(64, 64) for _ in range(12)))
    x = torch.randn(64, 64)  # 16 KiB a layer
    with torch.no_grad():
        small = ActivationCache.capture(model, x, budget="64 KiB")
        whole = ActivationCache.capture(model, x)
    most = []
    write = saving_files.FolderWriter.chunk

    def watched(self: Any, *args: Any) -> None:
        most.append(small.held_bytes)
        write(self, *args)

    monkeypatch.setattr(saving_files.FolderWriter, "chunk", watched)
    opened = again(small, tmp_path / "run.zarr")
    assert len(most) >= 12 and max(most) <= 64 << 10
    assert any(record.on_demand for record in opened.records)
    for record in whole.records:
        assert torch.equal(loaded(opened, record.index), loaded(whole, record.index))
    assert opened.summary.endswith("rest on disk")


def test_values_held_leaves_out_what_must_be_computed(tmp_path: Path) -> None:
    model = nn.Sequential(*(nn.Linear(64, 64) for _ in range(12)))
    with torch.no_grad():
        cache = ActivationCache.capture(model, torch.randn(64, 64), budget="64 KiB")
    held = [record.index for record in cache.records if cache.value_or_none(record) is not None]
    opened = again(cache, tmp_path / "run.zarr", values="held")
    assert [record.index for record in opened.records if record.available] == held
    lost = next(record for record in opened.records if not record.available)
    with pytest.raises(NotKeptError, match=r"not saved, since it was not held: values='held'"):
        opened.value(lost)


def test_what_cannot_be_had_again_says_so(tmp_path: Path) -> None:
    model = nn.Sequential(*(nn.Linear(64, 64) for _ in range(12)))
    with torch.no_grad():
        cache = ActivationCache.capture(model, torch.randn(64, 64), budget="64 KiB")
        for weights in model.parameters():
            weights.add_(1.0)
    opened = again(cache, tmp_path / "run.zarr")
    lost = [record for record in opened.records if not record.available]
    assert lost and all("not saved:" in record.note and "not reproducible" in record.note for record in lost)


def test_spilled_and_opened_caches_can_be_saved(tmp_path: Path) -> None:
    pytest.importorskip("zarr", reason="zarr 3 needs Python 3.11")
    spilled = reader_cache(budget="1 KiB", spill=tmp_path / "spill")
    opened = again(spilled, tmp_path / "one.zarr")
    assert_same(spilled, opened)
    assert_same(opened, again(opened, tmp_path / "two.safetensors"))


def test_a_recording_of_steps_with_joined_records(tmp_path: Path) -> None:
    torch.manual_seed(0)
    cell, state = nn.GRUCell(3, 4), torch.zeros(2, 4)
    with mv.record(cell) as cache:
        for _ in range(5):
            state = cell(torch.randn(2, 3), state)
    opened = again(cache, tmp_path / "run.zarr")
    assert_same(cache, opened)
    assert opened.get("", "hidden").shape == (2, 5, 4)


def test_attention_is_stored_as_query_and_key(tmp_path: Path) -> None:
    class Attending(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x)

    cache = ActivationCache.capture(Attending(), torch.randn(1, 8, 256, 4))
    opened = again(cache, tmp_path / "run.zarr")
    assert torch.equal(opened.attention("", head=3, queries=7), cache.attention("", head=3, queries=7))
    files = list((tmp_path / "run.zarr").rglob("c.*"))
    assert sum(file.stat().st_size for file in files) < 8 * 256 * 256 * 4 / 8  # the weights would take 2 MiB


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("mask_shape", [None, (5, 7), (1, 1, 7), (6, 5, 7), (3, 1, 5, 7), (3, 6, 1, 1)])
@pytest.mark.parametrize("is_causal", [False, True])
def test_stored_attention_reads_what_the_attention_reads(
    groups: int, mask_shape: tuple[int, ...] | None, is_causal: bool
) -> None:
    torch.manual_seed(0)
    mask = None if mask_shape is None else torch.rand(mask_shape) > 0.3
    whole = QueryKey(torch.randn(3, 6, 5, 4), torch.randn(3, groups, 7, 4), mask, is_causal, 0.5)
    stored = StoredAttention(whole.with_tensors({}), whole.tensors())
    assert stored.shape == whole.shape and stored.dtype is whole.dtype
    some: Index = (-1, slice(1, 5), slice(2, 4), ALL)
    parts: list[Index] = [(ALL,) * 4, (1, 3, 2, 4), some, (slice(1, 2), 5, ALL, slice(1, 3))]
    for index in parts:
        torch.testing.assert_close(stored.read(index), whole.read(index))
    assert stored.read((0, slice(2, 2), ALL, ALL)).shape == (0, 5, 7)
    with pytest.raises(IndexError, match="4 axes"):
        stored.read((0, 0))


def test_attention_with_a_score_function_is_stored_as_weights(tmp_path: Path) -> None:
    flex = pytest.importorskip("torch.nn.attention.flex_attention")

    class Flexible(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return flex.flex_attention(x, x, x, score_mod=lambda score, b, h, q, k: score * (q >= k))

    cache = ActivationCache.capture(Flexible(), torch.randn(1, 2, 8, 4))
    record = next(record for record in cache.records if record.kind == "attention")
    opened = again(cache, tmp_path / "run.zarr")
    torch.testing.assert_close(loaded(opened, record.index), loaded(cache, record.index))


def test_the_model_is_not_needed_and_not_held(tmp_path: Path) -> None:
    cache = reader_cache()
    cache.save(tmp_path / "run.zarr")
    cache.close()
    del cache
    gc.collect()
    opened = ActivationCache.open(tmp_path / "run.zarr")
    assert opened["lstm"].shape == (2, 9, 8)
    watch = weakref.ref(opened._values.saved)
    opened.close()
    with pytest.raises(ClosedError, match="was closed"):
        opened.get("lstm")
    del opened
    gc.collect()
    assert watch() is None and (tmp_path / "run.zarr").is_dir()


def test_a_value_that_is_still_in_hand_says_that_the_cache_was_closed(tmp_path: Path) -> None:
    opened = again(ActivationCache.from_tensors({"x": torch.ones(2, 3)}), tmp_path / "run.zarr")
    value = opened.value(opened.records[0])
    opened.close()
    with pytest.raises(ClosedError, match="open the saved capture again"):
        value.load()  # type: ignore[union-attr]


def test_any_file_system_of_fsspec(tmp_path: Path) -> None:
    cache = reader_cache()
    for name in PATHS:
        path = f"memory://{tmp_path.name}/{name}"
        assert_same(cache, again(cache, path))
        with pytest.raises(SaveError, match="exists; give another path"):
            cache.save(path)
        assert_same(cache, again(cache, path, overwrite=True))


def test_the_same_capture_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.safetensors", "two.safetensors"):
        reader_cache().save(tmp_path / name)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


@pytest.mark.parametrize("name", PATHS)
def test_an_existing_path_is_replaced_only_when_asked_and_only_if_ours(tmp_path: Path, name: str) -> None:
    first = ActivationCache.from_tensors({"x": torch.zeros(2)})
    second = ActivationCache.from_tensors({"x": torch.ones(2)})
    first.save(tmp_path / name)
    with pytest.raises(SaveError, match=r"exists; give another path, or overwrite=True"):
        second.save(tmp_path / name)
    assert torch.equal(again(second, tmp_path / name, overwrite=True)["x"], torch.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", PATHS)
def test_what_is_not_ours_is_never_replaced(tmp_path: Path, name: str) -> None:
    foreign = tmp_path / name
    if name.endswith("zarr"):
        foreign.mkdir()
        (foreign / "thesis.txt").write_text("years of work")
    else:
        foreign.write_text("years of work")
    with pytest.raises(SaveError, match="is no saved capture, so it is not replaced"):
        ActivationCache.from_tensors({"x": torch.zeros(2)}).save(foreign, overwrite=True)
    text = foreign / "thesis.txt" if foreign.is_dir() else foreign
    assert text.read_text() == "years of work"


def test_a_cache_does_not_replace_what_it_reads_from(tmp_path: Path) -> None:
    opened = again(ActivationCache.from_tensors({"x": torch.zeros(2)}), tmp_path / "run.zarr")
    with pytest.raises(SaveError, match="is what this cache reads its values from"):
        opened.save(tmp_path / "run.zarr", overwrite=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("remote", [False, True])
def test_an_interrupted_save_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException, at: int, remote: bool
) -> None:
    writer = saving_files.FolderWriter if name.endswith("zarr") else saving_files.FileWriter
    write, count = writer.chunk, iter(range(10**6))

    def failing(self: Any, *args: Any) -> None:
        if next(count) == at:
            raise error
        write(self, *args)

    monkeypatch.setattr(writer, "chunk", failing)
    path = f"memory://{tmp_path.name}-{at}/{name}" if remote else tmp_path / name
    expected = SaveError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(
        expected, match="No space left on device. Nothing of it is left" if expected is SaveError else None
    ):
        reader_cache().save(path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    reader_cache().save(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("run.npz", r"ends neither with '.zarr' nor '.safetensors'; write 'run.zarr'"),
        ("", r"path='' is no path"),
        (7, r"path=7 is no path"),
        ("nosuch://run.zarr", r"Protocol not known.*a protocol that fsspec knows"),
    ],
)
def test_what_is_no_path(path: Any, message: str) -> None:
    with pytest.raises(SaveError, match=message):
        ActivationCache.from_tensors({"x": torch.zeros(2)}).save(path)


def test_a_protocol_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"[Ii]nstall s3fs"):
        ActivationCache.open("s3://bucket/run.zarr")


def test_values_is_all_or_held(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="values='some'; expected 'all', or 'held'"):
        ActivationCache.from_tensors({"x": torch.zeros(2)}).save(tmp_path / "run.zarr", values="some")


def test_neither_a_running_recording_nor_a_closed_cache_is_saved(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with mv.record(model) as cache:
        model(torch.zeros(1, 2))
        with pytest.raises(RecordingError, match="still recording"):
            cache.save(tmp_path / "run.zarr")
    cache.close()
    with pytest.raises(ClosedError, match="was closed"):
        cache.save(tmp_path / "run.zarr")


def test_a_picture_that_is_none_is_remarked(tmp_path: Path) -> None:
    cache = ActivationCache.from_tensors({"x": torch.zeros(2)}, image="cat.png")
    opened = again(cache, tmp_path / "run.zarr")
    assert opened.image is None and "the picture was not saved: it is a str" in opened.remarks[-1]
    assert cache.remarks == ()


def test_several_pictures_and_sequences(tmp_path: Path) -> None:
    images = [torch.rand(3, 4, 5), torch.rand(1, 2, 2)]
    cache = ActivationCache.from_tensors({"x": torch.zeros(2)}, image=images, tokens={"a": ["x"], "b": [["y"], ["z"]]})
    opened = again(cache, tmp_path / "run.safetensors")
    assert [torch.equal(one, two) for one, two in zip(opened.image, images, strict=True)] == [True, True]
    assert opened.tokens == {"a": [["x"]], "b": [["y"], ["z"]]} and opened.token_texts == cache.token_texts
