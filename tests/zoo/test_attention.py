"""Every model of the zoo: the attention that a capture finds is what transformers computes in eager mode.

The models are captured as they are, most of them in SDPA, where weights exist nowhere; eager mode returns them.
"""

from __future__ import annotations

from collections import defaultdict
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from .eager import Call, eager_weights, is_near, is_of_softmax, softmaxes
from .runs import Runs

NO_ATTENTION = {
    "mamba": "state space only",
    "mamba2": "state space only",
    "falcon_mamba": "state space only",
    "rwkv": "a linear recurrence",
    "xlstm": "matrix memory",
    "reformer": "it takes exp(scores - logsumexp), no softmax",
    "fnet": "Fourier transforms",
    "ibert": "softmax in integers (IntSoftmax)",
    "encodec": "convolutions and an LSTM",
    "dac": "convolutions",
    "convnext": "convolutions",
    "convnextv2": "convolutions",
    "resnet": "convolutions",
    "regnet": "convolutions",
    "mobilenet_v2": "convolutions",
    "poolformer": "pooling",
    "superpoint": "convolutions",
    "autoformer": "autocorrelation",
    "patchtsmixer": "an MLP mixes the patches",
}
"""Name -> why no attention is found."""

NOT_CAPTURED = {
    "big_bird": ("*.attention.self", "a matrix put together of blocks; the blocks are captured"),
    "reformer": ("*.self_attention", "see NO_ATTENTION"),
    "nystromformer": (
        "*.attention.self",
        "a product of two softmaxes and a pseudo-inverse; the softmaxes are captured",
    ),
    "ibert": ("*.attention.self", "see NO_ATTENTION"),
    "longformer": ("*.attention.self", "windows: padded and strided anew before they multiply the values"),
    "led": ("encoder.*.longformer_self_attn", "windows, as in longformer"),
    "deformable_detr": ("*.*_attn", "shares of sampled points, which multiply no matrix of values"),
    "mask2former": ("*.pixel_level_module.*.self_attn", "shares of sampled points, as in deformable_detr"),
}
"""Name -> (pattern of modules, why the weights that they return in eager mode are not captured)."""

NOT_RETURNED = {
    "big_bird": ("*.attention.self", "returned in one matrix"),
    "nystromformer": ("*.attention.self", "returned as a product"),
    "squeezebert": ("*.matmul_qkv", "returned before the softmax"),
    "prophetnet": ("*_attn", "returned before the softmax"),
    "mobilevit": ("*.attention.attention", "not returned"),
    "cvt": ("*.attention.attention", "not returned"),
    "timesformer": ("*.temporal_attention.attention", "returned over space only"),
    "flava": ("multimodal_model.*", "the multimodal encoder is not asked for them"),
    "lxmert": ("encoder.x_layers.*", "only the first of four attentions of a cross-modal layer"),
}
"""Name -> (pattern of modules, why their captured weights are not what they return in eager mode)."""


def captured_weights(runs: Runs) -> dict[Call, list[Tensor]]:
    """Weights of every attention record, by call, in order."""
    found: dict[Call, list[Tensor]] = defaultdict(list)
    for record in runs.cache.records:
        if record.kind == "attention":
            weights = runs.cache.attention(record.path, call=record.call, item=record.item)
            found[record.path, record.call].append(weights)
    return found


Found = list[tuple[str, Tensor]]
"""(path of a module, weights)."""


def without_match(captured: dict[Call, list[Tensor]], eager: dict[Call, list[Tensor]]) -> tuple[Found, Found]:
    """Eager weights that the same call has nothing near to among the captured ones, and the other way round."""
    missing = [
        (call[0], weights)
        for call, returned in eager.items()
        for weights in returned
        if not any(is_near(each, weights) for each in captured.get(call, ()))
    ]
    other = [
        (call[0], each)
        for call, found in captured.items()
        for each in found
        if not any(is_near(each, weights) for weights in eager.get(call, ()))
    ]
    return missing, other


def test_models_without_attention_are_those_listed(runs: Runs) -> None:
    found = any(record.kind == "attention" for record in runs.cache.records)
    assert found == (runs.name not in NO_ATTENTION)


def test_weights_are_those_of_eager_attention(runs: Runs) -> None:
    with torch.no_grad():
        eager, captured = eager_weights(runs.name), captured_weights(runs)
        missing, other = without_match(captured, eager)
        results = softmaxes(runs.name) if other else []
    pattern, _ = NOT_CAPTURED.get(runs.name, ("", ""))
    assert [path for path, _ in missing if not fnmatchcase(path, pattern)] == []
    pattern, _ = NOT_RETURNED.get(runs.name, ("", ""))
    assert [path for path, _ in other if not fnmatchcase(path, pattern)] == []
    assert (bool(missing), bool(other)) == (runs.name in NOT_CAPTURED, runs.name in NOT_RETURNED), "the lists are true"
    assert [path for path, weights in other if not is_of_softmax(weights, results)] == []


def test_part_of_the_weights_is_a_part_of_all(runs: Runs) -> None:
    for record in runs.cache.records:
        if record.kind == "attention":
            path, call, item = record.path, record.call, record.item
            whole = runs.cache.attention(path, call=call, item=item)
            head, query = whole.shape[1] - 1, whole.shape[2] - 1
            part = runs.cache.attention(path, batch=0, head=head, queries=slice(query, None), call=call, item=item)
            torch.testing.assert_close(part, whole[0, head, query:], rtol=0, atol=1e-6)
