"""What docs/format.md says of the files: other readers of Zarr and safetensors read the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from memviz_widgets import ActivationCache
from memviz_widgets.errors import FormatError

from .test_saving import WARNING_FREE, bits
from .test_saving_fuzz import forge, index_of

FORMAT = Path(__file__).resolve().parents[2] / "docs" / "format.md"


@pytest.fixture(scope="module")
def cache() -> ActivationCache:
    torch.manual_seed(0)
    tensors = {}
    for name, dtype in WARNING_FREE.items():
        raw = torch.randint(0, 2, (35 * dtype.itemsize,), dtype=torch.uint8)
        tensors[name] = raw.view(dtype).view(5, 7)
    return ActivationCache.from_tensors({**tensors, "large": torch.randn(3, 600, 500)})


def test_zarr_reads_the_same(cache: ActivationCache, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr 3 needs Python 3.11")
    cache.save(tmp_path / "run.zarr")
    group = zarr.open_group(tmp_path / "run.zarr", mode="r")
    assert group.attrs["memviz"]["format"] == "memviz_widgets capture"
    index = json.loads((tmp_path / "run.zarr" / "memviz.json").read_text())
    for record in index["records"]:
        array = group[f"values/{record['value']['arrays']['']}"]
        assert array.attrs["torch_dtype"] == record["dtype"] and list(array.shape) == record["shape"]
        there = torch.from_numpy(array[...].copy())
        assert torch.equal(bits(there), bits(cache[record["path"]])), record["path"]
        if record["dtype"] in ("float32", "float64", "bool", "int16", "complex128"):
            assert str(array.dtype) == record["dtype"]


def test_safetensors_reads_the_same(cache: ActivationCache, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    cache.save(tmp_path / "run.safetensors")
    with safetensors.safe_open(tmp_path / "run.safetensors", "pt") as file:
        index = json.loads(file.metadata()["index"])
        for record in index["records"]:
            tensor = file.get_tensor(str(record["value"]["arrays"][""]))
            assert torch.equal(bits(tensor), bits(cache[record["path"]])), record["path"]
            if record["dtype"] in ("float32", "bfloat16", "float8_e5m2", "uint32"):
                assert str(tensor.dtype) == f"torch.{record['dtype']}"


def test_every_field_is_described(cache: ActivationCache, tmp_path: Path) -> None:
    cache.save(tmp_path / "run.zarr")
    index = json.loads((tmp_path / "run.zarr" / "memviz.json").read_text())
    described = FORMAT.read_text()
    names = {*index, *index["arrays"][0], *index["records"][0], *index["records"][0]["stats"], *index["trace"]}
    assert [name for name in sorted(names) if f"`{name}`" not in described] == []


@pytest.mark.parametrize("labels", [["epoch 0"], ["epoch 0", 1], "epoch"])
def test_labels_that_do_not_fit_the_steps_are_refused(tmp_path: Path, labels: object) -> None:
    model, cache = torch.nn.Linear(2, 2), ActivationCache()
    for step in range(2):
        cache.record_step(model, torch.ones(1, 2), step=f"epoch {step}")
    cache.save(tmp_path / "run.zarr")
    forge(tmp_path / "run.zarr", {**index_of(tmp_path / "run.zarr"), "step_labels": labels})
    with pytest.raises(FormatError, match=r"'step_labels' of the index is .*; expected a (text for every step|list)"):
        ActivationCache.open(tmp_path / "run.zarr")


def test_a_capture_from_before_there_were_labels_opens(cache: ActivationCache, tmp_path: Path) -> None:
    cache.save(tmp_path / "run.zarr")
    index = index_of(tmp_path / "run.zarr")
    del index["step_labels"]
    forge(tmp_path / "run.zarr", index)
    assert ActivationCache.open(tmp_path / "run.zarr").step_labels == ()
