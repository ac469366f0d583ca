"""TuringMachine: a neural Turing machine that copies bits (Graves, Wayne & Danihelka 2014, arXiv 1410.5401).

In: bits (B, T, bits + 2), the last two channels mark start and end. Out: logits of the bits at every step.
The controller is a feed-forward network, so that all that is remembered is in the slots. Slots start at 1e-6 (Collier &
Beel 2018, arXiv 1807.08518: with it training converges where random slots do not).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

START = 1e-6
"""What every slot holds before the first write."""
FIRST_LOGIT = 6.0
"""By which the heads look at slot 0 first, before training."""


class SlotMemory(nn.Module):
    """Slots (B, N, M): read and written by weights over the slots. Has no weights and no forward of its own.

    Attributes:
        memory: what the slots hold.
        prev_mem: what they held before the last write, by which a recording checks what was written.
    """

    def __init__(self, slots: int, width: int) -> None:
        super().__init__()
        self.slots, self.width = slots, width
        self.memory = self.prev_mem = torch.empty(0)

    def reset(self, batch: int) -> None:
        """Forget everything."""
        self.memory = torch.full((batch, self.slots, self.width), START)

    def read(self, weights: Tensor) -> Tensor:
        """(B, N) -> (B, M)."""
        return torch.einsum("bn,bnm->bm", weights, self.memory)

    def write(self, weights: Tensor, erase: Tensor, add: Tensor) -> None:
        """Erase, then add: ``M (1 - w e^T) + w a^T``."""
        place = weights.unsqueeze(2)
        self.prev_mem = self.memory
        self.memory = self.memory * (1 - place * erase.unsqueeze(1)) + place * add.unsqueeze(1)


class Head(nn.Module):
    """What both kinds of heads do: find slots by content, then by place.

    Args:
        memory: the slots.
        controller: width of what the controller gives.
    """

    def __init__(self, memory: SlotMemory) -> None:
        super().__init__()
        self.memory = memory
        self.first = nn.Parameter(torch.zeros(memory.slots))
        with torch.no_grad():
            self.first[0] = FIRST_LOGIT
        self.last = torch.empty(0)

    def reset(self, batch: int) -> None:
        """Look at where the head looks first."""
        self.last = self.first.softmax(0).expand(batch, -1)

    def address(self, key: Tensor, settings: Tensor) -> Tensor:
        """Weights over the slots (B, N): content, interpolation, shift, sharpening (section 3.3 of the paper).

        Args:
            key: (B, M).
            settings: (B, 6): strength of the content, gate to it, three shifts (-1, 0, 1), sharpening.
        """
        strength, gate, shifts, sharpening = settings.split([1, 1, 3, 1], 1)
        alike = functional.cosine_similarity(self.memory.memory + 1e-16, key.unsqueeze(1) + 1e-16, dim=2)
        content = (functional.softplus(strength) * alike).softmax(1)
        mixed = torch.lerp(self.last, content, gate.sigmoid())
        back, stay, forth = shifts.softmax(1).unsqueeze(2).unbind(1)
        moved = back * mixed.roll(-1, 1) + stay * mixed + forth * mixed.roll(1, 1)
        # In parts of the largest: where no slot has much weight, high powers of all of them would be 0.
        sharp = ((moved + 1e-16) / moved.amax(1, keepdim=True)) ** (1 + functional.softplus(sharpening))
        self.last = sharp / sharp.sum(1, keepdim=True)
        return self.last


class ReadHead(Head):
    """Reads."""

    def __init__(self, memory: SlotMemory, controller: int) -> None:
        super().__init__(memory)
        self.read_lengths = [memory.width, 6]
        self.fc_read = nn.Linear(controller, sum(self.read_lengths))

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """(B, controller) -> what it reads (B, M), its weights (B, N)."""
        key, settings = self.fc_read(hidden).split(self.read_lengths, 1)
        weights = self.address(key, settings)
        return self.memory.read(weights), weights


class WriteHead(Head):
    """Erases and adds."""

    def __init__(self, memory: SlotMemory, controller: int) -> None:
        super().__init__(memory)
        self.write_lengths = [memory.width, 1, 1, 3, 1, memory.width, memory.width]
        self.fc_write = nn.Linear(controller, sum(self.write_lengths))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, controller) -> its weights (B, N)."""
        key, *settings, erase, add = self.fc_write(hidden).split(self.write_lengths, 1)
        weights = self.address(key, torch.cat(settings, 1))
        self.memory.write(weights, erase.sigmoid(), add.tanh())
        return weights


class TuringMachine(nn.Module):
    """A neural Turing machine with one head that reads and one that writes.

    Args:
        bits: of each symbol; two more channels mark start and end.
        slots, width: of the memory.
        controller: width of the controller.
    """

    def __init__(self, bits: int = 6, slots: int = 16, width: int = 12, controller: int = 64) -> None:
        super().__init__()
        self.memory = SlotMemory(slots, width)
        self.controller = nn.Sequential(nn.Linear(bits + 2 + width, controller), nn.ReLU())
        self.read_head, self.write_head = ReadHead(self.memory, controller), WriteHead(self.memory, controller)
        self.out = nn.Linear(controller + width, bits)

    def forward(self, symbols: Tensor) -> Tensor:
        """(B, T, bits + 2) -> logits (B, T, bits)."""
        batch = len(symbols)
        self.memory.reset(batch)
        self.read_head.reset(batch)
        self.write_head.reset(batch)
        read = symbols.new_zeros(batch, self.memory.width)
        logits = []
        for symbol in symbols.unbind(1):
            hidden = self.controller(torch.cat([symbol, read], 1))
            self.write_head(hidden)
            read, _ = self.read_head(hidden)
            logits.append(self.out(torch.cat([hidden, read], 1)))
        return torch.stack(logits, 1)


def copy_batch(size: int, length: int, bits: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sequences to copy: start mark, ``length`` random symbols, end mark, ``length`` empty steps for the answer.

    Returns:
        symbols float32 (size, 2 length + 2, bits + 2) and the right bits (size, length, bits), 0 or 1, of the last
        ``length`` steps.
    """
    shown = torch.randint(2, (size, length, bits), generator=generator).float()
    symbols = torch.zeros(size, 2 * length + 2, bits + 2)
    symbols[:, 1 : length + 1, :bits] = shown
    symbols[:, 0, bits] = 1
    symbols[:, length + 1, bits + 1] = 1
    return symbols, shown
