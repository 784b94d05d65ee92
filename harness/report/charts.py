"""Charts as inline SVG: intervals, training curves, cost against AUROC.

Colours are the style sheet's (``s0`` to ``s7``), so that a chart follows light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

COLOURS = 8
Svg = str
"""Markup whose texts are escaped: safe to put into a page as it is."""
Point = tuple[float, float]
Limits = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """Maps values onto pixels, linear or logarithmic, and names its ticks."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high = (log10(self.low), log10(self.high)) if self.log else (self.low, self.high)
        place = (log10(value) if self.log else value) - low
        return self.start + place / ((high - low) or 1) * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Return round values inside the limits."""
        if self.log:
            powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            every = [base * 10.0**power for power in powers for base in (1, 2, 5)]
            inside = [tick for tick in every if self.low <= tick <= self.high]
            return inside if len(inside) <= most else [t for t in inside if f"{t:e}"[0] == "1"]
        step = _step((self.high - self.low) / most)
        first = ceil(round(self.low / step, 6))
        return [i * step for i in range(first, floor(round(self.high / step, 6)) + 1)]


def _step(least: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is not below ``least``."""
    if least <= 0:
        return 1.0
    power = 10.0 ** floor(log10(least))
    return next(base * power for base in (1, 2, 5, 10) if base * power >= least * 0.999)


def svg(width: float, height: float, label: str, parts: Sequence[str], kind: str) -> Svg:
    """Return an image that is read out as ``label``; the parts are markup already."""
    head = f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img"'
    return f'{head} aria-label="{escape(label)}">{"".join(parts)}</svg>'


def interval_bar(mean: float, interval: Limits | None, scale: Limits, label: str) -> Svg:
    """Draw a mean and its interval on the scale that all rows of a grid share."""
    axis = Axis(*scale, 4, 116)
    parts = ['<path class="rule" d="M4 8H116"/>']
    if interval is not None:
        low, high = (axis.at(min(max(end, scale[0]), scale[1])) for end in interval)
        parts.append(f'<path class="span" d="M{low:.1f} 8H{high:.1f}"/>')
    parts.append(f'<circle cx="{axis.at(mean):.1f}" cy="8" r="3.2"/>')
    return svg(120, 16, label, parts, "bar")


def shared_scale(values: Sequence[float]) -> Limits | None:
    """Return limits around values with a little room, None where there are none."""
    if not values:
        return None
    room = max((max(values) - min(values)) * 0.06, 0.002)
    return min(values) - room, max(values) + room


def curves(
    lines: Sequence[Sequence[Point]], what: str, label: str, kept: Sequence[int | None]
) -> Svg:
    """Draw one quantity over epochs, a line for each seed; ``kept`` are the epochs kept."""
    values = [value for line in lines for _, value in line]
    low, high = min(values), max(values)
    room = (high - low) * 0.1 or abs(high) * 0.05 or 0.5
    down = Axis(low - room, high + room, 84, 10)
    first, last = min(line[0][0] for line in lines), max(line[-1][0] for line in lines)
    across = Axis(first, max(last, first + 1), 42, 272)
    parts = [_level(down.at(tick), 42, 272, _number(tick)) for tick in down.ticks(4)]
    for line in lines:
        shown = line[:: ceil(len(line) / 200)]
        path = " ".join(f"{across.at(x):.1f},{down.at(y):.1f}" for x, y in shown)
        parts.append(f'<polyline class="line" points="{path}"/>')
    for line, best in zip(lines, kept, strict=True):
        dots = [point for point in line if point[0] == best] or list(line[-1:])
        parts += [_dot(across.at(x), down.at(y), "dot") for x, y in dots]
    parts += [
        f'<text x="{across.at(x):.1f}" y="99" text-anchor="{side}">{x:g}</text>'
        for x, side in {first: "start", last: "end"}.items()
    ]
    parts.append(f'<text class="name" x="157" y="99" text-anchor="middle">{escape(what)}</text>')
    said = f"{label}: {what}, from {values[0]:.4g} to {lines[0][-1][1]:.4g}"
    return svg(280, 104, said, parts, "curve")


@dataclass(frozen=True)
class Mark:
    """One configuration in a scatter chart."""

    label: str
    x: float
    y: float
    interval: Limits | None
    series: int
    title: str


def scatter(marks: Sequence[Mark], across: str, up: str) -> Svg:
    """Draw AUROC against a cost or a speed on a logarithmic axis, intervals as whiskers."""
    y = [end for mark in marks for end in (mark.interval or (mark.y,))] + [m.y for m in marks]
    low, high = shared_scale(y) or (0.0, 1.0)
    x = [mark.x for mark in marks]
    right = Axis(min(x) / 1.6, max(x) * 1.6, 46, 350, log=True)
    top = Axis(low, high, 196, 20)
    parts = [_level(top.at(tick), 46, 350, _number(tick)) for tick in top.ticks(4)]
    parts += [
        f'<path class="rule" d="M{right.at(t):.1f} 196v4"/>'
        f'<text x="{right.at(t):.1f}" y="212" text-anchor="middle">{_number(t)}</text>'
        for t in right.ticks(5)
    ]
    parts.append(f'<text class="name" x="198" y="230" text-anchor="middle">{escape(across)}</text>')
    parts.append(f'<text class="name" x="8" y="8">{escape(up)}</text>')
    parts += [_mark(mark, right, top) for mark in marks]
    parts += _labels(marks, right, top)
    return svg(360, 236, f"{up} against {across}", parts, "scatter")


def _mark(mark: Mark, across: Axis, up: Axis) -> str:
    x = across.at(mark.x)
    whisker = ""
    if mark.interval:
        low, high = (up.at(end) for end in mark.interval)
        whisker = f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}"/>'
    dot = _dot(x, up.at(mark.y), "")
    return (
        f'<g class="s{mark.series % COLOURS}"><title>{escape(mark.title)}</title>{whisker}{dot}</g>'
    )


def _labels(marks: Sequence[Mark], across: Axis, up: Axis) -> list[str]:
    """Name the points as far as their names do not cover each other; all have a title."""
    taken = [(across.at(m.x) - 5, across.at(m.x) + 5, up.at(m.y)) for m in marks]
    parts = []
    for mark in marks:
        text = mark.label if len(mark.label) <= 26 else mark.label[:25] + "…"
        width, x, y = 5.4 * len(text), across.at(mark.x), up.at(mark.y)
        places = [(x + 8, y), (x - 8 - width, y), (x + 8, y - 11), (x + 8, y + 11)]
        places += [(x - 8 - width, y - 11), (x - 8 - width, y + 11)]
        free = [place for place in places if _free(place, width, taken)]
        if free:
            left, level = free[0]
            taken.append((left, left + width, level))
            parts.append(
                f'<text class="tag" x="{left:.1f}" y="{level + 3.5:.1f}">{escape(text)}</text>'
            )
    return parts


def _free(place: Point, width: float, taken: Sequence[tuple[float, float, float]]) -> bool:
    left, level = place
    clear = all(left > x2 or left + width < x1 or abs(level - y) > 10 for x1, x2, y in taken)
    return clear and left >= 48 and left + width <= 356 and 14 < level < 192


def _level(y: float, start: float, end: float, text: str) -> str:
    return (
        f'<path class="grid" d="M{start} {y:.1f}H{end}"/>'
        f'<text x="{start - 5}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>'
    )


def _dot(x: float, y: float, kind: str) -> str:
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.6"/>'


def _number(value: float) -> str:
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.removeprefix("0") if 0 < value < 1 else text
