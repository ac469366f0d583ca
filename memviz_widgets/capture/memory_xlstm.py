"""States of an xLSTM's matrix memory (mLSTM) at every step: the matrix, and its normalizer.

In: one call of a layer. Out: two memories, "matrix" and "normalizer": ``state`` (batch, time, head, channel, state) and
(batch, time, head, channel), where channel counts places of the key and state those of the value; their ``keep`` and
``write``; of the matrix the input gate ``gate.i`` and the forget gate ``gate.f``.

Formulas, of Beck et al., "xLSTM: Extended Long Short-Term Memory" (2024), section 2.3 and appendix A: with
``m_t = max(log f_t + m_{t-1}, log i_t)``, ``keep_t = exp(log f_t + m_{t-1} - m_t)``, ``i_t' = exp(log i_t - m_t)``:
``C_t = keep_t C_{t-1} + i_t' k_t v_t^T`` and ``n_t = keep_t n_{t-1} + i_t' k_t``; read is
``C_t^T q_t / max(|n_t q_t|, exp(-m_t))`` with q divided by the square root of its width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear, logsigmoid

from .attention_sdpa import bound
from .memory import MemoryTensor
from .memory_mixer import check_dense, weights_of, wide
from .memory_scan import Before, Content, Given, Part, Seen, Steps, parts_of, refused, scan
from .recurrent_cells import Key, RecurrentError

DIMS = ("batch", "time", "head", "channel", "state")
ITEMS = ("matrix", "normalizer")
NOTE = "divided by exp(m), the largest exponent so far, as the layer keeps it"
PROJECTIONS = {
    "q": "q",
    "k": "k",
    "v": "v",
    "o": "ogate_preact",
    "i": "igate_preact",
    "f": "fgate_preact",
    "qkvo": "qkv_opreact",
    "if": "ifgate_preact",
    "out": "out_proj",
}
"""What is projected, apart or together -> the layer that does it."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a layer is, besides its weights.

    Attributes:
        heads: H.
        key_width: K of all heads together.
        value_width: V of all heads together.
        cap: Of the gates before their activation, None for none.
        eps: Added to what a read is divided by.
        norm_eps: Of the norm of each head's read.
    """

    heads: int
    key_width: int
    value_width: int
    cap: float | None
    eps: float
    norm_eps: float


class XlstmSteps(Steps):
    """The recurrence of one call."""

    def __init__(self, form: Form, given: Given) -> None:
        given = wide(given)
        self._given, self._form, self.length = given, form, given["input"].shape[1]
        self.returned = given["result"]
        found = self._projected(given["input"])
        q, self._k, self._v = (found[name].unflatten(-1, (form.heads, -1)) for name in "qkv")  # (B, T, H, K or V)
        self._q, self._o = q / q.shape[-1] ** 0.5, found["o"].sigmoid()
        new, forget = (self._capped(found[name]) for name in "if")  # (B, T, H)
        self._gates(new, forget)
        nothing = torch.zeros_like(q[:, 0])  # (B, H, K)
        zeros = {"matrix": nothing[..., None] * self._v[:, 0, :, None], "normalizer": nothing}
        self.initial = {item: given.get(f"before.{item}", zeros[item]) for item in ITEMS}
        self.last = {item: given[f"after.{item}"] for item in ITEMS if f"after.{item}" in given}

    def _projected(self, inputs: Tensor) -> dict[str, Tensor]:
        form, given = self._form, self._given
        names = [name for name in PROJECTIONS if f"{name}.weight" in given and name != "out"]
        found = {name: linear(inputs, given[f"{name}.weight"], given.get(f"{name}.bias")) for name in names}
        if "qkvo" in found:
            widths = [form.key_width, form.key_width, form.value_width, form.value_width]
            found.update(zip("qkvo", found["qkvo"].split(widths, -1), strict=True))
            found.update(zip("if", found["if"].split(form.heads, -1), strict=True))
        return found

    def _capped(self, raw: Tensor) -> Tensor:
        return raw if self._form.cap is None else self._form.cap * torch.tanh(raw / self._form.cap)

    def _gates(self, new: Tensor, forget: Tensor) -> None:
        """keep, both gates and m of every step: (B, T, H)."""
        fading = logsigmoid(forget)
        largest = self._given.get("before.max", torch.zeros_like(new[:, 0])[..., None])[..., 0]
        exponents = [largest]
        for step in range(self.length):
            largest = torch.maximum(fading[:, step] + largest, new[:, step])
            exponents.append(largest)
        self._m = torch.stack(exponents[1:], 1)
        keep = (fading + torch.stack(exponents[:-1], 1) - self._m).exp()
        self._share = (new - self._m).exp()
        self.gates = {
            ("keep", "matrix"): keep[..., None, None],
            ("keep", "normalizer"): keep[..., None],
            ("gate.i", "matrix"): self._share,
            ("gate.f", "matrix"): forget.sigmoid(),
        }

    def advance(self, content: Content, start: int, stop: int) -> dict[Key, Tensor]:
        """States and writes: (B, stop - start, H, K, V) of the matrix and (B, stop - start, H, K) of the normalizer."""
        key = self._share[:, start:stop, :, None] * self._k[:, start:stop]
        writes = {"matrix": key[..., None] * self._v[:, start:stop, :, None], "normalizer": key}
        found = {("write", item): writes[item] for item in ITEMS}
        for item in ITEMS:
            found["state", item] = scan(self.gates["keep", item][:, start:stop], writes[item], content[item])
        return found

    def read(self, content: Content, found: Mapping[Key, Tensor], start: int, stop: int) -> Tensor:
        """(B, stop - start, H, V)."""
        q, m = self._q[:, start:stop], self._m[:, start:stop]
        read = torch.einsum("bthkv,bthk->bthv", found["state", "matrix"], q)
        norm = torch.einsum("bthk,bthk->bth", found["state", "normalizer"], q).abs()
        return read / (torch.maximum(norm, (-m).exp()) + self._form.eps)[..., None]

    def result(self, reads: Tensor) -> Tensor:
        """The layer's output."""
        given = self._given
        read = layer_norm(reads, reads.shape[-1:], eps=self._form.norm_eps).flatten(2) * given["norm.weight"]
        read = read + given["norm.bias"] if "norm.bias" in given else read
        return linear(self._o * read, given["out.weight"], given.get("out.bias"))


class XlstmAdapter:
    """Matches the mLSTM layer of transformers' xLSTM, and that of the package xlstm (its xlstm_large)."""

    def __init__(self) -> None:
        self._seen = Seen()

    @staticmethod
    def may_match(kind: type[nn.Module]) -> bool:
        """Whether modules of a class may be such ones, by its name."""
        return "lstm" in kind.__name__.lower()

    def match(self, module: nn.Module) -> bool:
        """By type name and parts."""
        gates = hasattr(module, "igate_preact") or hasattr(module, "ifgate_preact")
        parts = ("multihead_norm", "out_proj", "config", "qk_dim", "v_dim")
        return self.may_match(type(module)) and gates and all(hasattr(module, part) for part in parts)

    def read(
        self, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> Iterable[MemoryTensor]:
        """Both states of one call, recovered when they are looked at."""
        call = bound(("x", "state"), args, kwargs)
        output, after = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        given = {"input": call.get("x"), "result": output}
        start, before = 0, call.get("state")
        try:
            check_dense(given)
            given.update(weights_of(module, _paths()))
            if after is not None:
                given.update(zip(("after.matrix", "after.normalizer"), after, strict=False))
            if before is not None:
                given.update(zip(("before.matrix", "before.normalizer", "before.max"), before, strict=True))
                check_dense(given)
                seen = self._seen.get(before[0])
                start = seen.steps if seen is not None else 0
                self._seen.put(before[0], Before(start + given["input"].shape[1], {}))
        except RecurrentError as error:
            return [refused(error)]
        return self._parts(module, given, start)

    def _parts(self, module: Any, given: dict[str, Tensor], start: int) -> Iterable[MemoryTensor]:
        config = module.config
        heads, cap = config.num_heads, getattr(config, "gate_soft_cap", None)
        eps = getattr(config, "mlstm_backend", config).eps  # the package xlstm has it one level deeper
        form = Form(heads, module.qk_dim, module.v_dim, cap, eps, module.multihead_norm.eps)
        batch, steps, _ = given["input"].shape
        sizes = (batch, steps, heads, module.qk_dim // heads, module.v_dim // heads)
        parts = []
        for item, axes in (("matrix", 5), ("normalizer", 4)):
            parts += [Part(kind, DIMS[:axes], sizes[:axes], item, NOTE) for kind in ("state", "write")]
            parts.append(Part("keep", DIMS[:axes], (*sizes[:3], *(1,) * (axes - 3)), item))
        parts += [Part(kind, DIMS[:3], sizes[:3], "matrix", NOTE * (kind == "gate.i")) for kind in ("gate.i", "gate.f")]
        return parts_of(partial(XlstmSteps, form), given, parts, start)


def _paths() -> dict[str, str]:
    """Name in ``given`` -> path of the weight in the layer."""
    paths = {"norm.weight": "multihead_norm.weight", "norm.bias": "multihead_norm.bias"}
    for name, layer in PROJECTIONS.items():
        paths |= {f"{name}.weight": f"{layer}.weight", f"{name}.bias": f"{layer}.bias"}
    return paths
