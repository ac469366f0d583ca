"""CacheEntries from Python: what it can be told."""

from __future__ import annotations

import pytest
from traitlets import TraitError

from memviz_widgets.errors import UnknownOptionError
from memviz_widgets.views import CacheEntries
from tests.views.bare_view import bare


def test_shows_the_norms_of_the_keys_until_told_otherwise() -> None:
    with bare(CacheEntries) as view:
        assert view.measure == "key norm"
        view.measure = "attention received"
        assert repr(view) == "CacheEntries(measure='attention received')"


def test_unknown_measure_is_refused() -> None:
    with bare(CacheEntries) as view, pytest.raises(TraitError, match="measure"):
        view.measure = "mass"


def test_misspelt_keyword_names_the_nearest() -> None:
    message = "no option 'mesure'; nearest is 'measure'"
    with pytest.raises(UnknownOptionError, match=message), bare(CacheEntries, mesure="bytes"):
        pass
