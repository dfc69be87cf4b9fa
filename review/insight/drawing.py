"""Pictures as SVG: shares with their intervals, and courses.

Knows what is drawn, not what it means.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings

from .interval import Share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

LONGEST = 28  # of a label
MARKS = ("o", "s", "^")  # beside the colours, for those who tell none apart
WIDTH = 5.4  # inches of 72 points: on a phone its letters can still be read


@dataclass(frozen=True)
class Look:
    """Colours on the page's own ground, which shows through."""

    ink: str
    line: str
    series: tuple[str, str, str]


# As --ink, --edge and --accent in desk.css, and two more, each at least 3:1 on its ground.
LIGHT = Look("#1f2327", "#8a929c", ("#0b6375", "#b2491b", "#6a4fb3"))
DARK = Look("#dfe1e4", "#737b85", ("#73c6d6", "#f0a072", "#b7a3f0"))


@dataclass(frozen=True)
class Series:
    name: str
    shares: Sequence[Share]


def dots(labels: Sequence[str], series: Sequence[Series], marked: float | None, look: Look) -> str:
    """A line for each label, on it each series' share as a mark with its interval.

    marked: a share to compare with, as a dashed line.
    """
    figure, axes = _figure(0.9 + 0.3 * len(labels) * (1 + 0.35 * (len(series) - 1)), look)
    for place, one in enumerate(series):
        told = [(row, share) for row, share in enumerate(one.shares) if share.of]
        _marks(axes, one.name, place, len(series), told, look)
    if marked is not None:
        axes.axvline(marked, color=look.line, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(labels)), [_short(label) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)  # the first on top
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(_percent())
    return _svg(figure, axes, len(series), look)


def lines(ends: Sequence[int], series: Sequence[Series], called: str, look: Look) -> str:
    """Each series' shares over `ends`, their intervals as a band. called: what `ends` counts."""
    figure, axes = _figure(3.4, look)
    for place, one in enumerate(series):
        colour = look.series[place]
        values = [share.value or 0 for share in one.shares]
        lows, highs = ([getattr(it, end) or 0 for it in one.shares] for end in ("low", "high"))
        axes.fill_between(ends, lows, highs, color=colour, alpha=0.18, linewidth=0)
        axes.plot(ends, values, color=colour, marker=MARKS[place], markersize=5, label=one.name)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(called, color=look.ink)
    axes.yaxis.set_major_formatter(_percent())
    return _svg(figure, axes, len(series), look)


@dataclass(frozen=True)
class Panel:
    """runs: lines of points, each for itself. is_share: from 0 to 1."""

    name: str
    runs: Sequence[Sequence[tuple[float, float]]]
    is_share: bool = False


def courses(panels: Sequence[Panel], called: str, marked: float | None, look: Look) -> str:
    """How figures went, one below the other. called: what is counted from left to right.

    marked: a place there, as a dashed line through all.
    """
    figure, first = _figure(0.6 + 1.6 * len(panels), look, len(panels))
    last = max((x for panel in panels for run in panel.runs for x, _ in run), default=1)
    axes = first
    for place, panel in enumerate(panels):
        if place:
            axes = _axes(figure, len(panels), place, look)
        for run in panel.runs:
            mark = "o" if len(run) == 1 else ""
            axes.plot(*zip(*run, strict=True), color=look.series[place], marker=mark, linewidth=1.5)
        if marked is not None:
            axes.axvline(marked, color=look.line, linestyle="--", linewidth=1)
        axes.set_xlim(0, last)
        axes.set_ylabel(panel.name, color=look.ink)
        axes.tick_params(labelbottom=place == len(panels) - 1)
        if panel.is_share:
            axes.set_ylim(-0.02, 1.02)
            axes.yaxis.set_major_formatter(_percent())
    axes.set_xlabel(called, color=look.ink)
    return _svg(figure, axes, 1, look)


def _marks(
    axes: Axes,
    name: str,
    place: int,
    of: int,
    told: Sequence[tuple[int, Share]],
    look: Look,
) -> None:
    values = [share.value or 0 for _, share in told]
    below = [value - (share.low or 0) for value, (_, share) in zip(values, told, strict=True)]
    above = [(share.high or 0) - value for value, (_, share) in zip(values, told, strict=True)]
    rows = [row + (place - (of - 1) / 2) * 0.24 for row, _ in told]
    axes.errorbar(
        values,
        rows,
        xerr=[[max(0, one) for one in below], [max(0, one) for one in above]],
        fmt=MARKS[place],
        color=look.series[place],
        capsize=3,
        markersize=6,
        label=name,
    )


def _figure(height: float, look: Look, rows: int = 1) -> tuple[Figure, Axes]:
    # Imported only here: it is large, and most pages never ask. It keeps a list of the fonts,
    # which takes seconds to make: once, where Tagger writes everything.
    os.environ.setdefault("MPLCONFIGDIR", str(settings.VAR / "matplotlib"))
    import matplotlib
    from matplotlib.figure import Figure

    # It measures letters that its own font lacks as boxes; the reader's font has them.
    warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
    matplotlib.rcParams.update(
        {
            "svg.fonttype": "none",  # as text: short, and the reader's own letters for any script
            "svg.hashsalt": "tagger",  # the same picture, the same bytes
            "text.parse_math": False,  # a name with dollars is a name
            "font.size": 11,
        }
    )
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, _axes(figure, rows, 0, look)


def _axes(figure: Figure, rows: int, row: int, look: Look) -> Axes:
    axes = figure.add_subplot(rows, 1, row + 1)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(look.line)
    axes.tick_params(color=look.line, labelcolor=look.ink)
    axes.patch.set_alpha(0)
    return axes


def _svg(figure: Figure, axes: Axes, series: int, look: Look) -> str:
    if series > 1:
        figure.legend(loc="outside upper left", ncols=series, frameon=False, labelcolor=look.ink)
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return written.getvalue()


def _percent() -> Formatter:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1.0, decimals=0, symbol=" %")


def _short(label: str) -> str:
    return label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"
