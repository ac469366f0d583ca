"""What one batch gives: values of the chosen layers, a sample per row, reduced and in the dtype that is kept.

In: a model and a batch of a loader. Out: drafts and tensors on the CPU, batch first; or an error that names the layer.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .. import capture as capturing
from ..capture.tensors import plain_mode, tensor_kind
from ..errors import DatasetError, InputError
from ..records import Draft

Reduce = Callable[[Tensor], Tensor]
REDUCTIONS = ("mean", "max")
WHOLE_BYTES = 1 << 20
"""Bytes up to which all elements of a weight are compared when a recording goes on."""
_INTO_FLOAT = (torch.float16, torch.bfloat16, torch.bool, torch.uint8, torch.int8, torch.int16)


@dataclass(frozen=True, slots=True)
class Options:
    """What is recorded of a batch.

    Attributes:
        layers, dims: As in ``ActivationCache.capture``.
        reduce: What becomes of the axes besides batch and channel.
        dtype: Of what is kept; None for the layer's own.
        call: Runs the model on a batch; None for ``model(x)``.
    """

    layers: object
    dims: Mapping[str, object] | None
    reduce: str | Reduce | None
    dtype: torch.dtype | None
    call: Callable[[Any, Any], Any] | None

    @property
    def reduction(self) -> str:
        """The reduction by name; "" for none."""
        if self.reduce is None or isinstance(self.reduce, str):
            return self.reduce or ""
        name = getattr(self.reduce, "__qualname__", type(self.reduce).__qualname__)
        return f"{getattr(self.reduce, '__module__', '')}.{name}"


class Taken(NamedTuple):
    """One output of a layer for one batch, as it was computed.

    ``live``: a copy that nothing changes; None of what has no values.
    """

    draft: Draft
    live: Tensor | None


class Found(NamedTuple):
    """One output of a layer for one batch.

    ``dims``: names of the axes of ``values``, "batch" first.
    """

    draft: Draft
    dims: tuple[str, ...]
    values: Tensor

    @property
    def name(self) -> str:
        """The output, as errors call it."""
        return name_of(self.draft)


def name_of(draft: Draft) -> str:
    """An output, as errors call it."""
    label = draft.record().label
    return f"{label!r} (call {draft.call})" if draft.call else repr(label)


def check_options(reduce: object, dtype: object, call: object) -> None:
    """Refuse what is none of the choices.

    Raises:
        DatasetError: about ``reduce`` or ``dtype``.
        InputError: about ``call``.
    """
    if not (reduce is None or reduce in REDUCTIONS or callable(reduce)):
        raise DatasetError(
            f"reduce={reduce!r}; expected None (all values), 'mean', 'max', or a function of a layer's output "
            "(batch first) that gives a tensor with a row per sample."
        )
    if dtype is not None and (not isinstance(dtype, torch.dtype) or dtype.is_complex):
        raise DatasetError(f"dtype={dtype!r}; expected a real dtype of torch, such as torch.float16, or None.")
    if call is not None and not callable(call):
        raise InputError(
            f"call= is a {type(call).__name__}; expected a function of model and batch, such as "
            "lambda model, batch: model(batch['pixels'])."
        )


def outputs_of(model: nn.Module, batch: object, options: Options) -> list[Found]:
    """Run the model on one batch and give what its layers returned, in the order in which they finished.

    The model comes back as it was, random generators too: each batch meets the same random numbers.

    Raises:
        DatasetError: when a chosen layer was not called, or an output cannot be kept as a row per sample.
        ModelError, InputError, LayersError, DimsError, ForwardError: as capture does.
    """
    return as_rows(run_batch(model, batch, options), options)


def run_batch(model: nn.Module, batch: object, options: Options) -> list[Taken]:
    """The first half of :func:`outputs_of`: run the model. Raises all of its errors but those about rows."""
    taken: list[Taken] = []

    def sink(draft: Draft, live: object) -> None:
        if draft.kind == "output":
            dense = capturing.snapshot(live, tensor_kind(live)) if isinstance(live, Tensor) else None
            taken.append(Taken(draft, dense))

    session = capturing.Session(
        model, sink, layers=options.layers, dims=options.dims, trace=capturing.Trace(), loop=True
    )
    call, x = options.call, None
    if call is None:
        x = input_of(batch)
    with torch.no_grad():
        capturing.run(session, x, None if call is None else lambda inner: call(inner, batch))
        _check_called(session, {draft.path for draft, _ in taken})
    return [Taken(draft.settled(), live) for draft, live in taken]


def as_rows(taken: Iterable[Taken], options: Options) -> list[Found]:
    """The other half: a row per sample, reduced. Raises DatasetError when an output cannot be kept so."""
    with torch.no_grad():
        return [_found(draft, live, options) for draft, live in taken]


def input_of(batch: object) -> object:
    """What of a batch is the model's input: of a list or tuple, as loaders with targets give it, the first entry."""
    if isinstance(batch, (list, tuple)) and not hasattr(batch, "batch_sizes"):
        if not batch:
            raise DatasetError("the loader gave an empty batch; expected a tensor, (inputs, targets) or a mapping.")
        return input_of(batch[0])
    return batch


def tensors_in(batch: object) -> Iterator[Tensor]:
    """All tensors in a batch, in order."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from tensors_in(value)
    elif isinstance(batch, (list, tuple)):
        for value in batch:
            yield from tensors_in(value)


def weights_crc(model: nn.Module) -> str:
    """CRC-32 over parameters and buffers, 8 hexadecimal digits; of large ones over elements spread over them.

    Of weights that lie on several ranks over the piece of this one, and how it lies.
    """
    crc = 0
    for name, weight in capturing.weights_as_kept(model):
        crc = zlib.crc32(f"{name} {tuple(weight.shape)} {weight.dtype}".encode(), crc)
        kind = tensor_kind(weight)
        if kind in ("dense", "dtensor"):
            crc = zlib.crc32(_piece(weight, kind), crc)
    return f"{crc:08x}"


def _piece(weight: Any, kind: str) -> bytes:
    """What tells the values of a weight on this rank from others."""
    tensor = capturing.dense_tensor(weight, kind)
    whole = math.prod(tensor.shape) * tensor.element_size() <= WHOLE_BYTES
    if kind == "dense":
        return capturing.checksum(tensor).to_bytes(4, "little") if whole else capturing.fingerprint(tensor)
    lies = [f"{type(each).__name__} {getattr(each, 'dim', '')}" for each in weight.placements]
    where = f"{weight.device_mesh.mesh.tolist()} {lies}".encode()
    # Of copies: numpy pins the memory that it looks into, which fully_shard may want to replace.
    values = capturing.checksum(tensor.clone()).to_bytes(4, "little") if whole else capturing.samples(tensor)
    return where + (values if isinstance(values, bytes) else capturing.read_samples([values])[0])


def by_channel(values: Tensor, dims: tuple[str, ...]) -> Tensor:
    """The values as (samples, channels, places), float32 or float64; channels = 1 where no axis is called so."""
    if values.dtype in _INTO_FLOAT or values.dtype.itemsize == 1:
        values = values.float()
    elif values.dtype not in (torch.float32, torch.float64):
        values = values.double()
    if "channel" not in dims:
        return values.reshape(len(values), 1, -1)
    values = values.movedim(dims.index("channel"), 1)
    return values.reshape(len(values), values.shape[1], -1)


def place_axes(dims: tuple[str, ...]) -> tuple[int, ...]:
    """Positions of the axes besides batch and channel."""
    return tuple(place for place, name in enumerate(dims) if place and name != "channel")


def _check_called(session: capturing.Session, seen: set[str]) -> None:
    missing = sorted((session.chosen or frozenset()) - seen)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DatasetError(
            f"the layer {missing[0]!r}{more} returned nothing in the first batch: it was not called. Leave it out of "
            "layers=, or run the part that calls it with call=."
        )
    if not seen:
        raise DatasetError("no layer returned anything in the first batch; give a model with modules that run.")


def _found(draft: Draft, live: Tensor | None, options: Options) -> Found:
    found = Found(draft, draft.dims, torch.empty(0) if live is None else live)
    if live is None:
        raise DatasetError(f"{found.name} has no values to keep ({draft.note}); leave it out of layers=.")
    if "batch" not in draft.dims or len(draft.dims) != live.dim():
        raise DatasetError(
            f"{found.name} has no axis of samples: its dims are ({', '.join(draft.dims)}). Leave it out of layers=, or "
            f"name them: dims={{{draft.path!r}: 'batch ...'}}."
        )
    if live.is_complex():
        raise DatasetError(f"{found.name} is {draft.dtype}; expected real numbers. Leave it out of layers=.")
    with plain_mode():
        place = draft.dims.index("batch")
        dims = ("batch", *(name for at, name in enumerate(draft.dims) if at != place))
        values, dims = _reduced(live.movedim(place, 0), dims, options.reduce, found.name)
        values = values.detach().to("cpu", options.dtype or values.dtype).contiguous()
    if 0 in values.shape[1:]:
        raise DatasetError(f"{found.name} is empty: {tuple(values.shape)}. Leave it out of layers=.")
    return Found(draft, dims, values)


def _reduced(
    values: Tensor, dims: tuple[str, ...], reduce: str | Reduce | None, name: str
) -> tuple[Tensor, tuple[str, ...]]:
    if reduce is None:
        return values, dims
    if callable(reduce):
        made: Any = reduce(values)
        if not isinstance(made, Tensor) or made.dim() < 1 or len(made) != len(values) or made.is_complex():
            what = f"a tensor {tuple(made.shape)}" if isinstance(made, Tensor) else f"a {type(made).__name__}"
            raise DatasetError(f"reduce gave {what} for {name}; expected a real tensor with {len(values)} rows.")
        if made.dim() == values.dim():
            return made, dims
        return made, ("batch", *(("channel",) if made.dim() == 2 else (f"axis{at}" for at in range(1, made.dim()))))
    axes = place_axes(dims)
    if axes:
        values = values.amax(axes) if reduce == "max" else _mean(values, axes)
    return values, tuple(each for each in dims if each in ("batch", "channel"))


def _mean(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    return values.mean(axes) if values.is_floating_point() else values.double().mean(axes).float()
