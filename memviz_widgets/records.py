"""TensorRecord and TensorStats: what is known about one recorded tensor, without the tensor.

In: nothing. Out: the frozen dataclasses that every later stage reads, the Draft of the first, the words for dims.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

DIMS = ("batch", "time", "channel", "height", "width", "depth", "head", "query", "key", "slot", "call", "step")
"""The dims vocabulary. Other names ("layer", "axis0", a user's own) are allowed; these have a meaning to the views."""


@dataclass(frozen=True, slots=True)
class TensorStats:
    """Numbers about all elements of one tensor. Complex tensors: of |z|. Bool: of 0 and 1.

    Attributes:
        min: Smallest finite value, None when there is none.
        max: Largest finite value, None when there is none.
        mean: Mean of the finite values, summed in float64; None when there is none.
        std: Population standard deviation of the finite values; None when there is none.
        zeros: Share of all elements that are exactly zero, 0..1.
        nan: Number of NaN elements.
        posinf: Number of +Inf elements.
        neginf: Number of -Inf elements.
        count: Number of elements.
    """

    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    zeros: float
    nan: int
    posinf: int
    neginf: int
    count: int


@dataclass(frozen=True, slots=True)
class Placement:
    """How a tensor lies over the ranks that computed it together.

    Attributes:
        mesh: Sizes of the mesh of ranks that the value is spread over.
        mesh_dims: Their names, "" where it has none: "dp", "tp".
        ranks: Global ranks of the mesh, last axis fastest.
        placements: Per axis of the mesh: "replicate", "shard 2" (the axis of the tensor), "partial sum", or "batch":
            every rank had samples of its own, to be joined along "batch" in rank order (sizes of others are not known
            here).
        shape: Of the whole tensor; () where only the sum over the ranks tells it ("batch").
    """

    mesh: tuple[int, ...]
    mesh_dims: tuple[str, ...]
    ranks: tuple[int, ...]
    placements: tuple[str, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """One tensor that one call of one module returned.

    Attributes:
        index: Position in the recording, in order of completion; unique within a cache.
        path: Name of the module in ``model.named_modules()``; "" is the model itself.
        module_type: Class name of the module, as it was when the call ended.
        call: Which call of this module within its step, 0 = the one entered first.
        kind: What the tensor is to the module: "output"; "attention" for weights of an attention that ran in it; of a
            memory its part, such as "hidden", "cell", "gate.f", "memory", "read_weights" (see capture.memory).
        item: "" when the module returned this tensor itself, else its place in the result: "0", "1.0", "logits".
        dims: One name per axis, see :data:`DIMS`.
        shape: Size per axis.
        dtype: torch's name without "torch.": "float32"; "" when the result is no tensor.
        device: "cpu", "cuda:0", ...; "" when the result is no tensor.
        nbytes: Bytes of all elements, before views share any.
        stats: Statistics of the values, or None when they could not be read.
        kept: Whether the cache held the values when the recording ended.
        note: Why there are no values, or what is special about them; "" when nothing is.
        residual: Largest error of a value that was recovered instead of read; None when it was read.
        step: Which outermost call of the model (a training or generation step), 0 = the first.
        on_demand: Whether values that are not held can be had again, by replay or from disk.
        caller: (path, call) of the module call inside which this call was made; None for an outermost call.
        memory: Which memory the tensor belongs to: "encoder l0", "ntm.memory"; "" for a tensor that is of none.
        parts: Indices of the records that this one joins along time, one per call or step; () for a recorded tensor.
        placement: How the value lies over several ranks, of which ``shape`` is this rank's part; None = not known, or
            a recording of one process.
        rank: The rank that recorded it; None = a recording of one process, or a value of several ranks together.
    """

    index: int
    path: str
    module_type: str
    call: int
    kind: str
    item: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    device: str
    nbytes: int
    stats: TensorStats | None
    kept: bool
    note: str
    residual: float | None = None
    step: int = 0
    on_demand: bool = False
    caller: tuple[str, int] | None = None
    memory: str = ""
    parts: tuple[int, ...] = ()
    placement: Placement | None = None
    rank: int | None = None

    @property
    def available(self) -> bool:
        """Whether there are values to look at, held or on demand."""
        return self.kept or self.on_demand

    @property
    def label(self) -> str:
        """Path, item and kind as one name: ``"encoder.lstm[0]"``, ``"(model)"``, ``"block.attn attention"``."""
        name = self.path or "(model)"
        name = f"{name}[{self.item}]" if self.item else name
        return name if self.kind == "output" else f"{name} {self.kind}"


class Undecided(Protocol):
    """A placement that the model may confirm later in the recording."""

    def settled(self) -> tuple[Placement | None, str]:
        """The placement, and what the record's note says of it. Asked when the recording has ended."""
        ...


class Draft(NamedTuple):
    """A TensorRecord while the recording runs: what is known at once. Made between a model's operations, so cheaply.

    The fields are those of :class:`TensorRecord`, in its order. ``start``: position in its sequence of the first
    timestep of a memory's tensor, -1 where nothing says so. ``undecided``: the placement that will be known at the end.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index
    path: str
    module_type: str
    call: int
    kind: str
    item: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    device: str
    nbytes: int
    note: str
    step: int = 0
    caller: tuple[str, int] | None = None
    memory: str = ""
    start: int = -1
    placement: Placement | None = None
    rank: int | None = None
    undecided: Undecided | None = None

    def record(
        self, stats: TensorStats | None = None, *, kept: bool = False, on_demand: bool = False, note: str | None = None
    ) -> TensorRecord:
        """The record, with what is known at the end; ``note`` replaces that of the draft."""
        draft = (self if note is None else self._replace(note=note)).settled()
        later = (None, draft.step, on_demand, draft.caller, draft.memory, (), draft.placement, draft.rank)
        return TensorRecord(*draft[:11], stats, kept, draft.note, *later)

    def settled(self) -> Draft:
        """The same with the placement that is known once the recording has ended."""
        if self.undecided is None:
            return self
        placement, said = self.undecided.settled()
        return self._replace(placement=placement, note="; ".join(filter(None, (self.note, said))), undecided=None)
