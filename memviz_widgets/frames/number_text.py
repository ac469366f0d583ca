"""Numbers and ticks as people read them. The browser's twins are js/src/number_text.ts, paint.ts and power_ticks.ts.

In: numbers. Out: texts, and positions of ticks along an axis or a bar.
"""

from __future__ import annotations

import math
from typing import NamedTuple

MINUS = "\N{MINUS SIGN}"
_LARGEST_PLAIN = 1e6  # from here on, and below the smallest, an exponent is shorter and easier to compare
_SMALLEST_PLAIN = 1e-4
_CHARACTER_PX = 7.0


class Tick(NamedTuple):
    """A tick of a colour bar: its position 0..1 along the bar."""

    position: float
    text: str


def approximately(value: float, digits: int = 4) -> str:
    """``value`` to so many significant digits: 0.8213, -2.1, 1.5e-7, NaN, +Inf; with a typographic minus."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else f"{MINUS}Inf"
    size = abs(value)
    if size != 0 and (size >= _LARGEST_PLAIN or size < _SMALLEST_PLAIN):
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return _typographic(f"{_shortest(float(mantissa))}e{int(exponent)}")
    return _typographic(_shortest(float(f"{value:.{digits}g}")))


def share_text(share: float) -> str:
    """A share 0..1 in per cent. "0 %" and "100 %" mean exactly none and all."""
    percent = share * 100
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{_shortest(round(percent, 1) if percent < 10 or percent > 99 else round(percent))} %"


def integer_ticks(lo: float, hi: float, most: int = 8) -> list[int]:
    """Whole numbers inside lo .. hi at steps of the series 1, 2, 5: at most ``most``, at least one."""
    step = max(1, round(_nice_step(max(hi - lo, 1e-9), max(1, most - 1))))
    first = math.ceil(lo / step) * step
    return list(range(first, math.floor(hi) + 1, step))[:most] or [round((lo + hi) / 2)]


def bar_ticks(low: float, high: float, width: float) -> list[Tick]:
    """Both ends, and up to 3 round numbers between them that do not touch each other. ``width`` in pixels."""
    first = Tick(0.0, approximately(low))
    if not high > low:
        return [first]
    last, span = Tick(1.0, approximately(high)), high - low
    if not math.isfinite(span):
        return [first, last]
    step = _nice_step(span, 4)
    decimals = max(0, -math.floor(math.log10(step)))
    values = [number * step for number in range(math.ceil(low / step), math.ceil(high / step))]
    candidates = [Tick((value - low) / span, _step_text(value, step, decimals)) for value in values]
    return [first, *_not_touching(first, last, candidates, width)[:3], last]


def power_ticks(low: float, high: float, width: float) -> list[Tick]:
    """As `bar_ticks` over powers of ten, which are written as the weights that they are."""
    first = Tick(0.0, _power_text(low))
    if not high > low:
        return [first]
    last = Tick(1.0, _power_text(high))
    powers = range(math.floor(low) + 1, math.ceil(high))
    candidates = [Tick((power - low) / (high - low), _power_text(power)) for power in powers]
    return [first, *_not_touching(first, last, candidates, width), last]


def _not_touching(first: Tick, last: Tick, between: list[Tick], width: float) -> list[Tick]:
    """Those that have room; the ends are aligned to the inside of the bar, the others are centred."""
    free, end = (len(first.text) + 2) * _CHARACTER_PX, width - (len(last.text) + 2) * _CHARACTER_PX
    kept = []
    for tick in between:
        middle, half = tick.position * width, len(tick.text) * _CHARACTER_PX / 2
        if middle - half >= free and middle + half <= end:
            kept.append(tick)
            free = middle + half + 2 * _CHARACTER_PX
    return kept


def _nice_step(span: float, most: int) -> float:
    least = span / most
    power = 10.0 ** math.floor(math.log10(least))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= least * (1 - 1e-9)), 10 * power)


def _step_text(value: float, step: float, decimals: int) -> str:
    if abs(value) >= _LARGEST_PLAIN or (step < _SMALLEST_PLAIN and value != 0):
        return approximately(value)
    text = f"{value:.{decimals}f}"
    return _typographic(text if float(text) else text.replace("-", ""))


def _power_text(power: float) -> str:
    return approximately(10.0**power, 2)


def _shortest(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def _typographic(text: str) -> str:
    return text.replace("-", MINUS)
