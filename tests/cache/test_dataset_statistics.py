"""Statistics and top examples that are merged piece by piece are those of all values at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from memviz_widgets.cache.dataset_statistics import BINS, HISTOGRAM_EDGES, ChannelTally, summary_of
from memviz_widgets.cache.dataset_top import Example, TopTally
from memviz_widgets.capture import tensor_stats


def pieces(values: Tensor, *sizes: int) -> list[Tensor]:
    return list(values.split([*sizes, len(values) - sum(sizes)]))


def tallied(values: Tensor, *sizes: int) -> ChannelTally:
    tally = ChannelTally(values.shape[1])
    for piece in pieces(values, *sizes):
        tally.add(piece)
    return tally


def awkward(dtype: torch.dtype) -> Tensor:
    """Far from zero in one channel, tiny in another, zeros, NaN and Inf."""
    values = torch.randn(200, 5, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    values[:, 1] += 1e4
    values[:, 2] *= 1e-12
    values[:, 3].clamp_(min=0)
    values[3, 4, 2], values[9, 4, 0], values[9, 4, 1], values[120, 4, 6] = torch.nan, torch.inf, torch.inf, -torch.inf
    return values


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_statistics_are_those_of_the_whole_matrix(dtype: torch.dtype) -> None:
    values = awkward(dtype)
    found = tallied(values, 1, 0, 64, 100).statistics()
    for channel in range(values.shape[1]):
        everything = values[:, channel].double().numpy().ravel()
        finite = everything[np.isfinite(everything)]
        assert found.count[channel] == everything.size
        assert found.mean[channel] == pytest.approx(finite.mean(), rel=1e-12, abs=1e-25)
        assert found.variance[channel] == pytest.approx(finite.var(), rel=1e-9)
        assert (found.min[channel], found.max[channel]) == (finite.min(), finite.max())
        assert found.zeros[channel] == np.mean(everything == 0)
        assert found.nan[channel] == np.isnan(everything).sum()
        assert found.posinf[channel] == np.isposinf(everything).sum()
        assert found.neginf[channel] == np.isneginf(everything).sum()
        # No value is exactly a power of two, where the two sides of zero are closed at different ends.
        assert np.array_equal(found.histogram[channel], np.histogram(finite, HISTOGRAM_EDGES)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bins_are_closed_at_the_edge_that_is_nearer_to_zero(dtype: torch.dtype) -> None:
    edges = torch.tensor(HISTOGRAM_EDGES[1:-1], dtype=dtype)
    both = torch.cat([edges, torch.nextafter(edges, torch.zeros(())), torch.tensor([0.0, -0.0], dtype=dtype)])
    found = tallied(both.view(-1, 1, 1)).statistics().histogram[0]
    expected = np.zeros(BINS, np.int64)
    half = len(edges) // 2
    for place in range(len(edges)):
        expected[place if place < half else place + 1] += 1  # the edge itself: with the larger magnitudes
        expected[place + 1 if place < half else place] += 1  # a little nearer to zero: the next bin
    expected[BINS // 2] += 2
    assert np.array_equal(found, expected)


def test_a_summary_is_that_of_all_elements() -> None:
    values = awkward(torch.float64)
    found, expected = summary_of(tallied(values, 50).statistics()), tensor_stats(values)
    assert (found.min, found.max, found.zeros, found.count) == (
        expected.min,
        expected.max,
        expected.zeros,
        expected.count,
    )
    assert (found.nan, found.posinf, found.neginf) == (expected.nan, expected.posinf, expected.neginf)
    assert found.mean == pytest.approx(expected.mean)
    assert found.std == pytest.approx(expected.std)


def test_nothing_finite_has_no_mean() -> None:
    found = tallied(torch.full((4, 2, 3), torch.nan)).statistics()
    assert np.isnan(found.mean).all()
    assert np.isnan(found.variance).all()
    assert found.nan.tolist() == [12, 12]
    assert summary_of(found).mean is None


def test_a_state_goes_on_bit_by_bit() -> None:
    values = awkward(torch.float32)
    whole = tallied(values, 40, 60)
    first = tallied(values[:100], 40)
    second = ChannelTally(values.shape[1])
    second.restore({name: array.copy() for name, array in first.state().items()})
    second.add(values[100:])
    for name, array in whole.state().items():
        assert array.tobytes() == second.state()[name].tobytes(), name


def sorted_examples(values: Tensor, channel: int, most: int) -> list[tuple[int, float, int]]:
    """By a full sort: value falling, then the number of the sample; the first place of the value."""
    maps = np.nan_to_num(values[:, channel].double().numpy(), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    loudest = maps.max(1)
    order = sorted(range(len(maps)), key=lambda sample: (-loudest[sample], sample))
    kept = [sample for sample in order if loudest[sample] > -np.inf][:most]
    return [(sample, float(loudest[sample]), int(maps[sample].argmax())) for sample in kept]


@pytest.mark.parametrize("most", [1, 5, 300])
def test_top_examples_are_those_of_a_full_sort(most: int) -> None:
    values = awkward(torch.float32)
    values[:, 0] = values[:, 0].round()  # many ties
    values[17, 0], values[18, 1] = torch.nan, -torch.inf
    tally, first = TopTally(5, most), 0
    for piece in pieces(values, 3, 50, 0, 100):
        tally.add(piece, first)
        first += len(piece)
    for channel in range(5):
        found = [(each.sample, each.value, each.position[0]) for each in tally.examples(channel, (7,))]
        assert found == sorted_examples(values, channel, most)


def test_positions_are_places_on_the_map() -> None:
    values = torch.zeros(3, 2, 12)
    values[1, 1, 7] = 2.5
    tally = TopTally(2, 2)
    tally.add(values, 10)
    assert tally.examples(1, (3, 4)) == (Example(11, 2.5, (1, 3)), Example(10, 0.0, (0, 0)))
    assert TopTally(2, 0).examples(0, ()) == ()
