"""Which modules can be run again by themselves."""

from __future__ import annotations

from torch import nn

from memviz_widgets.capture.blocks import block_levels
from memviz_widgets.capture.trace import walk


class Mixer(nn.Module):
    """A transformer block in outline: attention, then an MLP with most of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.Linear(8, 8))
        self.norm = nn.LayerNorm(8)
        self.mlp = Mlp()


class Mlp(nn.Module):
    """Two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 32), nn.Linear(32, 8)


class Network(nn.Module):
    """An embedding, blocks, a last norm and a part without weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 8)
        self.blocks = nn.ModuleList([Mixer(), Mixer()])
        self.dropout = nn.Dropout()
        self.norm = nn.LayerNorm(8)


def levels_of(model: nn.Module) -> dict[str, int]:
    levels = block_levels(walk(model))
    return {name: levels[id(module)] for name, module in model.named_modules() if id(module) in levels}


def test_repeated_blocks_heavy_parts_and_what_stands_beside_the_blocks() -> None:
    assert levels_of(Network()) == {
        "embedding": 1,
        "blocks.0": 1,
        "blocks.0.mlp": 2,
        "blocks.1": 1,
        "blocks.1.mlp": 2,
        "norm": 1,
    }


def test_stages_of_blocks_are_two_levels() -> None:
    stages = nn.Sequential(*(nn.Sequential(*(nn.Sequential(nn.Linear(4, 4)) for _ in range(2))) for _ in range(2)))
    assert levels_of(stages) == {"0": 1, "0.0": 2, "0.1": 2, "1": 1, "1.0": 2, "1.1": 2}


def test_layers_of_a_plain_network_count_when_they_have_weights() -> None:
    assert levels_of(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())) == {"0": 1, "2": 1}
