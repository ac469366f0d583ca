"""Which dims are the picture, which are sliders, and how frames are paged."""

from __future__ import annotations

import pytest

from memviz_widgets.frames.plan import PAGE_BYTES, Picture, RecordPlan, plan_record


def frame_of(plan: RecordPlan) -> Picture:
    assert plan.frame is not None
    return plan.frame


def sheet_of(plan: RecordPlan) -> Picture:
    assert plan.sheet is not None
    return plan.sheet


def sides(picture: Picture) -> tuple[str, str]:
    return (picture.row.dim if picture.row else "", picture.col.dim if picture.col else "")


def traits(picture: Picture) -> list[tuple[str, int]]:
    return [(axis.trait, axis.size) for axis in picture.axes]


PICTURES = [
    ("batch channel height width", ("height", "width"), ["sample", "channel"]),
    ("batch channel depth height width", ("height", "width"), ["sample", "depth", "channel"]),
    ("batch time channel height width", ("height", "width"), ["sample", "time", "channel"]),
    ("batch time channel", ("time", "channel"), ["sample"]),
    ("time batch channel", ("time", "channel"), ["sample"]),
    ("batch channel time", ("time", "channel"), ["sample"]),
    ("time channel", ("time", "channel"), []),
    ("batch head query key", ("query", "key"), ["sample", "head"]),
    ("time batch slot width", ("slot", "width"), ["sample", "time"]),
    ("batch slot channel", ("slot", "channel"), ["sample"]),
    ("batch channel", ("batch", "channel"), []),
    ("channel batch", ("batch", "channel"), []),
    ("batch", ("", "batch"), []),
    ("channel", ("", "channel"), []),
    ("batch channel width", ("channel", "width"), ["sample"]),
    ("batch layer axis0 axis1", ("axis0", "axis1"), ["sample", "axis"]),
    ("layer fold axis0 axis1", ("axis0", "axis1"), ["axis", "axis2"]),
    ("step batch channel", ("batch", "channel"), ["axis"]),  # the trait "step" chooses the record
    ("", ("", ""), []),
]


@pytest.mark.parametrize(("dims", "picture", "axes"), PICTURES)
def test_picture_and_axes(dims: str, picture: tuple[str, str], axes: list[str]) -> None:
    names = tuple(dims.split())
    plan = plan_record(names, tuple(range(2, 2 + len(names))))
    assert sides(frame_of(plan)) == picture
    assert [axis.trait for axis in frame_of(plan).axes] == axes


def test_more_samples_than_rows_have_a_slider() -> None:
    for dims, shape in ((("batch", "channel"), (1025, 7)), (("channel", "batch"), (7, 1025))):
        plan = plan_record(dims, shape)
        assert sides(frame_of(plan)) == ("", "channel")
        assert traits(frame_of(plan)) == [("sample", 1025)]
        assert (frame_of(plan).rows, frame_of(plan).cols) == (1, 7)
    assert sides(frame_of(plan_record(("batch", "channel"), (1024, 7)))) == ("batch", "channel")


def test_extents_name_the_picture_dims_that_have_a_trait() -> None:
    assert dict(plan_record(("batch", "time", "channel"), (2, 7, 5)).extents) == {"sample": 2, "time": 7, "channel": 5}
    assert dict(plan_record(("batch", "channel", "height", "width"), (2, 3, 8, 9)).extents) == {
        "sample": 2,
        "channel": 3,
    }


def test_more_unnamed_dims_than_sliders_stay_at_index_0() -> None:
    plan = plan_record(("a", "b", "c", "d", "height", "width"), (2, 3, 4, 5, 6, 7))
    assert traits(frame_of(plan)) == [("axis", 2), ("axis2", 3)]
    assert plan.fixed == ("c", "d") and frame_of(plan).fixed == (2, 3)


def test_dim_named_twice_gets_a_free_slider() -> None:
    plan = plan_record(("batch", "batch", "height", "width"), (2, 3, 6, 7))
    assert traits(frame_of(plan)) == [("sample", 2), ("axis", 3)]


def test_empty_record_has_no_picture() -> None:
    assert plan_record(("batch", "channel"), (0, 3)) == RecordPlan((), None, (), None, None, None)


def test_frame_is_pooled_to_1024_cells_a_side() -> None:
    frame = frame_of(plan_record(("height", "width"), (8192, 1000)))
    assert (frame.pool_rows, frame.rows, frame.pool_cols, frame.cols) == (8, 1024, 1, 1000)


def test_page_is_about_half_a_megabyte() -> None:
    frame = frame_of(plan_record(("batch", "channel", "height", "width"), (1, 128, 224, 224)))
    assert frame.frames_per_page == PAGE_BYTES // (224 * 224 + 16) == 10
    assert (frame.frames, frame.pages) == (128, 13)


def test_page_has_at_least_one_frame() -> None:
    assert frame_of(plan_record(("channel", "height", "width"), (3, 1024, 1024))).frames_per_page == 1


def test_tile_is_the_picture_within_32_cells_a_side() -> None:
    sheet = sheet_of(plan_record(("batch", "channel", "height", "width"), (2, 64, 112, 20)))
    assert (sheet.rows, sheet.cols, sheet.pool_rows, sheet.pool_cols) == (28, 20, 4, 1)
    assert traits(sheet) == [("sample", 2), ("channel", 64)]


def test_page_of_tiles_holds_whole_sheets() -> None:
    sheet = sheet_of(plan_record(("batch", "channel", "height", "width"), (99, 64, 32, 32)))
    assert sheet.frames_per_page == 448, "7 sheets of 64 tiles: 504 tiles of 1,040 bytes would fit"


def test_page_of_tiles_of_large_pictures_is_short() -> None:
    sheet = sheet_of(plan_record(("channel", "height", "width"), (64, 2048, 2048)))
    assert sheet.frames_per_page == 8, "8 x 4 Mi elements are read for it"


def test_tile_of_time_and_channel_is_one_cell() -> None:
    sheet = sheet_of(plan_record(("time", "batch", "channel"), (7, 2, 5)))
    assert (sheet.rows, sheet.cols) == (1, 1)
    assert traits(sheet) == [("sample", 2), ("time", 7), ("channel", 5)]


def test_tile_of_batch_and_channel_is_one_cell() -> None:
    assert traits(sheet_of(plan_record(("batch", "channel"), (4, 6)))) == [("sample", 4), ("channel", 6)]


def test_tile_of_channel_and_width_is_a_row() -> None:
    sheet = sheet_of(plan_record(("batch", "channel", "width"), (2, 6, 40)))
    assert (sheet.rows, sheet.cols, sheet.pool_cols) == (1, 20, 2)
    assert traits(sheet) == [("sample", 2), ("channel", 6)]


def test_no_sheet_without_channels() -> None:
    assert plan_record(("batch", "head", "query", "key"), (1, 2, 3, 3)).sheet is None


def test_100_000_channels_are_pooled_and_paged() -> None:
    plan = plan_record(("batch", "channel"), (1, 100_000))
    assert (frame_of(plan).pool_cols, frame_of(plan).cols) == (98, 1021)
    assert (sheet_of(plan).frames_per_page, sheet_of(plan).pages) == (1024, 98)


def test_series_run_along_time_one_per_sample_and_channel() -> None:
    series = plan_record(("time", "batch", "channel"), (7, 2, 5)).series
    assert series is not None
    assert sides(series) == ("", "time") and traits(series) == [("sample", 2), ("channel", 5)]


def test_long_series_is_pooled() -> None:
    series = plan_record(("time", "channel"), (10_000, 2)).series
    assert series is not None and (series.pool_cols, series.cols) == (3, 3334)


@pytest.mark.parametrize("dims", ["batch channel height width", "batch time", "batch time channel height width"])
def test_no_series_without_time_and_channel_alone(dims: str) -> None:
    names = tuple(dims.split())
    assert plan_record(names, (2, 3, 4, 5, 6)[: len(names)]).series is None
