"""ActivationCache: the records of one forward or of a recorded loop, and their values as far as the budget goes.

In: model and input, a loop that the user runs, or tensors of another tool. Out: a RecordedCache, which says how records
and values are read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from .. import capture as capturing
from ..errors import ForwardError, GatherError, RecordingError
from ..records import Draft, TensorRecord
from .active import refuse_active
from .bringing_back import BringingBack
from .budget import parse_budget
from .estimate import Estimate, estimate
from .foreign import records_from_attentions, records_from_tensors
from .gathering import gathered
from .growth import tell_grown
from .joined_ranks import JoinedRanks
from .joining import with_joined
from .launch import launch_token, process_group
from .opening import open_place
from .prices import known_price
from .ranks_store import is_ranks_store, open_parts
from .recorded_cache import RecordedCache
from .store_files import store_place
from .thinned_values import ThinnedValues
from .time_lapse import TimeLapse
from .what_if import WhatIfPlan


class ActivationCache(RecordedCache):
    """What a model computed: a record per tensor that a module returned and per attention that ran, and the values.

    Make one with :meth:`capture` (one forward), ``mv.record(model)`` (your own loop), ``ActivationCache()`` and
    :meth:`record_step` (a training, forward by forward), :meth:`from_tensors` or :meth:`from_attentions`.
    ``cache["conv1"]`` is the output of the first call; iterating gives names.
    Values are copies that never change. What the budget does not hold is computed again when it is asked for, and for
    that the cache holds the model until it is closed; when everything is held, it holds no module and no tensor of it.

    Attributes:
        tokens: What was given to capture as tokens, or None; as texts in ``token_texts``.
        image: Picture given to capture, or None.
        opaque: Path -> a sentence, for modules that take no hooks (TorchScript).
        never_called: Paths of modules with a forward that did not run.
        remarks: Sentences about what could not be recorded or put back.
        origin: What :meth:`what_if` starts from; None where there was no forward of capture's own.
    """

    origin: capturing.Origin | None = None
    _lapse: TimeLapse | None = None

    @classmethod
    def capture(
        cls,
        model: nn.Module,
        x: object = None,
        *,
        tokens: Any = None,
        image: Any = None,
        layers: object = None,
        dims: Mapping[str, object] | None = None,
        budget: object = "1 GiB",
        call: Callable[[Any], Any] | None = None,
        spill: str | os.PathLike[str] | None = None,
        gather: bool = False,
    ) -> ActivationCache:
        """Run the model once, in its own mode and the caller's grad mode, and keep what its modules return.

        Args:
            model: Any nn.Module. It comes back as it was: flags, buffers, grads, hooks, random generators.
            x: Tensor, tuple of positional arguments, or mapping of keywords.
            tokens: Texts of the input tokens, for views: a list, a list per sample, ``(tokenizer, ids)``, or a mapping
                of names to those for several sequences. See :func:`memviz_widgets.cache.tokens.token_texts`.
            image: The input picture, for views.
            layers: Module paths or patterns (``"layer1.*"``) to record; None records all.
            dims: Pattern -> names of axes, over the inferred ones: ``{"encoder.*": "batch time channel"}``.
            budget: Bytes that values may occupy, as text or int. What goes over it is computed again when asked for.
            call: Runs the model in another way: ``lambda m: m.generate(ids)``; x is then None.
            spill: Folder where values that go over the budget are written instead (needs zarr).
            gather: In a process group of torch.distributed, bring what all ranks recorded to rank 0. Its cache is then
                of the whole, as far as its budget goes; the others keep their own. Every rank must say so. Only values
                that are held are gathered; those of rank 0 are there twice for a moment.

        Raises:
            ModelError, InputError, LayersError, DimsError, BudgetError: about the arguments.
            SpillError, MissingExtraError: about the spill folder.
            ForwardError: when the forward raised; its ``cache`` holds what was recorded before.
            GatherError: when another rank does not take part in gathering; its ``cache`` is that of this rank.
        """
        cache = cls(budget, tokens=tokens, image=image, spill=spill)
        session = cache._make_session(model, layers, dims, loop=False)
        price = known_price(model, x, layers)
        cache._values.expected_bytes = price.nbytes
        try:
            capturing.run(session, x, call)
        except (ForwardError, KeyboardInterrupt) as error:
            cache._settle(session)
            error.cache = cache  # type: ignore[union-attr]
            raise
        cache.origin = capturing.origin_of(session, call)
        cache._settle(session)
        if cache._again.replay is None:
            cache.origin = cache.origin.within(cache.budget_bytes - cache._values.held_bytes)
        price.nbytes = cache.recorded_bytes
        if gather:
            cache._gather()
        return cache

    def record_step(
        self,
        model: nn.Module,
        x: object = None,
        *,
        step: object = None,
        layers: object = None,
        dims: Mapping[str, object] | None = None,
        call: Callable[[Any], Any] | None = None,
    ) -> None:
        """Run the model once, as in :meth:`capture`, and keep what its modules return as the next step of this cache.

        For a training: the same input again and again, each time with other weights. ``cache =
        mv.ActivationCache(budget="1 GiB")`` before the loop, ``cache.record_step(model, x, step=f"epoch {epoch}")`` in
        it, views after it: they have a slider over the steps. The model comes back exactly as it was, in its own
        train or eval mode; random generators, buffers and grads too, so the training goes on as if nothing had been.

        The budget holds for all steps together. When it is used up, earlier steps are thinned, those of the layer that
        takes the most bytes first: the first step and the newest stay, and between them every second step, then every
        fourth ... Statistics of all steps stay. What was given up is not computed again, since the weights have
        changed; with ``spill=`` everything is kept, on disk.

        Args:
            model: Any nn.Module.
            x: As in :meth:`capture`.
            step: Label of the step, shown on its slider: text or a number, each once. None: its position, from 0.
            layers, dims, call: As in :meth:`capture`. Where ``call`` runs the model several times, these are calls of
                one step.

        Raises:
            RecordingError: when the cache is one of :meth:`capture`, :meth:`open` or another source, when the label is
                taken, or while ``mv.record`` records this model.
            ModelError, InputError, LayersError, DimsError: about the arguments.
            ForwardError: when the forward raised. The steps before it stay, also after an interrupt.
            ClosedError: after :meth:`close`.
        """
        self._check_open()
        refuse_active(model)
        lapse = self._lapse or self._begin_lapse()
        try:
            lapse.record(model, x, step, layers, dims, call, self.records)
        except ForwardError as error:
            error.cache = self
            raise
        self._lapse, self._records, self._step_labels = lapse, lapse.records, lapse.labels
        tell_grown(self)

    def _begin_lapse(self) -> TimeLapse:
        if self._records or self._values.saved is not None or self._ranks is not None:
            raise RecordingError(
                "this cache has records that are no steps of record_step; make one for the steps: "
                "cache = mv.ActivationCache(), then cache.record_step(model, x)."
            )
        values = ThinnedValues(self.budget_bytes, self._values.spill)
        self._values, self._again = values, BringingBack(values, None)
        return TimeLapse(values, self._trace)

    def what_if(
        self,
        edits: Mapping[str, Any],
        *,
        model: nn.Module | None = None,
        x: object = None,
        call: Callable[[Any], Any] | None = None,
        budget: object = None,
    ) -> ActivationCache:
        """The twin of this cache: the same forward with some tensors changed by hand. This cache stays as it is.

        The same modules run in the same modes, with the same input and random numbers; the model comes back as it was.
        The twin equals a model that is edited by hand, bit for bit: a forward hook that changes an output, a head of
        scaled_dot_product_attention multiplied, columns of ``out_proj.weight`` of nn.MultiheadAttention multiplied.
        Gates and states of nn.LSTM, nn.GRU, nn.RNN and their cells can be edited; from the first edited step on the
        layer then runs step by step, which agrees with torch's kernel to rounding.
        Layers of torch that finished before the first edit are not computed again where that is certain to change
        nothing (under no_grad; see ``remarks`` of the twin).

        Args:
            edits: Place -> edit, or a list of them. A place is a record's label: ``"conv1"``, ``"enc[1]"``,
                ``"block.attn attention"``, ``"lstm[l0] gate.f"``, ``"ntm memory"``; ``"input"`` is the model's input,
                ``"block input"`` that of a module. An edit is one of ``mv.edit`` or a function of the tensor:
                ``mv.edit.zero(channel=3)``, ``mv.edit.scale(0.5, head=2)``, ``mv.edit.set(0.0, time=30)``,
                ``mv.edit.replace(tensor)``. It is made in every call; ``call=`` and ``step=`` pick some.
            model: Runs in place of the recorded model, as it is; for a model that is gone or was written to.
            x: Another input, or the same where it was not kept.
            call: Runs the model in another way, as in :meth:`capture`.
            budget: Of the twin; None for the same.

        Raises:
            EditError: when an edit does not fit: an axis, position, shape or kind.
            UnknownRecordError: when there is no such record.
            WhatIfError: when the model is gone or was written to, or its input was not kept.
            ClosedError: after :meth:`close`.
            ForwardError: when the forward with the edits raised.
        """
        self._check_open()
        plan = WhatIfPlan(self, self._trace, self.origin, edits, model=model, x=x, call=call)
        twin = ActivationCache(self.budget_bytes if budget is None else budget, tokens=self.tokens, image=self.image)
        session = twin._make_session(plan.model, plan.layers, plan.dims, loop=False, what_if=plan.what_if)
        try:
            plan.run(session)
        except BaseException:
            twin.close()
            raise
        twin._settle(session)
        return twin

    @classmethod
    def estimate(
        cls,
        model: nn.Module,
        x: object = None,
        *,
        layers: object = None,
        dims: Mapping[str, object] | None = None,
        call: Callable[[Any], Any] | None = None,
    ) -> Estimate:
        """What a capture with these arguments would cost, from one forward that keeps nothing.

        Model and input may be on the meta device, where a network of any size takes no memory: the price is that of
        the same network with values. Gates and states that a capture recovers (LSTM, GRU) have none there.

        Raises:
            ModelError, InputError, LayersError, DimsError: about the arguments.
            ForwardError: when the forward raised.
        """
        return estimate(model, x, layers=layers, dims=dims, call=call)

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, Any],
        *,
        dims: Mapping[str, object] | str | None = None,
        tokens: Any = None,
        image: Any = None,
        budget: object = "1 GiB",
        spill: str | os.PathLike[str] | None = None,
    ) -> ActivationCache:
        """A cache of tensors that another tool captured.

        Args:
            tensors: Name -> tensor, array, or nest of them (its places become items).
            dims: Names of the axes: one text for all, or pattern of name -> text; None guesses by the shape.
            tokens, image, budget, spill: As in :meth:`capture`.

        Raises:
            InputError, DimsError, BudgetError: about the arguments.
        """
        cache = cls(budget, tokens=tokens, image=image, spill=spill)
        return cache._filled(records_from_tensors(tensors, dims))

    @classmethod
    def from_attentions(
        cls,
        attentions: Sequence[Tensor],
        *,
        tokens: Any = None,
        budget: object = "1 GiB",
        spill: str | os.PathLike[str] | None = None,
    ) -> ActivationCache:
        """A cache of attention weights, such as ``outputs.attentions`` of a transformers model.

        Args:
            attentions: A tensor (batch, head, query, key) per layer.
            tokens: As in :meth:`capture`.
            budget, spill: As in :meth:`capture`.

        Raises:
            InputError, BudgetError: about the arguments.
        """
        cache = cls(budget, tokens=tokens, spill=spill)
        # Several sequences are source and target: which of them an attention is over, its size says.
        checked = cache.token_texts[0] if len(cache.token_texts) == 1 else None
        return cache._filled(records_from_attentions(attentions, checked))

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, budget: object = "1 GiB") -> ActivationCache:
        """A cache of what :meth:`save` wrote: read only, without the model. Values are read when they are looked at.

        What several ranks saved is put together: a value that lies over ranks is one record, one that differs from rank
        to rank stays a record of each. Where the part of a rank is missing, the records say what of them is not there.

        Args:
            path: The folder or file, or its URL.
            budget: Bytes that values which are put together may occupy in memory.

        Raises:
            FormatError: when there is nothing, or it is foreign, newer, cut off, damaged or tampered with. Nothing that
                is read is run.
            SaveError, MissingExtraError, BudgetError: about the arguments.
        """
        budget_bytes, place = parse_budget(budget), store_place(path)
        if is_ranks_store(place):
            parts, world_size = open_parts(place, budget_bytes)
            cache = cls(budget)
            cache._take_ranks(JoinedRanks(parts, world_size, place))
            return cache
        opened = open_place(place, budget_bytes)
        cache = cls(budget, tokens=opened.tokens, image=opened.image)
        cache._values, cache._records, cache._trace = opened.values, opened.records, opened.trace
        cache._step_labels = opened.step_labels
        cache._again = BringingBack(opened.values, None)
        return cache

    def close(self) -> None:
        """Free all values and let the model go. Records stay readable; asking for a value raises ClosedError."""
        self.origin = None
        super().close()

    def _filled(self, found: Sequence[tuple[Draft, Tensor | None]]) -> ActivationCache:
        for record, value in found:
            self._trace.names[record.path] = record.path
            self._values.add(record, value)
        self._values.finish()
        self._records = self._values.records(on_demand=False)
        return self

    def _make_session(
        self,
        model: nn.Module,
        layers: object,
        dims: Mapping[str, object] | None,
        *,
        loop: bool,
        what_if: capturing.WhatIf | None = None,
    ) -> capturing.Session:
        if process_group() is not None:
            launch_token()  # now: whoever hosts the store of the ranks may be gone when this is saved
        # With a spill folder nothing is given up, so nothing needs a replay.
        values = self._values
        holder = None if values.spills else capturing.Holder(values.hold, values.release, values.copy_ahead)
        session = capturing.Session(
            model,
            values.add,
            layers=layers,
            dims=dims,
            trace=self._trace,
            holder=holder,
            loop=loop,
            what_if=what_if,
        )
        self._again = BringingBack(values, session.replay)
        return session

    def _gather(self) -> None:
        """Bring what all ranks recorded to rank 0. Every rank calls it."""
        try:
            ranks = gathered(self, self._values, self._trace)
        except GatherError as error:
            error.cache = self
            raise
        if ranks is not None:
            self.origin = None
            self._take_ranks(ranks)

    def _remark_collective(self, session: capturing.Session) -> None:
        """Say why values that did not fit are not computed again."""
        reason = session.ranks.collective if session.ranks is not None else ""
        if reason and self._values.kept_bytes < self._values.recorded_bytes and not self._values.spills:
            session.trace.remark(f"what the budget does not hold is not computed again: {reason}")

    def _settle(self, session: capturing.Session) -> None:
        """The recording is over: what no replay needs is let go, and records are made when somebody reads them."""
        if process_group() is not None:
            launch_token()  # now: whoever hosts the store of the ranks may be gone when this is saved
        values = self._values
        values.finish()
        self._remark_collective(session)
        self._again.settle()
        if self._again.replay is None:
            values.keep_recorded()
        self._settled = None

    @capturing.cheap_collections()
    def _make_records(self) -> tuple[TensorRecord, ...]:
        records = self._values.records(on_demand=self._again.replay is not None)
        self._again.records = records
        return with_joined(self._values.drafts, records)
