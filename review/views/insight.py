"""What the decisions say of the proposals and of the reviewers, for the curator."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from review.insight import by_model, gold, learning, position, tag_duels, win_rate
from review.insight.agreement import selves
from review.insight.decided import MOST_READ, Choice, Decided, choices, decided
from review.insight.drawing import DARK, LIGHT, Look, Series, dots, lines
from review.insight.interval import Share
from review.models import Project, Role
from review.models.budget import MILLIONTHS
from review.writers.tags_csv import neutral

from .access import project_of, signed_in

MOST_LISTED = 30  # rows of a table on the page; the file has all
MOST_DRAWN = 12  # lines of a picture

Cell = str | int | float | Share | None
Row = Sequence[Cell]


@dataclass(frozen=True)
class Shown:
    """One figure. columns: the names of the file's columns, with what the page calls them.

    draw: the picture, in a look; None where there is nothing to draw. said: what it comes to.
    """

    columns: dict[str, str]
    rows: Sequence[Row]
    n: int
    said: str
    draw: Callable[[Look], str] | None


class Read:
    """What the figures are made of, read once for all that a request shows."""

    def __init__(self, project: Project) -> None:
        self.project = project

    @cached_property
    def decided(self) -> list[Decided]:
        return decided(self.project)

    @cached_property
    def choices(self) -> list[Choice]:
        return choices(self.project, self.decided)

    @cached_property
    def outcomes(self) -> list[win_rate.Outcome]:
        return win_rate.outcomes(self.project)


def of_position(read: Read) -> Shown:
    found = position.places(read.decided)
    names = [_("First"), _("Second"), _("Third")]
    keys = ("first", "second", "third")
    rows = [(it.reviewer or _("All"), it.of, *it.shares, it.p) for it in found]
    columns = {
        "reviewer": _("Reviewer"),
        "picks": _("Picks"),
        **dict(zip(keys, names, strict=True)),
        "p": _("Chance (p)"),
    }
    if not found:
        return Shown(columns, [], 0, "", None)
    drawn = found[:MOST_DRAWN]
    series = [Series(name, [it.shares[place] for it in drawn]) for place, name in enumerate(names)]
    labels = [it.reviewer or _("All") for it in drawn]
    return Shown(
        columns,
        rows,
        found[0].of,
        of_chance(found[0]),
        lambda look: dots(labels, series, 1 / position.PLACES, look),
    )


def of_chance(all_of_them: position.Places) -> str:
    if all_of_them.p is None:
        return _("Too few picks to tell: %(least)s are needed.") % {"least": position.FEWEST}
    if all_of_them.p < 0.05:
        return _("The places are not picked equally often: that is more than chance.")
    return _("No place is clearly favoured: chance alone gives such counts.")


def of_models(read: Read) -> Shown:
    found = by_model.yields(read.decided, read.choices)
    columns = {
        "model": _("Model"),
        "prompt_version": _("Prompt"),
        "decisions": _("Decisions"),
        "proposals": _("Proposals"),
        "first_of_picks": _("First, of the picks"),
        "picked": _("Picked"),
        "corrected": _("Corrected"),
        "none": _("None fits"),
        "skipped": _("Skipped"),
        "pairs": _("Pairs"),
        "pairs_per_decision": _("Pairs per decision"),
        "tokens_per_pair": _("Tokens per pair"),
        "money_per_1000_pairs": _("Money per 1,000 pairs"),
    }
    rows = [
        (
            it.model,
            it.prompt_version,
            it.decisions,
            it.proposals,
            it.first,
            it.picked,
            it.corrected,
            it.none,
            it.skipped,
            it.pairs,
            it.pairs_per_decision,
            it.tokens_per_pair,
            None if it.money_per_pair is None else it.money_per_pair * 1000 / MILLIONTHS,
        )
        for it in found
    ]
    drawn = found[:MOST_DRAWN]
    labels = [f"{it.model} {it.prompt_version}".strip() for it in drawn]
    series = [
        Series(_("First, of the picks"), [it.first for it in drawn]),
        Series(_("Picked, of the decisions"), [it.picked for it in drawn]),
    ]
    priced = any(it.money is not None for it in found)
    said = "" if priced else _("No price of a model is known: they are kept on the page Spending.")
    n = len(read.decided)
    return Shown(columns, rows, n, said, drawing(labels, series, None))


def of_win_rate(read: Read) -> Shown:
    places = {"first": _("First"), "second": _("Second"), "third": _("Third")}
    columns = {
        "model": _("Model"),
        "against": _("Against"),
        "prompt_version": _("Prompt"),
        "documents": _("Documents"),
        "won": _("Won"),
        "lost": _("Lost"),
        "rate": _("Win rate"),
        **places,
        "no_news": _("Both's"),
        "unpicked": _("None picked"),
    }
    found = list(win_rate.duels(read.outcomes))
    told = [it for whole, parts in found for it in ([whole, *parts] if parts[1:] else parts)]
    rows: list[Row] = [
        (
            it.model,
            it.against,
            it.prompt_version or _("All"),
            it.documents,
            it.won.wins,
            it.lost,
            it.won,
            *it.by_place,
            it.no_news,
            it.unpicked,
        )
        for it in told
    ]
    if not found:
        return Shown(columns, [], 0, "", None)
    whole, parts = found[0]
    drawn = [(_("All picks"), whole.won)]
    drawn += [
        (_("Place: %(place)s") % {"place": name}, share)
        for name, share in zip(places.values(), whole.by_place, strict=True)
    ]
    drawn += [(_("Prompt: %(name)s") % {"name": it.prompt_version}, it.won) for it in parts]
    labels = [label for label, _share in drawn[:MOST_DRAWN]]
    series = [Series(columns["rate"], [share for _label, share in drawn[:MOST_DRAWN]])]
    picture = drawing(labels, series, 0.5) if whole.won.of else None
    return Shown(columns, rows, len(read.outcomes), of_winner(whole), picture)


def of_winner(duel: win_rate.Duel) -> str:
    """How many picks went to the model, and what may be said of that."""
    told = {"model": duel.model, "against": duel.against, "wins": duel.won.wins, "of": duel.won.of}
    if duel.won.value is None or duel.won.low is None or duel.won.high is None:
        return _("No pick has told %(model)s and %(against)s apart yet.") % told
    for name in ("value", "low", "high"):
        told[name] = f"{100 * getattr(duel.won, name):.0f}"
    counted = ngettext(
        "Of %(of)s pick between %(model)s and %(against)s, %(wins)s went to %(model)s "
        "(%(value)s %%, %(low)s–%(high)s %%).",
        "Of %(of)s picks between %(model)s and %(against)s, %(wins)s went to %(model)s "
        "(%(value)s %%, %(low)s–%(high)s %%).",
        duel.won.of,
    )
    if duel.wins:
        said = _("%(model)s wins.")
    elif duel.loses:
        said = _("%(against)s wins.")
    else:
        said = _("Neither can be said to win yet.")
    return f"{counted % told} {said % told}"


def of_duels(read: Read) -> Shown:
    found = tag_duels.duels(read.project, read.choices)
    columns = {
        "tag": _("Tag"),
        "against": _("Against"),
        "met": _("Met"),
        "won": _("Won"),
        "lost": _("Lost"),
        "share": _("Share won"),
    }
    rows = [(it.winner, it.loser, it.won.of, it.won.wins, it.lost, it.won) for it in found]
    drawn = found[:MOST_DRAWN]
    labels = [_("%(one)s over %(other)s") % {"one": it.winner, "other": it.loser} for it in drawn]
    series = [Series(_("Share won"), [it.won for it in drawn])]
    n = sum(it.won.of for it in found)
    return Shown(columns, rows, n, "", drawing(labels, series, 0.5))


def of_consistency(read: Read) -> Shown:
    found = [
        (name, Share(round(it.equal * it.documents), it.documents), it.similarity)
        for name, it in selves(read.project)
        if it.equal is not None
    ]
    columns = {
        "reviewer": _("Reviewer"),
        "documents": _("Documents"),
        "equal": _("Equal sets"),
        "similarity": _("Similarity (MASI)"),
    }
    rows = [(name, equal.of, equal, similarity) for name, equal, similarity in found]
    drawn = sorted(found, key=lambda it: -it[1].of)[:MOST_DRAWN]
    series = [Series(_("Equal sets"), [equal for _name, equal, _like in drawn])]
    n = sum(equal.of for _name, equal, _like in found)
    return Shown(columns, rows, n, "", drawing([it[0] for it in drawn], series, None))


def of_gold(read: Read) -> Shown:
    found = gold.accuracies(gold.measured(read.project))
    columns = {
        "reviewer": _("Reviewer"),
        "decisions": _("Decisions"),
        "right": _("Right"),
        "acceptable": _("Right or acceptable"),
        "lately": _("The latest %(count)d") % {"count": gold.LATELY},
        "skipped": _("Skipped"),
    }
    rows = [(it.reviewer, it.right.of, it.right, it.fits, it.lately, it.skipped) for it in found]
    drawn = sorted(found, key=lambda it: -it.right.of)[:MOST_DRAWN]
    series = [
        Series(columns["right"], [it.right for it in drawn]),
        Series(columns["acceptable"], [it.fits for it in drawn]),
    ]
    n = sum(it.right.of for it in found)
    return Shown(columns, rows, n, "", drawing([it.reviewer for it in drawn], series, None))


def of_learning(read: Read) -> Shown:
    found = learning.curve(read.decided)
    columns = {
        "from": _("From"),
        "to": _("To"),
        "first": _("Picked the first"),
        "unchanged": _("Accepted unchanged"),
    }
    rows = [(it.start, it.end, it.first, it.unchanged) for it in found.bins]
    if not found.bins:
        return Shown(columns, [], 0, "", None)
    series = [
        Series(columns["first"], [it.first for it in found.bins]),
        Series(columns["unchanged"], [it.unchanged for it in found.bins]),
    ]
    ends = [it.end for it in found.bins]
    return Shown(
        columns,
        rows,
        ends[-1],
        of_change(found),
        lambda look: lines(ends, series, _("Decisions"), look),
    )


def of_change(found: learning.Curve) -> str:
    if found.change is None:
        return _("Too few decisions to compare: two bins of %(size)s are needed.") % {
            "size": found.size
        }
    gain, low, high = (f"{100 * part:+.0f}" for part in found.change)
    told = {"gain": gain, "low": low, "high": high, "size": found.size}
    if found.still_differs:
        return (
            _(
                "It still changes: from the last but one bin of %(size)s to the last, the share "
                "that picked the first went by %(gain)s points [%(low)s to %(high)s]."
            )
            % told
        )
    return (
        _(
            "The last two bins of %(size)s do not clearly differ: %(gain)s points "
            "[%(low)s to %(high)s] in the share that picked the first."
        )
        % told
    )


def drawing(
    labels: Sequence[str], series: Sequence[Series], marked: float | None
) -> Callable[[Look], str] | None:
    if not labels:
        return None
    return lambda look: dots(labels, series, marked, look)


@dataclass(frozen=True)
class Kind:
    """meaning: how to read it. alt: what the picture shows. nothing: said without any data."""

    title: Promise
    meaning: Promise
    alt: Promise
    nothing: Promise
    make: Callable[[Read], Shown]


KINDS: dict[str, Kind] = {
    "position": Kind(
        gettext_lazy("Places on the page"),
        gettext_lazy(
            "How often the first, second and third candidate of the page was picked, where three "
            "were shown. Their order is shuffled: each place should get a third. A small p says "
            "that chance alone seldom gives such counts."
        ),
        gettext_lazy("The share of picks of each place, for all and for each reviewer."),
        gettext_lazy("Nobody has picked one of three candidates yet."),
        of_position,
    ),
    "models": Kind(
        gettext_lazy("Models and prompts"),
        gettext_lazy(
            "What was decided on each model's proposals. A pair is a set that was preferred to "
            "another; the tokens, and the money by today's prices, are those of the proposals "
            "decided on."
        ),
        gettext_lazy(
            "For each model and prompt: the share of picks that took its first candidate, and the "
            "share of decisions that picked one."
        ),
        gettext_lazy("Nobody has decided on a proposal yet."),
        of_models,
    ),
    "win-rate": Kind(
        gettext_lazy("Model against model"),
        gettext_lazy(
            "Where sets of two models were shown together, and nobody could tell whose is whose: "
            "which one's were picked. Each document counts once, by its first review. A set that "
            "both gave is no news. It is said that one wins where that would be said of two equal "
            "models in one trial of twenty at most, however often one looks; the interval alone "
            "does not keep that promise."
        ),
        gettext_lazy(
            "Of the two models that were tried last: the share of picks that went to the one, of "
            "all, at each place of the page, and with each prompt."
        ),
        gettext_lazy("No two models' sets have been picked from yet."),
        of_win_rate,
    ),
    "tag-duels": Kind(
        gettext_lazy("Tag against tag"),
        gettext_lazy(
            "Where the chosen and a rejected set differ in one tag each: which of the two won."
        ),
        gettext_lazy("For each two tags that met: the share that the more frequent winner won."),
        gettext_lazy("No chosen set has differed from a rejected one in just one tag yet."),
        of_duels,
    ),
    "consistency": Kind(
        gettext_lazy("Each with themselves"),
        gettext_lazy(
            "Documents that came back to the same person: how often they gave the same set again."
        ),
        gettext_lazy("For each reviewer: the share of documents with equal sets both times."),
        gettext_lazy("Nobody has decided on a document twice yet."),
        of_consistency,
    ),
    "gold": Kind(
        gettext_lazy("Known answers"),
        gettext_lazy(
            "Documents whose answer a curator knew before: how often each person gave the best "
            "set, and how often that or another that is no error. Which they were wrong on is on "
            "the page Gold."
        ),
        gettext_lazy(
            "For each reviewer: the share that was right, and the share that was right or "
            "acceptable."
        ),
        gettext_lazy("Nobody has decided on a document whose answer was known."),
        of_gold,
    ),
    "learning": Kind(
        gettext_lazy("Learning curve"),
        gettext_lazy(
            "Of the reviews in their order, without skips: the share that picked the model's own "
            "first candidate, and the share that picked any candidate unchanged."
        ),
        gettext_lazy("Both shares in each bin of reviews, in their order, with their intervals."),
        gettext_lazy("Nobody has reviewed a document yet."),
        of_learning,
    ),
}


@dataclass(frozen=True)
class Part:
    """A figure on the page: of its rows the first, and how many there are."""

    name: str
    kind: Kind
    shown: Shown

    @property
    def rows(self) -> list[list[Share | str]]:
        return [[worded(one) for one in row] for row in self.shown.rows[:MOST_LISTED]]

    @property
    def is_drawn(self) -> bool:
        return self.shown.draw is not None

    @property
    def is_cut(self) -> bool:
        return len(self.shown.rows) > MOST_LISTED


def worded(one: Cell) -> Share | str:
    """As the page says it; the template says shares."""
    if isinstance(one, Share | str):
        return one
    if one is None:
        return "—"
    if isinstance(one, int):
        return number_format(one, force_grouping=True)
    if 0 < one < 0.001:
        return "< " + number_format(0.001, 3)
    return number_format(one, 0 if one >= 100 else 3 if one < 1 else 1, force_grouping=True)


@require_safe
@login_required
@never_cache
def insight(request: HttpRequest) -> HttpResponse:
    project = project_of(signed_in(request), Role.CURATOR)
    read = Read(project)
    context = {
        "project": project,
        "parts": [Part(name, kind, kind.make(read)) for name, kind in KINDS.items()],
        "most_read": MOST_READ,
        "most_listed": MOST_LISTED,
        "is_cut": len(read.decided) == MOST_READ,
    }
    return render(request, "review/insight.html", context)


@require_safe
@login_required
@never_cache
@csp_update({"style-src": [UNSAFE_INLINE]})  # type: ignore[arg-type]
def picture(request: HttpRequest, name: str) -> HttpResponse:
    """`?dark=1` is for a dark ground.

    Its colours are `style` attributes: the policy would refuse them where it is opened alone.
    """
    shown = shown_for(request, name)
    if shown.draw is None:
        raise Http404
    look = DARK if request.GET.get("dark") == "1" else LIGHT
    return HttpResponse(shown.draw(look), content_type="image/svg+xml")


@require_safe
@login_required
@never_cache
def table(request: HttpRequest, name: str) -> HttpResponse:
    """The whole table. A share is four columns: itself, its interval's ends, of how many."""
    shown = shown_for(request, name)
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    shares = {
        key
        for place, key in enumerate(shown.columns)
        if any(isinstance(row[place], Share) for row in shown.rows)
    }
    writer = csv.writer(answer)
    head: list[str] = []
    for key in shown.columns:
        head += [key, f"{key}_low", f"{key}_high", f"{key}_of"] if key in shares else [key]
    writer.writerow(head)
    for row in shown.rows:
        writer.writerow(part for one in row for part in cells(one))
    return answer


def cells(one: Cell) -> list[str | int | float | None]:
    if isinstance(one, Share):
        return [one.value, one.low, one.high, one.of]
    return [neutral(one) if isinstance(one, str) else one]


def shown_for(request: HttpRequest, name: str) -> Shown:
    project = project_of(signed_in(request), Role.CURATOR)
    if name not in KINDS:
        raise Http404
    return KINDS[name].make(Read(project))
