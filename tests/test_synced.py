"""Synced: what every widget class of ours has in common."""

from __future__ import annotations

import pytest
from ipywidgets import Widget
from traitlets import Int

from memviz_widgets import views
from memviz_widgets.errors import UnknownOptionError
from memviz_widgets.selection import Selection
from memviz_widgets.synced import MODULE_VERSION, Synced

# Their constructors have tests of their own.
MADE_FROM_A_CACHE = (
    views.ActivationExplorer,
    views.AttentionExplorer,
    views.Comparison,
    views.FrameStore,
    views.HealthReport,
    views.MemoryCard,
    views.MemoryExplorer,
    views.Quiz,
    views.RecallLab,
    views.TopExamples,
)
WIDGETS = [Selection, *(each for name in views.__all__ if isinstance(each := getattr(views, name), type))]


def test_public_trait_without_help_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Counter\.count has no help text; say meaning, shape, unit and range"):

        class Counter(Synced):
            count = Int(0)


def test_public_trait_syncs_by_construction() -> None:
    class Counter(Synced):
        count = Int(0, help="How many.")

    assert Counter.class_traits()["count"].metadata["sync"] is True


@pytest.mark.parametrize("cls", [cls for cls in WIDGETS if cls not in MADE_FROM_A_CACHE])
def test_misspelt_keyword_names_the_nearest(cls: type[Widget]) -> None:
    known = next(name for name in cls.class_trait_names() if not name.startswith("_"))
    with pytest.raises(UnknownOptionError, match=rf"{cls.__name__} has no option '{known}_'; nearest is '{known}'"):
        cls(**{f"{known}_": 1})


@pytest.mark.parametrize("cls", WIDGETS)
def test_front_end_class_is_named_after_the_python_class(cls: type[Widget]) -> None:
    defaults = {name: trait.default() for name, trait in cls.class_traits().items() if name.startswith("_model")}
    assert defaults["_model_name"] == f"{cls.__name__}Model"
    assert defaults["_model_module_version"] == MODULE_VERSION
