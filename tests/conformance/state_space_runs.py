"""Recurrent and state-space models of transformers, run at once or token by token, and what their own caches hold.

In: the zoo, and records of a cache. Out: models, runs, and the states that a model holds, to compare the records with.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from memviz_widgets import ActivationCache
from memviz_widgets.records import TensorRecord

from ..zoo.registry import hf as transformers
from ..zoo.state_space import models
from .attention_families import uneven

CACHED = (
    "mamba",
    "mamba2",
    "falcon_mamba",
    "jamba",
    "zamba",
    "zamba2",
    "bamba",
    "falcon_h1",
    "qwen3_next",
    "granitemoehybrid",
    "nemotron_h",
)
"""Those whose states are in a cache of transformers, by layer."""
NAMES = (*CACHED, "recurrent_gemma", "rwkv", "xlstm", "minimax")
IDS = torch.randint(3, 99, (2, 9), generator=torch.Generator().manual_seed(1))


def built(name: str, *, limited: bool = False) -> Any:
    """A model of the zoo with uneven weights. Mamba2 limits dt in a prefill only: ``limited`` ones are left so."""
    torch.manual_seed(0)
    model: Any = uneven(models[name]()[0], 0.1)
    for module in model.modules():
        if hasattr(module, "time_step_limit") and not limited:
            module.time_step_limit = (0.0, float("inf"))
    return model


def assert_same(found: Tensor, expected: Tensor) -> None:
    """Equal to a hundred-thousandth of the largest value."""
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= 1e-5 * float(expected.abs().max())


class Generation:
    """Feeds tokens to a model and carries its state on, each family in its way.

    Attributes:
        carried: What the last call returned to be handed to the next.
    """

    def __init__(self, model: Any, name: str) -> None:
        self._model, self._places = model, name == "recurrent_gemma"
        self.carried: dict[str, Any] = {}
        if self._places:  # a cache of the model's own making empties the states at every call
            self.carried["past_key_values"] = transformers.DynamicCache(config=model.config)

    def __call__(self, ids: Tensor, position: int) -> None:
        """Token ids (B, T), and the position of the first."""
        places = torch.arange(position, position + ids.shape[1])[None]
        keywords = {"position_ids": places} if self._places else {}
        out = self._model(input_ids=ids, use_cache=True, **self.carried, **keywords)
        for key in ("cache_params", "past_key_values", "state"):
            if getattr(out, key, None) is not None:
                self.carried[key] = getattr(out, key)


def run(model: Any, ids: Tensor, *, use_cache: bool = True) -> Any:
    """One forward over all tokens."""
    return model(input_ids=ids, use_cache=use_cache)


def ids_for(name: str) -> Tensor:
    """Two sequences; of RWKV one, since transformers 5.23 mixes the samples of a batch when it goes on by a token."""
    return IDS[:1] if name == "rwkv" else IDS


def contents(cache: ActivationCache) -> list[TensorRecord]:
    """Records of states that are layers of the catalog: joined ones, and those that are no part of one."""
    parts = {index for record in cache.records for index in record.parts}
    return [record for record in cache.records if record.kind == "state" and record.index not in parts]


def loaded(cache: ActivationCache, record: TensorRecord) -> Tensor:
    """All of a value."""
    value: Any = cache.value(record)
    tensor: Tensor = value if isinstance(value, Tensor) else value.load()
    return tensor


def held(model: nn.Module, name: str, carried: dict[str, Any], record: TensorRecord) -> Tensor:
    """A copy of what the model itself holds now for a record: (B, ...)."""
    module: Any = model.get_submodule(record.path)
    if name == "recurrent_gemma":
        state = module.recurrent_states
    elif name == "rwkv":
        state = carried["state"][2 if record.item == "num" else 3][:, :, module.layer_id]
    elif name == "xlstm":
        number = int(record.path.split(".")[2])  # backbone.blocks.0.mlstm_layer
        state = carried["cache_params"].rnn_state[number][0 if record.item == "matrix" else 1]
    elif name == "minimax":
        state = carried["past_key_values"].get_linear_cache(module.layer_idx)
    else:
        cache: Any = carried.get("cache_params", carried.get("past_key_values"))
        state = cache.layers[module.layer_idx].recurrent_states[0]
    copied: Tensor = state.clone()
    return copied.flatten(1, 2) if name == "zamba" else copied  # whose heads are side by side in the record
