"""DifferentiableComputer: an LSTM with slots that it allocates, links and frees (Graves et al. 2016, "Hybrid computing
using a neural network with dynamic external memory", Nature 538).

In: symbols (B, T, inputs). Out: logits (B, T, outputs). Letters as in the paper's methods: N slots of width W, R read
heads, usage u, precedence p, link L.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

State = dict[str, Tensor]
START = 1e-6
SMALL = 1e-6


class Memory(nn.Module):
    """The slots and all that addresses them. Holds no state: it is given one and returns the next.

    Args:
        controller: width of what the controller gives.
        mem_size: N, number of slots.
        cell_size: W, width of a slot.
        read_heads: R.
    """

    def __init__(self, controller: int, mem_size: int = 16, cell_size: int = 10, read_heads: int = 1) -> None:
        super().__init__()
        self.mem_size, self.cell_size, self.read_heads = mem_size, cell_size, read_heads
        r, w = read_heads, cell_size
        self.lengths = [r * w, r, w, 1, w, w, r, 1, 1, 3 * r]
        self.interface_weights = nn.Linear(controller, sum(self.lengths))

    def first_state(self, batch: int) -> State:
        """Empty slots that nobody looks at."""
        n, r = self.mem_size, self.read_heads
        return {
            "memory": torch.full((batch, n, self.cell_size), START),
            "read_weights": torch.zeros(batch, r, n),
            "write_weights": torch.zeros(batch, 1, n),
            "usage_vector": torch.zeros(batch, n),
            "link_matrix": torch.zeros(batch, n, n),
            "precedence": torch.zeros(batch, n),
        }

    def forward(self, hidden: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, controller), state -> what is read (B, R, W), the next state."""
        parts = self.interface_weights(hidden).split(self.lengths, 1)
        read_keys, read_strengths, write_key, write_strength, erase, add, free, allocation, write, modes = parts
        batch, r = len(hidden), self.read_heads
        usage = next_usage(state, free.sigmoid())
        content = by_content(state["memory"], write_key.unsqueeze(1), write_strength)[:, 0]
        chosen = torch.lerp(content, allocation_weights(usage), allocation.sigmoid())
        written = write.sigmoid() * chosen  # (B, N)
        place = written.unsqueeze(2)
        memory = state["memory"] * (1 - place * erase.sigmoid().unsqueeze(1)) + place * torch.tanh(add).unsqueeze(1)
        link = next_link(state["link_matrix"], written, state["precedence"])
        precedence = (1 - written.sum(1, keepdim=True)) * state["precedence"] + written
        alike = by_content(memory, read_keys.view(batch, r, -1), read_strengths)
        before = state["read_weights"]
        ways = torch.stack([before @ link, before @ link.transpose(1, 2), alike], 2)  # (B, R, 3, N)
        read_weights = (modes.view(batch, r, 3).softmax(2).unsqueeze(3) * ways).sum(2)
        state = {
            "memory": memory,
            "read_weights": read_weights,
            "write_weights": written.unsqueeze(1),
            "usage_vector": usage,
            "link_matrix": link,
            "precedence": precedence,
        }
        return read_weights @ memory, state


def by_content(memory: Tensor, keys: Tensor, strengths: Tensor) -> Tensor:
    """Weights (B, R, N) of slots (B, N, W) that are like keys (B, R, W), by strengths (B, R)."""
    alike = functional.cosine_similarity(keys.unsqueeze(2), memory.unsqueeze(1), dim=3, eps=SMALL)
    return (alike * (1 + functional.softplus(strengths)).unsqueeze(2)).softmax(2)


def next_usage(state: State, free: Tensor) -> Tensor:
    """Usage (B, N) after the last write and after the free gates (B, R) gave back what was read."""
    usage, written = state["usage_vector"], state["write_weights"][:, 0]
    kept = (1 - free.unsqueeze(2) * state["read_weights"]).prod(1)
    return (usage + written - usage * written) * kept


def allocation_weights(usage: Tensor) -> Tensor:
    """Weights (B, N) of the least used slots: ``(1 - u) prod of the u of those used less``."""
    ordered, places = (SMALL + (1 - SMALL) * usage).sort(1)
    before = torch.cat([torch.ones_like(ordered[:, :1]), ordered[:, :-1]], 1).cumprod(1)
    return torch.zeros_like(usage).scatter(1, places, (1 - ordered) * before)


def next_link(link: Tensor, written: Tensor, precedence: Tensor) -> Tensor:
    """Links (B, N, N): how much slot (row) was written right after the column's slot."""
    row, column = written.unsqueeze(2), written.unsqueeze(1)
    moved = (1 - row - column) * link + row * precedence.unsqueeze(1)
    return moved * (1 - torch.eye(written.shape[1], device=written.device))


class DifferentiableComputer(nn.Module):
    """An LSTM cell with a differentiable memory beside it.

    Args:
        inputs, outputs: channels.
        controller: width of the LSTM cell.
        slots, width, heads: of the memory.
    """

    def __init__(
        self, inputs: int, outputs: int, controller: int = 64, slots: int = 16, width: int = 10, heads: int = 1
    ) -> None:
        super().__init__()
        self.controller = nn.LSTMCell(inputs + heads * width, controller)
        self.memory = Memory(controller, slots, width, heads)
        self.out = nn.Linear(controller + heads * width, outputs)

    def forward(self, symbols: Tensor) -> Tensor:
        """(B, T, inputs) -> logits (B, T, outputs)."""
        batch = len(symbols)
        state = self.memory.first_state(batch)
        read = symbols.new_zeros(batch, self.memory.read_heads * self.memory.cell_size)
        hidden = cell = symbols.new_zeros(batch, self.controller.hidden_size)
        logits = []
        for symbol in symbols.unbind(1):
            hidden, cell = self.controller(torch.cat([symbol, read], 1), (hidden, cell))
            vectors, state = self.memory(hidden, state)
            read = vectors.flatten(1)
            logits.append(self.out(torch.cat([hidden, read], 1)))
        return torch.stack(logits, 1)
