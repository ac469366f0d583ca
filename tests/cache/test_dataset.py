"""A recorded data set holds what the layers gave, sample by sample, whatever the loader and the layers are like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import memviz_widgets as mv
from memviz_widgets.cache.dataset_statistics import HISTOGRAM_EDGES
from memviz_widgets.capture import LazyValue
from memviz_widgets.errors import (
    BudgetError,
    ClosedError,
    DatasetError,
    FormatError,
    InputError,
    LayersError,
    ModelError,
    SaveError,
    UnknownRecordError,
)
from memviz_widgets.frames import PageSource

from ..counted_files import counted
from .dataset_runs import BATCH, SAMPLES, batches, network, pictures, record

pytest.importorskip("zarr")


class Two(nn.Module):
    """A recurrent layer with time first, which returns a tuple, and a layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        states: Tensor = self.rnn(x.movedim(0, 1))[0]
        return states[-1] * scale


def expected(layer: int) -> Tensor:
    """What a layer gives, batch by batch."""
    model = network().eval()
    with torch.no_grad():
        return torch.cat([model[: layer + 1](batch) for batch, _ in batches()])


def test_values_are_those_of_a_forward_per_batch(tmp_path: Path) -> None:
    model = network().eval()
    dataset = record(tmp_path / "a.zarr", model=model)
    assert (dataset.samples, dataset.complete, len(dataset)) == (SAMPLES, True, 3)
    for layer in (0, 3, 4):
        assert torch.equal(dataset[str(layer)], expected(layer))
        assert torch.equal(dataset.sample(str(layer), 77), expected(layer)[77])
    assert dataset.find("0").dims == ("batch", "channel", "height", "width")
    assert not any(module._forward_hooks for module in model.modules())


def test_zarr_reads_it(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    dataset = record(tmp_path / "a.zarr", model=network().eval(), top_k=3)
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    for record_ in dataset.records:
        array = group[f"values/{record_.index}"]
        assert np.array_equal(array[:], dataset[record_.path].numpy())
        assert array.shards[0] == 48
        assert array.metadata.dimension_names == record_.dims
    assert group.attrs["memviz"]["top_k"] == 3


def test_statistics_and_examples_are_those_of_all_samples(tmp_path: Path) -> None:
    dataset = record(tmp_path / "a.zarr", model=network().eval(), top_k=7)
    values = expected(0).double()
    found = dataset.statistics("0")
    assert np.allclose(found.mean, values.mean((0, 2, 3)), rtol=1e-12)
    assert np.allclose(found.variance, values.var((0, 2, 3), unbiased=False), rtol=1e-12)
    for channel in range(4):
        flat = values[:, channel].reshape(SAMPLES, -1)
        assert np.array_equal(found.histogram[channel], np.histogram(flat.numpy(), HISTOGRAM_EDGES)[0])
        top = dataset.top("0", channel)
        order = flat.amax(1).argsort(descending=True, stable=True)[:7]
        assert [each.sample for each in top] == order.tolist()
        for each in top:
            assert values[each.sample, channel][each.position] == each.value == flat[each.sample].max()
    stats = dataset.find("0").stats
    assert stats is not None
    assert stats.mean == pytest.approx(values.mean().item())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_another_dtype_is_kept_and_counted(tmp_path: Path, dtype: torch.dtype) -> None:
    dataset = record(tmp_path / "a.zarr", model=network().eval(), dtype=dtype)
    kept = expected(0).to(dtype)
    assert torch.equal(dataset["0"], kept)
    assert np.allclose(dataset.statistics("0").mean, kept.double().mean((0, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("reduce", ["mean", "max"])
def test_places_are_reduced(tmp_path: Path, reduce: str) -> None:
    dataset = record(tmp_path / "a.zarr", model=network().eval(), reduce=reduce)
    values = expected(3)
    assert torch.equal(dataset["3"], values.mean((2, 3)) if reduce == "mean" else values.amax((2, 3)))
    assert torch.equal(dataset["4"], expected(4))  # nothing to reduce
    assert dataset.find("3").dims == ("batch", "channel")
    assert dataset.top("3", 1)[0].position == ()


def norms(values: Tensor) -> Tensor:
    return values.flatten(2).norm(dim=2) if values.dim() > 2 else values[:, :2]


def test_a_function_reduces(tmp_path: Path) -> None:
    dataset = record(tmp_path / "a.zarr", model=network().eval(), layers=["0"], reduce=norms)
    assert torch.equal(dataset["0"], norms(expected(0)))
    assert dataset.reduce.endswith(".norms")
    with pytest.raises(DatasetError, match="reduce gave a tensor \\(\\) for '0'; expected a real tensor with 16 rows"):
        record(tmp_path / "b.zarr", reduce=torch.sum)


def test_time_first_and_mappings_and_tuples(tmp_path: Path) -> None:
    x = torch.randn(10, 6, 3)
    model = Two().eval()
    dataset = mv.record_dataset(
        model, [{"x": part, "scale": 2.0} for part in x.split(4)], layers="rnn", to=tmp_path / "a.zarr"
    )
    with torch.no_grad():
        states = torch.cat([model.rnn(part.movedim(0, 1))[0] for part in x.split(4)], dim=1)
    assert torch.equal(dataset.get("rnn", item="0"), states.movedim(1, 0))
    assert dataset.find("rnn", item="0").dims == ("batch", "time", "channel")
    assert [record_.item for record_ in dataset.records] == ["0", "1"]


def test_call_runs_the_model(tmp_path: Path) -> None:
    dataset = record(tmp_path / "a.zarr", model=network().eval(), call=lambda model, batch: model(2 * batch[0]))
    model = network().eval()
    with torch.no_grad():
        assert torch.equal(dataset["0"][:BATCH], model[0](2 * pictures()[:BATCH]))


def test_the_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), nn.Flatten()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    dataset = record(tmp_path / "a.zarr", model=model, layers=["1"])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert float((dataset["1"] == 0).float().mean()) == pytest.approx(0.5, abs=0.05)  # dropout was on


def test_it_is_a_cache_to_views(tmp_path: Path) -> None:
    source = PageSource(record(tmp_path / "a.zarr", model=network().eval()))
    values = expected(0)
    cell = source.value(0, 150 * 4 + 2, 3, 4)
    assert cell.index == (150, 2, 3, 4)
    assert cell.number == pytest.approx(float(values[150, 2, 3, 4]))
    page = source.page(0, "frame", 0)
    assert page.highs[4 * 5 + 1] == float(values[5, 1].max())


def test_what_lies_side_by_side_is_read_at_once() -> None:
    with counted() as files:
        dataset = record("counted://b/a.zarr", model=network().eval())  # type: ignore[arg-type]  # shards of 48
        value = dataset.value(dataset.find("3"))
        assert isinstance(value, LazyValue)
        for first, stop in ((0, SAMPLES), (5, 60), (47, 49), (200, 203), (7, 7)):
            files.requests.clear()
            part = value.read((slice(first, stop), slice(1, 3), 2, slice(0, 2)))
            assert torch.equal(part, expected(3)[first:stop, 1:3, 2, 0:2])
            shards = len({sample // 48 for sample in range(first, stop)})
            assert [each.verb for each in files.requests] == ["GET"] * shards
        files.objects["b/a.zarr/values/1/c.2.0.0.0"] = files.objects["b/a.zarr/values/1/c.2.0.0.0"][:3000]
        with pytest.raises(FormatError, match=r"'values/1/c.2.0.0.0' is cut off: chunk "):
            value.load()


def test_memory_of_a_url(tmp_path: Path) -> None:
    dataset = record("memory://tests/a.zarr", model=network().eval())  # type: ignore[arg-type]
    assert torch.equal(mv.open_dataset("memory://tests/a.zarr")["0"], dataset["0"])
    assert torch.equal(dataset["0"], expected(0))


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"reduce": "median"}, DatasetError, "reduce='median'; expected None"),
    ({"dtype": torch.complex64}, DatasetError, "expected a real dtype"),
    ({"top_k": -1}, DatasetError, "top_k=-1"),
    ({"chunk": "much"}, BudgetError, "chunk='much'"),
    ({"layers": ["convv"]}, LayersError, "no module matches 'convv'"),
    ({"call": 3}, InputError, "function of model and batch"),
    ({"loader": []}, DatasetError, "gave no batch"),
    (
        {"loader": [torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 9, 9)], "layers": ["0"]},
        DatasetError,
        "batch 1: '0' gave 0: 4 x 7 x 7",
    ),
    ({"loader": [["text"]]}, InputError, "x is a str"),
]


@pytest.mark.parametrize(("options", "kind", "text"), BAD, ids=[text for _, _, text in BAD])
def test_errors_say_what_is_wrong(tmp_path: Path, options: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        record(tmp_path / "a.zarr", **options)


def test_layers_that_do_not_fit_are_named(tmp_path: Path) -> None:
    x = [torch.randn(4, 6, 3)]
    with pytest.raises(DatasetError, match="the layer 'unused' returned nothing in the first batch"):
        mv.record_dataset(Two(), x, layers=["rnn", "unused"], to=tmp_path / "a.zarr")
    with pytest.raises(DatasetError, match="'0' has no axis of samples: its dims are \\(time, a, channel\\)"):
        mv.record_dataset(nn.Sequential(nn.Linear(3, 2)), x, dims={"0": "time a channel"}, to=tmp_path / "a.zarr")
    with pytest.raises(DatasetError, match=r"'0' is empty: \(4, 0\)"):
        mv.record_dataset(nn.Sequential(nn.Flatten(), nn.Identity()), [x[0][:, :0]], layers="0", to=tmp_path / "a.zarr")
    with pytest.raises(ModelError, match="has no size yet"):
        mv.record_dataset(nn.Sequential(nn.LazyLinear(3)), x, to=tmp_path / "a.zarr")
    with pytest.raises(SaveError, match=r"does not end with '.zarr'"):
        mv.record_dataset(Two(), x, layers=["rnn"], to=tmp_path / "a")
    assert not (tmp_path / "a.zarr").exists()


def test_reading_refuses_what_is_not_there(tmp_path: Path) -> None:
    dataset = record(tmp_path / "a.zarr")
    with pytest.raises(DatasetError, match="no sample 203; 203 are recorded"):
        dataset.sample("0", SAMPLES)
    with pytest.raises(DatasetError, match="no channel 4 in '0'; it has 4"):
        dataset.top("0", 4)
    with pytest.raises(UnknownRecordError):
        dataset.statistics("1")
    dataset.close()
    with pytest.raises(ClosedError):
        dataset.sample("0", 0)


def test_damage_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    record(folder)
    with pytest.raises(FormatError, match="there is nothing at this path"):
        mv.open_dataset(tmp_path / "b.zarr")
    shard = folder / "values" / "0" / "c.1.0.0.0"
    data = bytearray(shard.read_bytes())
    data[5] ^= 1
    shard.write_bytes(data)
    dataset = mv.open_dataset(folder)
    assert dataset.sample("0", 0).shape == (4, 6, 6)
    with pytest.raises(FormatError, match="the checksum of chunk"):
        dataset.sample("0", 48)
    shard.write_bytes(data[:100])
    with pytest.raises(FormatError, match="is cut off"):
        mv.open_dataset(folder).sample("0", 95)
    commit = folder / "commit.safetensors"
    commit.write_bytes(commit.read_bytes()[:-8])
    with pytest.raises(FormatError, match=r"checksum of commit.safetensors"):
        mv.open_dataset(folder)
    (tmp_path / "c.zarr").mkdir()
    (tmp_path / "c.zarr" / "zarr.json").write_text('{"attributes": {}}')
    with pytest.raises(FormatError, match=r"no data set that mv.record_dataset wrote"):
        mv.open_dataset(tmp_path / "c.zarr")
    with pytest.raises(SaveError, match="is no data set that can be gone on with"):
        record(tmp_path / "c.zarr")
