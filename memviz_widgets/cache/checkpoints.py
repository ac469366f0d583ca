"""A training as a cache: one forward per checkpoint, each as a step.

In: a model, its checkpoints and an input. Out: an ActivationCache with a step per checkpoint; the model as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..capture.inputs import check_model
from ..capture.progress import Progress
from ..capture.weights import check_sizes, kept_weights
from ..errors import CheckpointError
from .activation_cache import ActivationCache
from .active import refuse_active
from .checkpoint_files import fitted, shares_memory, state_of

EXPECTED = "expected a list of state_dicts or paths, or a mapping of labels to them"
COPY = "A state_dict shares its tensors with the model: keep copies, copy.deepcopy(model.state_dict())"


def timelapse(
    model: nn.Module,
    checkpoints: Iterable[Any] | Mapping[Any, Any],
    x: object = None,
    *,
    labels: Sequence[object] | None = None,
    layers: object = None,
    dims: Mapping[str, object] | None = None,
    tokens: Any = None,
    image: Any = None,
    call: Callable[[Any], Any] | None = None,
    budget: object = "1 GiB",
    spill: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> ActivationCache:
    """Run a model once with the weights of each checkpoint, on the same input: a cache with a step per checkpoint.

    The model's own weights and buffers come back bit for bit, also after an error or an interrupt; meanwhile a copy of
    them is held. Each forward sees the same random numbers, and the model's own train or eval mode.

    Args:
        model: The network of the checkpoints.
        checkpoints: State_dicts (or modules) and paths, in a list or any iterable, which is read one by one; or a
            mapping of labels to them. Paths: of ``torch.save``, read with ``weights_only=True``, or ``.safetensors``.
            A trainer's file with the state_dict under "state_dict", "model_state_dict" or "model" is understood, and
            the prefixes of DistributedDataParallel and torch.compile.
        x, layers, dims, tokens, image, call: As in :meth:`ActivationCache.capture`.
        labels: What the steps are called, one per checkpoint; None: the keys of a mapping, else names of files without
            their ending, else numbers.
        budget, spill: For all steps together, as in :meth:`ActivationCache.record_step`.
        progress: Show a bar when it takes longer than some seconds.

    Raises:
        CheckpointError: when a checkpoint cannot be read or does not fit; it names it and the keys. Its ``cache`` has
            the steps before it.
        RecordingError: while ``mv.record`` records this model.
        ModelError, InputError, LayersError, DimsError, BudgetError, SpillError, MissingExtraError: about the arguments.
        ForwardError: when a forward raised. Its ``cache`` has the steps before it, as that of a KeyboardInterrupt has.
    """
    check_sizes(check_model(model))
    refuse_active(model)
    items = _Items(model, checkpoints, labels)
    cache = ActivationCache(budget, tokens=tokens, image=image, spill=spill)
    bar = Progress(items.count, "time-lapse", unit="checkpoint") if progress else None
    with closing(bar) if bar is not None else nullcontext(), kept_weights(model):
        try:
            for label, given in items:
                name = str(len(cache.step_labels) if label is None else label)
                model.load_state_dict(fitted(state_of(given, name), model, name))
                cache.record_step(model, x, step=label, layers=layers, dims=dims, call=call)
                if bar is not None:
                    bar.step(1)
        except KeyboardInterrupt as error:
            error.args = ("the steps recorded until then are in error.cache (in a notebook: sys.last_value.cache)",)
            error.cache = cache  # type: ignore[attr-defined]
            raise
        except CheckpointError as error:
            error.cache = cache
            raise
    return cache


class _Items:
    """The checkpoints with their labels, one by one; what can be known before the first is checked at once."""

    def __init__(self, model: nn.Module, checkpoints: object, labels: Sequence[object] | None) -> None:
        self._model = model
        self._given, names = _listed(checkpoints, model)
        if names is not None and labels is not None:
            raise CheckpointError("labels= was given with a mapping, whose keys are the labels; give one of the two.")
        self._labels = names if labels is None else list(labels)
        self.count = len(self._given) if isinstance(self._given, list) else 0
        if isinstance(self._given, list):
            self._check_labels(self.count)

    def __iter__(self) -> Iterator[tuple[object, object]]:
        """(label, checkpoint); label None for a number."""
        for place, given in enumerate(self._given):
            if self._labels is not None and place >= len(self._labels):
                self._check_labels(place + 1)
            label = _file_name(given) if self._labels is None else self._labels[place]
            if not isinstance(self._given, list) and _is_live(given, self._model):
                raise CheckpointError(f"checkpoint {place if label is None else label!r} is the live model. {COPY}.")
            yield label, given

    def _check_labels(self, count: int) -> None:
        if self._labels is not None and len(self._labels) != count:
            more = "" if isinstance(self._given, list) else " or more"
            raise CheckpointError(
                f"labels= has {len(self._labels)} for {count}{more} checkpoints; give as many labels as checkpoints."
            )


def _listed(checkpoints: object, model: nn.Module) -> tuple[Iterable[Any], list[Any] | None]:
    """The checkpoints, as a list where they are all there, and the labels that a mapping has.

    Raises:
        CheckpointError: when they are none, or several of them are the live model.
    """
    if isinstance(checkpoints, Mapping):
        if any(isinstance(value, Tensor) for value in checkpoints.values()):
            raise CheckpointError(f"checkpoints is one state_dict; {EXPECTED}, such as [first, second].")
        return _list_of(list(checkpoints.values()), model), list(checkpoints)
    if isinstance(checkpoints, (str, os.PathLike, nn.Module)) or not isinstance(checkpoints, Iterable):
        what = f"{str(checkpoints)!r:.80}" if isinstance(checkpoints, (str, os.PathLike)) else "one"
        kind = type(checkpoints).__name__
        raise CheckpointError(f"checkpoints is {what} ({kind}); {EXPECTED}, such as sorted(Path('run').glob('*.pt')).")
    if not isinstance(checkpoints, (list, tuple)):
        return checkpoints, None
    given = _list_of(list(checkpoints), model)
    names = [_file_name(each) for each in given]
    twice = None not in names and len(set(names)) < len(names)
    return given, [str(each) for each in given] if twice else None


def _list_of(given: list[Any], model: nn.Module) -> list[Any]:
    """The checkpoints; the one that is the live model as a copy, since others are loaded into that."""
    if not given:
        raise CheckpointError(f"there is no checkpoint; {EXPECTED}.")
    live = [place for place, each in enumerate(given) if _is_live(each, model)]
    if len(live) > 1:
        raise CheckpointError(f"checkpoints {', '.join(map(str, live))} are all the live model as it is now. {COPY}.")
    for place in live:
        state = state_of(given[place], str(place))
        given[place] = {key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()}
    return given


def _is_live(given: object, model: nn.Module) -> bool:
    return isinstance(given, (Mapping, nn.Module)) and shares_memory(state_of(given, ""), model)


def _file_name(given: object) -> str | None:
    """What a file is called, without its ending; None for what is no file."""
    return Path(given).stem if isinstance(given, (str, os.PathLike)) else None
