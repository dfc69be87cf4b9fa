"""What the measures are called and mean, for people; and a measurement as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from review.models import Evaluation

from .compare import Difference

# In the order of the tables; the last group is a count for a pass or a mean for a document.
TITLES: dict[str, Promise] = {
    "document_f1": _("F1 of the first"),
    "micro_f1": _("Micro F1"),
    "macro_f1": _("Macro F1"),
    "acceptable": _("Acceptable tags"),
    "hit": _("At least one best tag"),
    "precision_at_1": _("P@1"),
    "precision_at_3": _("P@3"),
    "ndcg_at_3": _("nDCG@3"),
    "jaccard": _("Jaccard"),
    "subset_accuracy": _("Subset accuracy"),
    "coverage": _("Coverage of the vocabulary"),
    "tags_per_document": _("Tags per document"),
    "best_of_three_f1": _("F1 of the best of three"),
    "pickable": _("Pickable"),
    "candidates_differ": _("Distance between the three"),
    "candidate_count": _("Different candidates"),
    "failed": _("Documents without an answer"),
    "parse_failures": _("Parse failures"),
    "invented": _("Invented tags"),
    "asked_again": _("Asked again"),
    "tokens_in": _("Tokens in per document"),
    "tokens_cached": _("Of these from a cache"),
    "tokens_out": _("Tokens out per document"),
    "seconds": _("Seconds per document"),
    "cost": _("Cost per document"),
}

MEANINGS: dict[str, Promise] = {
    "document_f1": _("How much the first candidate and the best tags have in common; the mean."),
    "micro_f1": _("The same over all tags of all documents together."),
    "macro_f1": _("The mean over the tags: rare ones weigh as much as common ones."),
    "acceptable": _("The share of the proposed tags that are best or acceptable."),
    "hit": _("The share of documents whose first candidate has a best tag."),
    "precision_at_1": _("The share of documents whose first tag is a best one."),
    "precision_at_3": _("The share of best tags among the first three; the mean."),
    "ndcg_at_3": _("Whether the best tags come first: 1 is perfect."),
    "jaccard": _("Tags in common over tags of either; the mean."),
    "subset_accuracy": _("The share of documents with exactly the best tags."),
    "coverage": _("The share of the tag list that some first candidate has."),
    "best_of_three_f1": _("F1 of the best candidate: what a reviewer can pick."),
    "pickable": _("The share of documents with a candidate in which nothing is wrong."),
    "candidates_differ": _("0: the candidates are equal. 1: they share no tag."),
}


def run_lines(run: Evaluation) -> Iterator[str]:
    times = f", {run.repeats} times" if run.repeats > 1 else ""
    yield f"Run {run}. {run.documents} documents of {run.source}{times}."
    for name, title in TITLES.items():
        if name in run.metrics:
            yield f"{title!s:32} {run.metrics[name]:{'10.6f' if name == 'cost' else '10.3f'}}"


def recipe_line(recipe: Mapping[str, Any]) -> str:
    """The fields of llm/recipe.py's Recipe, in words."""
    tags, examples = recipe.get("shortlist") or 0, recipe.get("examples") or 0
    offered, shown = str(_("all tags")), str(_("no examples"))
    if tags:
        offered = ngettext("the likeliest tag", "the likeliest %(n)d tags", tags) % {"n": tags}
    if examples:
        shown = ngettext("%(n)d example", "%(n)d examples", examples) % {"n": examples}
    parts = {"prompt": recipe.get("prompt"), "plan": recipe.get("plan")}
    told = _("prompt %(prompt)s, plan %(plan)s, %(offered)s, %(shown)s")
    return str(told % {**parts, "offered": offered, "shown": shown})


def difference_lines(found: Sequence[Difference]) -> Iterator[str]:
    """* where the interval excludes 0."""
    yield f"{'':32} {'before':>8} {'now':>8} {'change':>8}   95 % interval"
    for one in in_order(found):
        yield (
            f"{TITLES[one.name]!s:32} {one.first:8.3f} {one.second:8.3f} {one.value:+8.3f}"
            f"   {one.low:+.3f} to {one.high:+.3f}{' *' if one.is_clear else ''}"
        )


def in_order(found: Sequence[Difference]) -> list[Difference]:
    order = list(TITLES)
    return sorted(found, key=lambda one: order.index(one.name))
