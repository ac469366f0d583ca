"""Every exception is ours and of the builtin kind that a user would catch."""

from __future__ import annotations

import inspect

import pytest

from memviz_widgets import errors

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_errors_are_ours_and_say_when_they_come(error: type[Exception]) -> None:
    assert issubclass(error, errors.MemvizError)
    assert error is errors.MemvizError or issubclass(error, (ValueError, TypeError, RuntimeError, OSError, ImportError))
    assert error.__doc__ and error.__doc__.endswith(".") and error.__name__.endswith("Error")


@pytest.mark.parametrize(("given", "hint"), [("conv", "; nearest is 'conv1'"), ("zzz", "")])
def test_nearest_hint(given: str, hint: str) -> None:
    assert errors.nearest_hint(given, ["conv1", "relu"]) == hint


def test_forward_error_has_no_cache_until_one_is_given() -> None:
    assert errors.ForwardError("text").cache is None
