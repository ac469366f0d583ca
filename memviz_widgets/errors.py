"""Every exception of the package, one sentence each.

Those about a trait are TraitErrors too: for no other does traitlets undo a batch of changes
(``hold_trait_notifications``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import traitlets


class MemvizError(Exception):
    """Base of every error of this package."""


class UnknownOptionError(MemvizError, TypeError):
    """A keyword that the called class or function does not have."""


class ModelError(MemvizError, TypeError):
    """What was given as a model is not one that hooks can be put on."""


class InputError(MemvizError, TypeError):
    """What was given as the model's input cannot be passed to it as it stands."""


class AdapterError(MemvizError, TypeError):
    """What was given as a memory adapter cannot be one."""


class LayersError(MemvizError, ValueError):
    """A pattern in ``layers=`` that matches no module of the model."""


class DimsError(MemvizError, ValueError):
    """An entry of ``dims=`` that does not fit the model or the tensor it names."""


class BudgetError(MemvizError, ValueError):
    """A byte budget that is not a number of bytes, or that is too small for the least that it must hold."""


class ForwardError(MemvizError, RuntimeError):
    """The model's own forward raised: ``__cause__`` is its error, ``cache`` what was recorded before it."""

    cache: Any = None


class UnknownRecordError(MemvizError, ValueError):
    """A path, kind, call or item that was not recorded."""


class NotKeptError(MemvizError, RuntimeError):
    """A record whose values were not kept; the text says why and how to get them."""


class NotReproducibleError(NotKeptError):
    """A record whose values were dropped and whose replay gave other values, which are never shown in their place."""


class RecordingError(MemvizError, RuntimeError):
    """A recording that was started twice, started inside another one of the same model, or looked at too early."""


class SpillError(MemvizError, OSError):
    """A spill folder that cannot be made, written to or read."""


class SaveError(MemvizError, OSError):
    """A capture or page that cannot be saved where it was asked to: the path is taken, no capture's, not writable."""


class FrontEndError(MemvizError, RuntimeError):
    """A built script, ours or bqplot's, that is not where its wheel puts it."""


class FrozenError(MemvizError, ValueError):
    """A view that cannot live in a page without a kernel: a part is closed, or of another package's kind."""


class FormatError(MemvizError, ValueError):
    """A file or folder that is no saved capture, is damaged or tampered with, or was saved by a newer version."""


class MissingExtraError(MemvizError, ImportError):
    """A feature whose optional dependency is not installed; the text names the extra to install."""


class ClosedError(MemvizError, RuntimeError):
    """A cache that was closed and has no values any more."""


class DatasetError(MemvizError, ValueError):
    """A model, loader or option of a data set's recording that does not fit: the layer, or what was begun before."""


class CheckpointError(MemvizError, ValueError):
    """A checkpoint that cannot be read or does not fit its model: ``cache`` is what was recorded before it."""

    cache: Any = None


class AlignmentError(MemvizError, ValueError):
    """Two caches of which no record can be compared: nothing has the same path, kind, call, step and shape."""


class EditError(MemvizError, ValueError):
    """An edit of a what-if that does not fit what it edits: its axis, position, shape or kind."""


class WhatIfError(MemvizError, RuntimeError):
    """A what-if that cannot be run: the model is gone or was changed, or its input was not kept."""


class GatherError(MemvizError, RuntimeError):
    """A rank that did not take part in gathering a capture: ``cache`` is what this rank recorded."""

    cache: Any = None


def nearest_hint(given: str, known: Iterable[str], cutoff: float = 0.4) -> str:
    """``"; nearest is 'name'"`` for the known name most like ``given``, or ``""`` when none is like it.

    ``cutoff``: least likeness, 0 .. 1, as in difflib.
    """
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=cutoff)
    return f"; nearest is {close[0]!r}" if close else ""


class WeightsError(MemvizError, ValueError):
    """What was given to a measure of attention is no attention weights, or does not fit them: ids, heads, layers."""


class MeasureError(MemvizError, ValueError):
    """What was given to a measure of memory does not fit it: axes, ranges, lengths, counts."""


class PageRefusedError(MemvizError, ValueError):
    """A page or value that cannot be had: no such record, kind, page or cell, or a record without a value."""


class UnknownColormapError(MemvizError, ValueError, traitlets.TraitError):
    """A colour map that is not among the built-in ones."""


class SourceError(MemvizError, TypeError):
    """What was given to a view is neither a model with its input nor a cache."""


class SelectionError(MemvizError, ValueError, traitlets.TraitError):
    """An index or a layer's name that the recording does not have."""


class QuizError(MemvizError, ValueError):
    """A view, question, answer or list of choices that does not make a question."""


class ColorRangeError(MemvizError, ValueError, traitlets.TraitError):
    """An end of the colour range that is not a finite number."""
