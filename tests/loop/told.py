"""What came of the loop: a table for people, JSON for programs, a picture for docs/loop.md."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from review.insight.compare import Difference
from review.insight.drawing import LIGHT

if TYPE_CHECKING:
    from .chain import Result

SHOWN = {
    "document_f1": "F1 of the first",
    "best_of_three_f1": "F1 of the best of three",
    "pickable": "pickable",
}
PLANS = {
    "composed": "put together with the ranker (as it is served)",
    "greedy-and-samples": "the model alone: its answer, and two samples",
}


def write(result: Result, out: Path) -> None:
    """loop.json, loop.md and loop.svg; the table is printed as well."""
    (out / "loop.json").write_text(json.dumps(asdict(result), indent=1, default=str) + "\n")
    text = "\n".join(table(result))
    (out / "loop.md").write_text(text + "\n", "utf-8")
    (out / "loop.svg").write_text(picture(result.differences), "utf-8")
    print(text)


def table(result: Result) -> list[str]:
    counts = ", ".join(f"{name}: {count}" for name, count in result.counts.items())
    asked = ", ".join(f"{name} {value}" for name, value in result.wanted.items())
    lines = [f"Reviewers simulated. {counts}. {asked}.", ""]
    lines += ["| plan | measure | base | tuned | tuned less base, 95 % |", "| --- " * 5 + "|"]
    for plan, differences in result.differences.items():
        for one in shown(differences):
            lines.append(
                f"| {plan} | {SHOWN[one.name]} | {one.first:.3f} | {one.second:.3f} | "
                f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]{' *' * one.is_clear} |"
            )
    lines += ["", "\\* the interval excludes 0.", ""]
    lines += ["| training | documents | pairs | seconds | most memory, MB |", "| --- " * 5 + "|"]
    lines += [
        f"| {it.adapter.parent.name} | {it.documents} | {it.pairs} | {it.seconds:.0f} | "
        f"{it.memory:,.0f} |"
        for it in result.trainings
    ]
    spent = ", ".join(f"{what} {seconds:.0f}" for what, seconds in result.seconds.items())
    return [*lines, "", f"Seconds: {spent}. {result.machine}."]


def shown(differences: Sequence[Difference]) -> list[Difference]:
    by_name = {one.name: one for one in differences}
    return [by_name[name] for name in SHOWN]


def picture(found: Mapping[str, Sequence[Difference]]) -> str:
    """Left each measure's way from base to tuned, right the difference with its interval: SVG."""
    os.environ.setdefault("MPLCONFIGDIR", str(settings.VAR / "matplotlib"))
    import io

    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tagger"})
    figure = Figure(figsize=(9, 1.2 + 1.5 * len(found)), layout="constrained")
    pairs = figure.subplots(len(found), 2, squeeze=False, sharex="col", width_ratios=[3, 2])
    base, tuned = LIGHT.series[1], LIGHT.series[0]
    for (plan, differences), (left, right) in zip(found.items(), pairs, strict=True):
        rows = shown(differences)
        for place, one in enumerate(rows):
            left.annotate(
                "",
                (one.second, place),
                (one.first, place),
                arrowprops={"arrowstyle": "->", "color": LIGHT.line},
            )
            left.plot(one.first, place, "s", color=base, label="base" if not place else None)
            left.plot(one.second, place, "o", color=tuned, label="tuned" if not place else None)
            ends = [[one.value - one.low], [one.high - one.value]]
            right.errorbar([one.value], [place], xerr=ends, fmt="o", color=tuned, capsize=3)
        for axes in (left, right):
            axes.set_ylim(len(rows) - 0.5, -0.5)  # the first on top
            axes.set_yticks(range(len(rows)), [])
            axes.spines[["top", "right"]].set_visible(False)
        left.set_yticks(range(len(rows)), [SHOWN[one.name] for one in rows])
        left.set_xlim(0, 1)
        left.set_title(PLANS.get(plan, plan), loc="left", fontsize=10)
        right.axvline(0, color=LIGHT.line, linestyle="--", linewidth=1)
        right.set_title("tuned less base, 95 %", loc="left", fontsize=10)
    handles, names = pairs[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=2, frameon=False)
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()
