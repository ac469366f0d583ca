"""QuizForm: a question, a choice for each axis that is asked, and what is said of it; decided in the browser."""

from __future__ import annotations

from typing import Any

from ipywidgets import DOMWidget, register, widget_serialization
from traitlets import Bool, Dict, Instance, Int, List, Unicode

from ..selection import Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced


@register
class QuizForm(Synced, DOMWidget):
    """The part of a Quiz that asks. "check" compares, moves the selection and reveals; "try again" hides again.

    All of it works without the kernel, which only hears of ``chosen``, ``attempts`` and ``revealed``.
    """

    _model_name = Unicode("QuizFormModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("QuizFormView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    selection: Any = Instance(Selection, help="The cursor of the hidden view, moved when it is revealed.").tag(
        **widget_serialization
    )
    ahead: Any = Instance(
        Selection, help="A cursor at the answer that no view shows: its pictures are there before they are revealed."
    ).tag(**widget_serialization)
    question: Any = Unicode(help="What is asked, plain text.")
    hint: Any = Unicode(help='Shown when asked for, plain text; "" = there is none.')
    explanation: Any = Unicode(help='Shown with the answer, plain text; "" = there is none.')
    fields: Any = List(Dict(), help="What is chosen and what is right, by axis (frames.entries.QuizField).")
    chosen: Any = Dict(value_trait=Int(), help="Position chosen now, by trait of the selection; {} = none yet.")
    attempts: Any = List(Dict(), help="What was chosen at each check, the first first, each as in chosen.")
    revealed: Any = Bool(False, help="Whether the answer was checked and the view is shown.")
