"""Follows how plain tensors lie over the ranks while a model with DTensors computes.

In: DTensors that become plain tensors (and the other way round), and the torch calls between. Out: the Lie of a tensor.
A module under tensor parallelism returns a plain tensor that looks like any other. Its placement is that of the DTensor
whose ``to_local`` gave it; what is computed of it follows by the rules. No collective is started for it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .function_mode import TapsMode, push, take_off
from .placement_lies import REPLICATE, SHARD, Claim, Lie, Mesh, settle_claims, several
from .placement_rules import lie_of_result, weights_lie
from .tensors import TensorMap, version_of

MOST_MESHES = 64
"""Meshes that are remembered by identity; a model has one or two."""


class _Everything:
    """The table of a mode that sees every function."""

    def __contains__(self, func: object) -> bool:
        return True


class Following:
    """What is known of the plain tensors of a model.

    Args:
        constants: Buffers. They and weights that are no DTensors are taken to be the same on all ranks, though
            not for certain.
        mesh: Ranks that are given the same inputs, if the model says so later; None where it has several such meshes.
    """

    def __init__(self, constants: Iterable[Tensor], mesh: Mesh | None = None) -> None:
        self._inputs_mesh = mesh
        self._lies: TensorMap[tuple[Lie, int | None]] = TensorMap()
        self._constants = {id(value): value for value in constants}
        self._meshes: dict[int, tuple[Any, Mesh]] = {}
        self._weights: Callable[[tuple[int, ...]], Lie | None] | None = None
        self._mode: TapsMode | None = None
        self._thread = 0

    # -- what the recorder asks

    def lie(self, tensor: Tensor) -> Lie | None:
        """How a tensor lies; None where that is not known."""
        if type(tensor).__name__ == "DTensor":
            return self._lie_of(tensor)
        known = self._lies.get(tensor)
        if known is not None:
            # Whoever wrote to it since did so outside of what is seen here.
            return known[0] if known[1] == version_of(tensor) else None
        # Under fully_shard the weights of a call are made for it, so that not all are known beforehand.
        if isinstance(tensor, nn.Parameter) or self._constants.get(id(tensor)) is tensor:
            return Lie(None, (), tuple(tensor.shape), certain=False)
        return self._of_part(tensor)

    def _of_part(self, tensor: Tensor) -> Lie | None:
        """Of a slice that nobody saw being made: the new entries of a KV cache."""
        base = tensor._base
        if base is None or base.dim() != tensor.dim() or base.stride() != tensor.stride():
            return None
        lie, version = self._lies.get(base) or (None, None)
        if lie is None or version != version_of(base):
            return None
        kept = {axis: axis for axis in range(base.dim()) if tensor.shape[axis] == base.shape[axis]}
        parts = [each.moved(kept, dict(enumerate(each.shape)), tensor.shape) for each in lie.readings]
        return several(parts) if all(parts) else None

    def computed(self, tensors: Iterable[Tensor], shape: tuple[int, ...]) -> Lie | None:
        """How a value lies that is computed of some tensors, where all ranks have the same of them."""
        lies = [lie for _, lie in self._known(tuple(tensors), {}) or ()]
        meshes = {lie.mesh for lie in lies} - {None}
        if len(meshes) != 1 or not all(lie.replicated for lie in lies):
            return None
        claims: frozenset[Claim] = frozenset().union(*(lie.claims for lie in lies))
        one = next(lie for lie in lies if lie.mesh is not None)
        return Lie(one.mesh, one.placements, shape, all(lie.certain for lie in lies), claims)

    def attention(self, shape: tuple[int, ...]) -> Lie | None:
        """How the weights of the attention lie that is being computed now."""
        return self._weights(shape) if self._weights is not None else None

    # -- what happens

    def enter(self, inputs: Iterable[Tensor] = ()) -> None:
        """The outermost call begins in this thread. Its inputs are the same on all ranks of a mesh, if it says so."""
        self.leave()
        self._claim(inputs)
        self._mode = TapsMode(_Everything(), self._watch)
        self._thread = threading.get_ident()
        push(self._mode)

    def _claim(self, inputs: Iterable[Tensor]) -> None:
        mesh = self._inputs_mesh
        if mesh is None:
            return
        texts, claims = (REPLICATE,) * len(mesh.sizes), frozenset((Claim(divided=False),))
        for tensor in inputs:
            if type(tensor).__name__ != "DTensor" and self.lie(tensor) is None:
                lie = Lie(mesh, texts, tuple(tensor.shape), claims=claims)
                self._lies.put(tensor, (lie, version_of(tensor)))

    def leave(self) -> None:
        """The outermost call has ended. A second time does nothing."""
        if self._mode is None:
            return
        self._mode.table = frozenset()
        if self._thread == threading.get_ident():
            take_off(self._mode)
        self._mode = None
        self._lies.forget_dead()  # the others come again: a KV cache, the states of a loop

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Be told of every DTensor that becomes plain, while the block runs."""
        _begin(self)
        try:
            yield
        finally:
            self.leave()
            self._lies.clear()
            _end(self)

    def became_plain(self, distributed: Any, plain: Tensor) -> None:
        """``to_local`` gave this tensor, or ``from_local`` took it: the model itself says how it lies."""
        lie = self._lie_of(distributed)
        if lie is None or type(plain).__name__ == "DTensor":
            return
        known = self.lie(plain)
        if known is not None and known.mesh is not None:
            settle_claims(known, lie)
        self._lies.put(plain, (lie, version_of(plain)))

    def _lie_of(self, distributed: Any) -> Lie | None:
        mesh = self._mesh(distributed.device_mesh)
        texts = [_text(placement, distributed.dim()) for placement in distributed.placements]
        if mesh is None or any(text is None for text in texts):
            return None
        return Lie(mesh, tuple(text for text in texts if text is not None), tuple(map(int, distributed.shape)))

    def _mesh(self, mesh: Any) -> Mesh | None:
        found = self._meshes.get(id(mesh))
        if found is None and len(self._meshes) < MOST_MESHES:
            found = self._meshes[id(mesh)] = (mesh, mesh_of(mesh))
        return found[1] if found else None

    def _watch(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make a call, and note how its results lie."""
        known = self._known(args, kwargs)
        if known is None or isinstance(func, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        before, self._weights = self._weights, _weights_of(name, known)
        try:
            result = func(*args, **kwargs)
        finally:
            self._weights = before
        if name == "__get__":  # of an attribute: shape, grad, T
            return result
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor) and type(tensor).__name__ != "DTensor":
                with torch._C.DisableTorchFunction():
                    self._note(name, known, args, kwargs, tensor)
        return result

    def _note(
        self, name: str, known: list[tuple[Tensor, Lie]], args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor
    ) -> None:
        try:
            lie = lie_of_result(name, known, args, kwargs, out)
        except Exception:  # arguments that a rule did not expect: nothing is known then
            lie = None
        if lie is not None:
            self._lies.put(out, (lie, version_of(out)))

    def _known(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[Tensor, Lie]] | None:
        """Every plain tensor of the arguments with its lie; None when one of them is not known, or a DTensor."""
        found: list[tuple[Tensor, Lie]] = []
        for value in (*args, *kwargs.values()):
            for tensor in value if isinstance(value, (tuple, list)) else (value,):
                if isinstance(tensor, Tensor):
                    lie = None if type(tensor).__name__ == "DTensor" else self.lie(tensor)
                    if lie is None:
                        return None
                    found.append((tensor, lie))
        return found


def _weights_of(name: str, known: list[tuple[Tensor, Lie]]) -> Callable[[tuple[int, ...]], Lie | None] | None:
    """Of a call that computes attention, how its weights lie: from q and k, or the weights themselves times values."""
    if name == "scaled_dot_product_attention" and len(known) > 1:
        return lambda shape: weights_lie(known[0], known[1], shape)
    if name in ("matmul", "bmm", "__matmul__", "einsum"):
        return lambda shape: next((lie for tensor, lie in known if tuple(tensor.shape) == shape and lie.mesh), None)
    return None


def mesh_of(mesh: Any) -> Mesh:
    """A torch DeviceMesh as plain numbers."""
    ranks = mesh.mesh
    names = mesh.mesh_dim_names or ("",) * ranks.dim()
    return Mesh(tuple(ranks.shape), tuple(map(str, names)), tuple(ranks.flatten().tolist()))


def _text(placement: Any, rank: int) -> str | None:
    """A torch Placement in words; None for one that has no word (strided shards, other reductions than a sum)."""
    name = type(placement).__name__
    if name == "Replicate":
        return REPLICATE
    if name == "Shard":
        return f"{SHARD}{placement.dim % max(rank, 1)}"
    return "partial sum" if name == "Partial" and placement.reduce_op == "sum" else None


def waited(tensor: Tensor) -> Tensor:
    """The plain tensor of one whose collective, begun by the model, may still run. Starts none itself."""
    if type(tensor).__name__ != "AsyncCollectiveTensor":
        return tensor
    plain: Tensor = tensor.trigger_wait()  # type: ignore[attr-defined]
    return plain


def distributed_tensors() -> Any:
    """torch's DTensor, or None where nobody in this process uses it."""
    return getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", None)


def has_placement_of_its_own(parameter: nn.Parameter) -> bool:
    """Whether a weight is a DTensor."""
    return type(parameter.data).__name__ == "DTensor" or type(parameter).__name__ == "DTensor"


_lock = threading.Lock()
_followers: list[Following] = []
_originals: dict[str, Any] = {}


def _begin(following: Following) -> None:
    """While anybody follows, DTensor tells of what becomes plain and back."""
    kind = distributed_tensors()
    with _lock:
        _followers.append(following)
        if len(_followers) > 1:
            return
        _originals.update(to_local=kind.__dict__["to_local"], from_local=kind.__dict__["from_local"])
        kind.to_local, kind.from_local = _to_local, staticmethod(_from_local)


def _end(following: Following) -> None:
    kind = distributed_tensors()
    with _lock:
        _followers.remove(following)
        if not _followers:
            for name, original in _originals.items():
                setattr(kind, name, original)


def _to_local(self: Any, *args: Any, **kwargs: Any) -> Tensor:
    result: Tensor = _originals["to_local"](self, *args, **kwargs)
    _tell(self, result)
    return result


def _from_local(local: Tensor, *args: Any, **kwargs: Any) -> Any:
    result = _originals["from_local"].__func__(local, *args, **kwargs)
    _tell(result, local)
    return result


def _tell(distributed: Any, plain: Tensor) -> None:
    try:
        with torch._C.DisableTorchFunction():
            for following in _followers:
                following.became_plain(distributed, plain)
    except Exception:  # whatever it is, the model must not see it; nothing is known of the tensor then
        return
