"""Which axes of an einsum's operand are queries and which are keys.

In: an einsum equation and the ranks of its two operands. Out: the order of an operand's axes as weights, if it is used
as weights: its key axis is summed over, together with the same axis of the other operand (the values).
"""

from __future__ import annotations

from dataclasses import dataclass

_FILLERS = "0123456789"
"""Letters for the axes that an ellipsis stands for."""


@dataclass(frozen=True, slots=True)
class EinsumTerms:
    """An equation with two operands, each axis with a letter of its own."""

    operands: tuple[str, str]
    output: str

    def weights_order(self, place: int, key_axis: int) -> list[int | None] | None:
        """Axes of the operand at ``place`` as batch..., query, key; None in the list = there is no query axis.

        None when that operand does not multiply values along its key axis.
        """
        weights, values = self.operands[place], self.operands[1 - place]
        key = weights[key_axis]
        if key not in values or key in self.output or len(set(weights)) != len(weights):
            return None
        queries = [letter for letter in weights if letter not in values]
        if any(letter not in self.output for letter in queries):
            return None
        query = queries[-1] if queries else None
        order: list[int | None] = [axis for axis, letter in enumerate(weights) if letter not in (query, key)]
        return [*order, None if query is None else weights.index(query), weights.index(key)]

    def mixes(self, place: int, key_axis: int) -> bool:
        """Whether the operand at ``place`` keeps its axes but one that is not the keys', which the other one mixes."""
        weights, other = self.operands[place], self.operands[1 - place]
        if len(weights) != len(self.output) or len(other) != 2:
            return False
        changed = [axis for axis, letter in enumerate(weights) if letter != self.output[axis]]
        return (
            len(changed) == 1 and changed != [key_axis] and set(other) == {weights[changed[0]], self.output[changed[0]]}
        )


def parse(equation: str, ranks: tuple[int, int]) -> EinsumTerms:
    """Read an equation.

    Raises:
        ValueError: when it is not one of two operands.
    """
    left, arrow, output = equation.replace(" ", "").partition("->")
    one, other = (_without_ellipsis(term, rank) for term, rank in zip(left.split(","), ranks, strict=True))
    if not arrow:  # torch's rule: the letters that appear once, in the order of the alphabet
        together = one + other
        output = "".join(sorted(letter for letter in set(together) if together.count(letter) == 1))
    widest = max(sum(letter in _FILLERS for letter in term) for term in (one, other))
    return EinsumTerms((one, other), output.replace("...", _FILLERS[:widest]))


def _without_ellipsis(term: str, rank: int) -> str:
    """Name the axes of "..." from the right, as broadcasting counts them."""
    if "..." not in term:
        return term
    unnamed = rank - (len(term) - len("..."))
    return term.replace("...", _FILLERS[:unnamed][::-1])
