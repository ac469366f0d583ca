"""Quiz: predict, then reveal: a view that stays hidden until a student has chosen.

In: a view, a question and its answer. Out: one widget that asks, checks and reveals in the browser, without the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ipywidgets import VBox, Widget, register, widget_serialization
from traitlets import Instance, Unicode

from ..errors import ClosedError, QuizError
from ..selection import AXES, Selection
from ..synced import MODULE_NAME, MODULE_VERSION, Synced
from .attention_explorer import AttentionExplorer
from .lifecycle import close_all
from .memory_explorer import MemoryExplorer
from .quiz_fields import quiz_fields
from .quiz_form import QuizForm


@register
class Quiz(Synced, VBox):
    """Predict, then reveal: ``mv.Quiz(explorer, "Which channel answers to vertical strokes?", {"channel": 20})``.

    The view is hidden until the student has chosen and pressed "check". Then it is shown at the answer, with the
    student's own pick one click away. The question is about the place at which the selection of the view is now: its
    layer, sample, timestep ... apart from what is asked. Other views of the same recording on the page are not hidden,
    and move along: give the hidden view ``link=False`` where that is not wanted.

    It needs no kernel: it works while a cell runs, in a page with saved widget state and in an exported page.

    Args:
        view: an explorer, the box of ``mv.explore``, or another view with a ``selection``.
        question: what is asked, plain text; line breaks are kept.
        answer: what is asked, each a trait of the selection, with the value that is right or a set of them:
            ``{"channel": 20}``, ``{"layer": "encoder.0.attn attention", "head": {3, 5}}``. All must be right.
        choices: what can be chosen: a list of values, or how many (the wrong ones are then drawn, for the same question
            always the same); where several axes are asked, a mapping of trait to either. None offers every position: a
            button for each on a short axis, a number field on a long one, layers and tokens by name.
        hint: shown when asked for. explanation: shown with the answer. Plain text.

    Attributes:
        view: what is hidden. selection: its cursor.
        form: the part that asks (QuizForm): observe ``form.chosen``, ``form.attempts``, ``form.revealed``.

    Raises:
        SelectionError: for a trait or a value that the recording does not have, naming what there is.
        QuizError: when view, question, answer or choices do not make a question.
        ClosedError: when the view is closed.
    """

    _model_name = Unicode("QuizModel").tag(sync=True)
    _model_module = Unicode(MODULE_NAME).tag(sync=True)
    _model_module_version = Unicode(MODULE_VERSION).tag(sync=True)
    _view_name = Unicode("QuizView").tag(sync=True)
    _view_module = Unicode(MODULE_NAME).tag(sync=True)
    _view_module_version = Unicode(MODULE_VERSION).tag(sync=True)

    form: Any = Instance(QuizForm, help="The question and the choices.").tag(**widget_serialization)
    view: Any = Instance(Widget, help="What is hidden until the answer was checked.").tag(**widget_serialization)

    _open = False

    def __init__(
        self,
        view: Any,
        question: str,
        answer: Mapping[str, Any],
        *,
        choices: int | Iterable[Any] | Mapping[str, Any] | None = None,
        hint: str | None = None,
        explanation: str | None = None,
    ) -> None:
        selection = _selection_of(view)
        texts = {"question": question, "hint": hint or "", "explanation": explanation or ""}
        _check_texts(texts)
        ahead = Selection(store=selection.store)
        try:
            for axis in AXES:
                setattr(ahead, axis, getattr(selection, axis))
            fields = quiz_fields(ahead, answer, choices, question, _layers_of(view, selection))
        except Exception:
            ahead.close()
            raise
        form = QuizForm(selection=selection, ahead=ahead, fields=fields, **texts)
        self._open = True
        super().__init__(form=form, view=view, children=(form, view))

    @property
    def selection(self) -> Selection:
        """The cursor of the hidden view."""
        found: Selection = self.form.selection
        return found

    @property
    def chosen(self) -> dict[str, Any]:
        """What is chosen now, by trait, a layer by its name; {} before the first choice."""
        return self._named(self.form.chosen)

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """What was chosen at each check, the first first."""
        return [self._named(attempt) for attempt in self.form.attempts]

    @property
    def revealed(self) -> bool:
        """Whether the view is shown."""
        return bool(self.form.revealed)

    @property
    def correct(self) -> bool | None:
        """Whether the answer that was checked is right; None while there is none."""
        if not self.revealed:
            return None
        return all(self.form.chosen.get(field["trait"]) in field["right"] for field in self.form.fields)

    def reset(self) -> None:
        """Hide the view and forget what was chosen, also the attempts.

        Raises:
            ClosedError: after ``close()``.
        """
        if not self._open:
            raise ClosedError("this quiz is closed; make another one to ask again.")
        with self.form.hold_sync():
            self.form.revealed, self.form.chosen, self.form.attempts = False, {}, []

    def close(self) -> None:
        """Close the question. The view stays open, for it was there before. Again does nothing."""
        if not self._open:
            return
        self._open = False
        form = self.form
        close_all([self.layout, form.layout, form.ahead, form])
        super().close()

    def __repr__(self) -> str:
        if not self._open:
            return "Quiz(closed)"
        asked = ", ".join(field["name"] for field in self.form.fields)
        state = "not answered" if self.correct is None else "right" if self.correct else "wrong"
        return f"Quiz({asked}: {state})"

    def _named(self, chosen: Mapping[str, int]) -> dict[str, Any]:
        """Positions by trait, in the order in which they are asked, with the layer by its name."""
        layers = self.selection.store.catalog["layers"]
        asked = [field["trait"] for field in self.form.fields if field["trait"] in chosen]
        return {trait: layers[chosen[trait]]["label"] if trait == "layer" else chosen[trait] for trait in asked}


def _selection_of(view: Any) -> Selection:
    selection = getattr(view, "selection", None)
    if not isinstance(view, Widget) or not isinstance(selection, Selection):
        what = f"the class {view.__name__}" if isinstance(view, type) else f"a {type(view).__name__}"
        raise QuizError(f"view is {what}; expected a view with a selection, such as mv.ActivationExplorer(model, x).")
    if view.comm is None or selection.comm is None:
        raise ClosedError("the view given to the quiz is closed and shows nothing; make another one.")
    return selection


def _check_texts(texts: dict[str, Any]) -> None:
    for name, text in texts.items():
        if not isinstance(text, str) or (name == "question" and not text.strip()):
            raise QuizError(f"{name} is {text!r}; expected plain text.")


def _layers_of(view: Any, selection: Selection) -> list[int]:
    """Positions of the layers that a view can show."""
    catalog = selection.store.catalog
    if isinstance(view, AttentionExplorer):
        return [place for place, layer in enumerate(catalog["layers"]) if layer["kind"] == "attention"]
    if isinstance(view, MemoryExplorer):
        return sorted({layer for memory in catalog["memories"] for layer in memory["layers"]})
    return list(range(len(catalog["layers"])))
