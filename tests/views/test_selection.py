"""Selection: indices that exist, names of layers, moves between records."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

import memviz_widgets as mv
from memviz_widgets.errors import SelectionError
from memviz_widgets.selection import Selection
from memviz_widgets.views import FrameStore
from tests.frames.fake_cache import FakeCache

Make = Callable[..., mv.ActivationExplorer]


def test_layer_takes_a_name(make_explorer: Make) -> None:
    selection = make_explorer().selection
    selection.layer = "2"
    assert (selection.layer, selection.path) == (2, "2")


def test_unknown_layer_name_names_the_nearest(make_explorer: Make) -> None:
    selection = make_explorer().selection
    with pytest.raises(SelectionError, match=r"no layer 'modle' \(5 recorded\); nearest is '\(model\)'"):
        selection.layer = "modle"


def test_index_outside_the_record_is_refused(make_explorer: Make) -> None:
    selection = make_explorer().selection
    with pytest.raises(SelectionError, match=r"channel 4 is not in '0'; expected 0 \.\. 3\."):
        selection.channel = 4
    assert selection.channel == 0


def test_index_of_a_wrong_type_is_refused(make_explorer: Make) -> None:
    selection = make_explorer().selection
    with pytest.raises(SelectionError, match=r"layer is 1\.5; expected a layer's position"):
        selection.layer = 1.5


def test_changing_the_layer_moves_the_other_indices_into_it(make_explorer: Make) -> None:
    selection = make_explorer().selection
    selection.layer = "2"
    selection.channel = 143
    selection.layer = "3"
    assert selection.channel == 4


def test_state_from_the_browser_is_moved_not_refused(make_explorer: Make) -> None:
    selection = make_explorer().selection
    selection.set_state({"layer": 4, "channel": 99})
    assert (selection.layer, selection.channel) == (4, 4)


def test_repr_names_place_only(make_explorer: Make) -> None:
    selection = make_explorer().selection
    selection.channel = 2
    assert repr(selection) == "Selection('0', channel=2, sample=0)"


@pytest.mark.parametrize("index", [torch.tensor([0.1, 0.2, 0.9, 0.3]).argmax(), np.int64(2), 2.0])
def test_index_may_be_a_number_of_torch_or_numpy(make_explorer: Make, index: object) -> None:
    selection = make_explorer().selection
    selection.channel = index
    assert selection.channel == 2 and type(selection.channel) is int


def test_index_that_is_no_number_is_refused(make_explorer: Make) -> None:
    selection = make_explorer().selection
    with pytest.raises(SelectionError, match=r"channel is 'a'; expected a whole number, as in selection\.channel"):
        selection.channel = "a"


def test_extent_of_an_unknown_axis_names_the_nearest(make_explorer: Make) -> None:
    with pytest.raises(SelectionError, match=r"no axis 'chanel'; nearest is 'channel'\. Axes: layer, step, call"):
        make_explorer().selection.extent("chanel")


def test_refused_batch_of_changes_is_undone(make_explorer: Make) -> None:
    selection = make_explorer().selection
    with pytest.raises(SelectionError, match="channel 999"), selection.hold_trait_notifications():
        selection.channel = 999
    assert selection.channel == 0


@pytest.fixture
def stepped() -> Iterator[Selection]:
    """Three steps: "a" runs with 4 channels in step 0 and twice with 2 in step 2, "b" in step 1 alone."""
    cache = FakeCache(*((torch.ones(1, size), ("batch", "channel")) for size in (4, 3, 2, 2)))
    for index, (path, step, call) in enumerate((("a", 0, 0), ("b", 1, 0), ("a", 2, 0), ("a", 2, 1))):
        cache.change(index, path=path, step=step, call=call)
    store = FrameStore(cache)  # type: ignore[arg-type]
    selection = Selection(store=store)
    yield selection
    selection.close()
    store.close()


def test_step_and_call_choose_the_record(stepped: Selection) -> None:
    stepped.step = 2
    stepped.call = 1
    assert (stepped.record, stepped.extent("step"), stepped.extent("call")) == (3, 3, 2)
    stepped.step = 0
    assert (stepped.record, stepped.call, stepped.extent("call")) == (0, 0, 1)


def test_layer_that_did_not_run_in_the_step_keeps_the_other_indices(stepped: Selection) -> None:
    stepped.channel = 3
    stepped.step = 1
    assert (stepped.record, stepped.channel, stepped.extent("channel")) == (-1, 3, 4)
    stepped.step = 2
    assert (stepped.record, stepped.channel) == (2, 1)


def test_step_before_the_first_run_of_a_layer_has_the_extents_of_that_run(stepped: Selection) -> None:
    stepped.layer = "b"
    assert (stepped.record, stepped.extent("channel"), stepped.extent("call")) == (-1, 3, 1)


def test_step_that_was_not_recorded_is_refused(stepped: Selection) -> None:
    with pytest.raises(SelectionError, match=r"step 3 is not in 'a'; expected 0 \.\. 2\."):
        stepped.step = 3


def test_repr_names_the_step_where_there_are_several(stepped: Selection) -> None:
    stepped.step = 2
    assert repr(stepped) == "Selection('a', step=2, channel=0)"
