"""Small charts as inline SVG: no script, no outside file, colours by CSS classes of the page.

Charts with axes have a fixed view box. Strips and bars place everything in percent, so that they
stretch with the page while their text keeps its size. Points that are not finite are left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Points = Iterable[Sequence[float]]

LEFT, RIGHT, TOP, BOTTOM = 40.0, 10.0, 24.0, 36.0
MAX_LABEL = 34
N_COLOURS = 5
ROW_PX = 21
MARKS = {
    "passed": '<circle cx="8" cy="8" r="7.5"/><path d="M4.4 8.3l2.5 2.5 4.7-5.2"/>',
    "failed": '<path class="bg" d="M1 1h14v14H1z"/><path d="M5 5l6 6M11 5l-6 6"/>',
    "warning": '<path class="bg" d="M8 .8L15.6 15H.4z"/><path d="M8 5.6v4.6M8 12v.9"/>',
}
MAX_BAR_LABEL = 26
LABEL_SHARE, VALUE_SHARE = 1.4, 12.0  # percent of a bar chart's width: one letter, one value


@dataclass(frozen=True)
class Axis:
    """A title and the values at both ends."""

    title: str
    low: float
    high: float


@dataclass(frozen=True)
class Frame:
    """The plotting area of one chart."""

    x: Axis
    y: Axis
    width: float = 240.0
    height: float = 226.0

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of (x, y) in pixels."""
        wide, tall = self.width - LEFT - RIGHT, self.height - TOP - BOTTOM
        across = (x - self.x.low) / (self.x.high - self.x.low)
        up = (y - self.y.low) / (self.y.high - self.y.low)
        return LEFT + wide * across, TOP + tall * (1 - up)


def clip(text: object, size: int = MAX_LABEL) -> str:
    """Cut a long text and end it in an ellipsis."""
    text = str(text)
    return text if len(text) <= size else text[: size - 1] + "…"


def finite(points: Points) -> list[tuple[float, float]]:
    """Keep the points of which both numbers are finite."""
    pairs = ((float(p[0]), float(p[1])) for p in points if p[0] is not None and p[1] is not None)
    return [p for p in pairs if math.isfinite(p[0]) and math.isfinite(p[1])]


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Return about n round values (1, 2 or 5 times a power of ten) from low to high."""
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def axis_over(title: str, values: Iterable[float], *, zero: bool = False) -> Axis:
    """Return an axis that spans the values, with a little air; from zero if asked."""
    values = list(values) or [0.0, 1.0]
    low, high = min(values), max(values)
    low = min(low, 0.0) if zero else low
    pad = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return Axis(title, low if zero and low == 0 else low - pad, high + pad)


def line_chart(
    title: str,
    series: Mapping[str, Points],
    frame: Frame,
    *,
    diagonal: bool = False,
    marks: bool = False,
    upright: float | None = None,
) -> Markup:
    """Draw one line per series; a legend above where there are two or more.

    Args:
        title: For those who do not see it.
        series: Points by name.
        frame: The plotting area.
        diagonal: Dashed, from corner to corner.
        marks: A dot at each point.
        upright: Where on the x axis a dashed line stands.
    """
    parts = [_axes(frame)]
    if upright is not None and frame.x.low <= upright <= frame.x.high:
        parts.append(_line(frame, [(upright, frame.y.low), (upright, frame.y.high)], "dg"))
    if diagonal:
        parts.append(_line(frame, [(frame.x.low, frame.y.low), (frame.x.high, frame.y.high)], "dg"))
    for place, (name, points) in enumerate(series.items()):
        kept, colour = finite(points), f"s{place % N_COLOURS}"
        parts.append(_line(frame, kept, f"ln {colour}"))
        if marks:
            parts.append(_dots(frame, kept, f"pt {colour}"))
        if len(series) > 1:
            parts.append(_legend(name, place, colour))
    return _svg(title, frame, parts)


def scatter(
    title: str,
    points: Points,
    frame: Frame,
    *,
    diagonal: bool = False,
    level: float | None = None,
) -> Markup:
    """Draw a cloud of points, as one path to keep the page small; `level` is a dashed line."""
    parts = [_axes(frame)]
    if level is not None:
        parts.append(_line(frame, [(frame.x.low, level), (frame.x.high, level)], "dg"))
    if diagonal:
        low, high = max(frame.x.low, frame.y.low), min(frame.x.high, frame.y.high)
        parts.append(_line(frame, [(low, low), (high, high)], "dg"))
    return _svg(title, frame, [*parts, _dots(frame, finite(points), "cl s0")])


def columns(title: str, points: Points, frame: Frame) -> Markup:
    """Draw one upright bar per (centre, height); centres are evenly spaced."""
    kept = finite(points)
    gap = min((b[0] - a[0] for a, b in itertools.pairwise(kept)), default=1.0)
    path = []
    for x, y in kept:
        (left, top), (right, floor) = frame.at(x - gap / 2, y), frame.at(x + gap / 2, 0.0)
        wide = max(right - left - 1, 0.5)
        path.append(f"M{left:.1f} {floor:.1f}V{top:.1f}h{wide:.1f}V{floor:.1f}z")
    return _svg(title, frame, [_axes(frame), _raw(f'<path class="fl s0" d="{"".join(path)}"/>')])


def bars(title: str, values: Sequence[tuple[str, float, str]]) -> Markup:
    """Draw one lying bar per (label, value, value as text); negative values get no bar."""
    top = max((v for _, v, _ in values if math.isfinite(v)), default=0.0)
    start = 2 + LABEL_SHARE * max((min(len(n), MAX_BAR_LABEL) for n, _, _ in values), default=0)
    parts = []
    for place, (label, value, text) in enumerate(values):
        share = max(value, 0.0) / top if top > 0 and math.isfinite(value) else 0.0
        y, span = place * ROW_PX, share * (100 - start - VALUE_SHARE)
        parts.append(
            Markup(
                '<text class="bl" x="{x:.1f}%" y="{yt}">{label}</text>'
                '<rect class="fl s0" x="{b:.1f}%" y="{yb}" width="{w:.1f}%" height="11"/>'
                '<text class="bv" x="{v:.1f}%" dx="7" y="{yt}">{text}</text>'
            ).format(
                x=start - 1.5,
                yt=y + 14,
                label=clip(label, MAX_BAR_LABEL),
                b=start,
                yb=y + 5,
                w=span,
                v=start + span,
                text=text,
            )
        )
    return Markup(
        '<svg class="bars" role="img" width="100%" height="{h}"><title>{t}</title>{p}</svg>'
    ).format(h=len(values) * ROW_PX + 4, t=title, p=Markup("").join(parts))


def strip(
    title: str,
    value: float | None,
    span: tuple[float, float],
    *,
    interval: tuple[float, float] | None = None,
    limit: float | None = None,
    allowed: str = "",
    tone: str = "s0",
) -> Markup:
    """Draw a value on a line from span[0] to span[1], with its interval and a limit.

    Args:
        allowed: "above" or "below" shades that side of the limit; otherwise it is a plain tick.
    """
    low, high = span
    if value is None or not math.isfinite(value) or high <= low:
        return Markup("")

    def place(v: float) -> float:
        return 3 + 94 * min(max((v - low) / (high - low), 0.0), 1.0)

    parts = ['<line class="ax" x1="0" x2="100%" y1="9" y2="9"/>']
    if limit is not None:
        at = place(limit)
        start, wide = (at, 100 - at) if allowed == "above" else (0.0, at)
        if allowed:
            parts.append(
                f'<rect class="ok" x="{start:.1f}%" width="{wide:.1f}%" y="4" height="10"/>'
            )
        parts.append(f'<line class="lim" x1="{at:.1f}%" x2="{at:.1f}%" y1="1" y2="17"/>')
    if interval is not None and all(map(math.isfinite, interval)):
        a, b = (place(v) for v in interval)
        parts.append(f'<line class="ci {tone}" x1="{a:.1f}%" x2="{b:.1f}%" y1="9" y2="9"/>')
    parts.append(f'<circle class="dot {tone}" cx="{place(value):.1f}%" cy="9" r="4"/>')
    return Markup(
        '<svg class="strip" role="img" width="100%" height="18"><title>{t}</title>{p}</svg>'
    ).format(t=title, p=_raw("".join(parts)))


def mark(kind: str) -> Markup:
    """Draw a sign that differs in shape as well as colour: passed, failed or warning."""
    shape = MARKS[kind]
    return _raw(
        f'<svg class="mk {kind}" role="img" viewBox="0 0 16 16"><title>{kind}</title>{shape}</svg>'
    )


def _raw(drawing: str) -> Markup:
    """Trust a drawing that holds only our own tags, classes and numbers, never a user's text."""
    return Markup(drawing)  # noqa: S704  # no text of a user is in it


def _axes(frame: Frame) -> Markup:
    left, floor = frame.at(frame.x.low, frame.y.low)
    right = frame.at(frame.x.high, frame.y.low)[0]
    wide = frame.width > 300
    parts = []
    for value in ticks(frame.y.low, frame.y.high):
        y = frame.at(frame.x.low, value)[1]
        parts.append(
            f'<path class="gr" d="M{left:.1f} {y:.1f}H{right:.1f}"/>'
            f'<text class="ty" x="{left - 6:.1f}" y="{y + 3.5:.1f}">{_tick(value)}</text>'
        )
    for value in ticks(frame.x.low, frame.x.high, 7 if wide else 5):
        x = frame.at(value, frame.y.low)[0]
        parts.append(
            f'<path class="ax" d="M{x:.1f} {floor:.1f}v4"/>'
            f'<text class="tx" x="{x:.1f}" y="{floor + 15:.1f}">{_tick(value)}</text>'
        )
    parts.append(f'<path class="ax" d="M{left:.1f} {floor:.1f}H{right:.1f}"/>')
    return _raw("".join(parts)) + Markup(
        '<text class="tt" x="2" y="11">{y}</text>'
        '<text class="tt tx" x="{m:.1f}" y="{b:.1f}">{x}</text>'
    ).format(
        y=clip(frame.y.title, 60),
        x=clip(frame.x.title, 60),
        m=(left + right) / 2,
        b=frame.height - 4,
    )


def _tick(value: float) -> str:
    size = abs(value)
    if size >= 1e6:
        text = f"{size / 1e6:g}M"
    else:
        text = f"{size / 1e3:g}k" if size >= 1e4 else f"{size:g}"
    return f"−{text}" if value < 0 else text


def _line(frame: Frame, points: Sequence[tuple[float, float]], css: str) -> Markup:
    places = (frame.at(x, y) for x, y in points)
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return _raw(f'<path class="{css}" d="M{path}"/>') if path else Markup("")


def _dots(frame: Frame, points: Sequence[tuple[float, float]], css: str) -> Markup:
    path = "".join("M{:.0f} {:.0f}h0".format(*frame.at(x, y)) for x, y in points)
    return _raw(f'<path class="{css}" d="{path}"/>') if path else Markup("")


def _legend(name: str, place: int, colour: str) -> Markup:
    x, y = LEFT + 64 * place, TOP - 9
    return Markup(
        '<path class="ln {c}" d="M{x:.0f} {y:.0f}h11"/><text class="lg" x="{t:.0f}" '
        'y="{b:.0f}">{n}</text>'
    ).format(c=colour, x=x, y=y, t=x + 15, b=y + 3.5, n=clip(name, 14))


def _svg(title: str, frame: Frame, parts: Iterable[Markup]) -> Markup:
    return Markup(
        '<svg class="plot" role="img" viewBox="0 0 {w:.0f} {h:.0f}"><title>{t}</title>{p}</svg>'
    ).format(w=frame.width, h=frame.height, t=escape(title), p=Markup("").join(parts))
