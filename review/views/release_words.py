"""What a release counts, in words: for its page, and for the difference of two."""

from __future__ import annotations

from typing import Any

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

LEFT_OUT: dict[str, dict[str, Promise]] = {
    "decisions": {
        "gold": gettext_lazy("on documents handed out as gold, to measure who decides"),
        "time": gettext_lazy("before or after the days that were asked for"),
        "reviewer": gettext_lazy("by somebody who was not asked for"),
        "no_model": gettext_lazy("on sets that no model gave: words were counted"),
        "model": gettext_lazy("on another model's sets"),
        "prompt_version": gettext_lazy("on sets of another prompt"),
        "overruled": gettext_lazy("a curator settled on another set"),
        "not_unanimous": gettext_lazy("not all who reviewed the document gave the same set"),
        "agreement": gettext_lazy("too few of the document's reviewers gave this set"),
        "self_consistency": gettext_lazy(
            "by somebody who too often decides otherwise when asked again"
        ),
        "tag_not_in_prompt": gettext_lazy("the chosen set has a tag that the model was not shown"),
    },
    "pairs": {
        "same_now": gettext_lazy("merged tags have made both sets one"),
        "off_policy": gettext_lazy("the model itself has not said both sets"),
        "tag_not_in_prompt": gettext_lazy("the other set has a tag that the model was not shown"),
        "conflict": gettext_lazy("as many or more people preferred the opposite"),
        "repeated": gettext_lazy("the same pair is in already"),
        "one_pair": gettext_lazy("a further pair of the same decision"),
    },
    "answers": {
        "off_policy": gettext_lazy("the model itself has not said the set"),
        "no_majority": gettext_lazy("no set has more votes than each other"),
        "repeated": gettext_lazy("the same answer is in already"),
    },
}

KINDS: dict[str, Promise] = {
    "decisions": gettext_lazy("Decisions left out"),
    "pairs": gettext_lazy("Pairs left out"),
    "answers": gettext_lazy("Single answers left out"),
}

TITLES: dict[str, Promise] = {
    "since": gettext_lazy("From"),
    "until": gettext_lazy("To"),
    "reviewers": gettext_lazy("Only by"),
    "without_reviewers": gettext_lazy("Not by"),
    "models": gettext_lazy("Only on sets of the models"),
    "prompt_versions": gettext_lazy("Only on sets of the prompts"),
    "on_policy": gettext_lazy("Only what the model itself said"),
    "policy": gettext_lazy("Where people disagree"),
    "one_pair": gettext_lazy("One pair a decision"),
    "min_agreement": gettext_lazy("Least agreement"),
    "min_self_consistency": gettext_lazy("Least self-consistency"),
    "with_gold": gettext_lazy("With decisions on gold documents"),
    "documents": gettext_lazy("Documents"),
    "decisions": gettext_lazy("Decisions"),
    "pairs": gettext_lazy("Pairs"),
    "answers": gettext_lazy("Single answers"),
    "picks": gettext_lazy("Picks"),
    "corrections": gettext_lazy("Sets of their own"),
    "settled": gettext_lazy("Settled by a curator"),
    "none_fits": gettext_lazy("None fits"),
    "merged": gettext_lazy("Pairs with merged tags"),
    "conflicts_kept": gettext_lazy("Opposite pairs that were kept"),
    "long_prompts": gettext_lazy("Pairs with a long prompt"),
    "mean_tags_chosen": gettext_lazy("Tags in a chosen set, on average"),
    "mean_tags_rejected": gettext_lazy("Tags in a rejected set, on average"),
    "by_slot": gettext_lazy("Picks by place on the page"),
    "by_reviewer": gettext_lazy("Pairs by reviewer"),
    "by_model": gettext_lazy("Pairs by model"),
    "by_prompt_version": gettext_lazy("Pairs by prompt"),
    "by_split": gettext_lazy("Pairs by split"),
}

POLICIES: dict[str, Promise] = {
    "majority": gettext_lazy(
        "The majority: the side with more votes, neither where both have as many"
    ),
    "unanimous": gettext_lazy("Unanimous: only documents on which all gave the same set"),
    "all": gettext_lazy("All: every vote, opposite ones too"),
}


def reason(kind: str, name: str) -> str:
    return str(LEFT_OUT[kind].get(name, name))


def title(name: str, names: dict[str, str]) -> str:
    """Of a filter or a count as `difference` names it; names: what reviewers are called."""
    which, _dot, of = name.partition(".")
    if which == "left_out":
        kind, _dot, why = of.partition(".")
        return f"{KINDS[kind]}: {reason(kind, why)}"
    called = str(TITLES.get(which, which))
    return f"{called}: {names.get(of, of)}" if of else called


def worded(name: str, value: Any) -> str:
    """A filter's or a count's value."""
    match value:
        case None | "" | []:
            return "—"
        case bool():
            return _("yes") if value else _("no")
        case list():
            return ", ".join(map(str, value))
        case str() if name == "policy":
            return str(POLICIES.get(value, value)).partition(":")[0]
        case int():
            return number_format(value, force_grouping=True)
        case float():
            return number_format(value, 2)
    return str(value)
