"""The lessons of a release: what decisions teach, once filters, doubles and conflicts are out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils.crypto import salted_hmac

from review.models import Decision, DecisionKind, Project, Repeat
from review.models.proposal import WORDS_COUNTED, Giver
from review.writers.lesson import Lesson, Rejected

from .filters import Filters
from .pair import TagSet, beaten, given, today
from .split import split_of
from .standing import STANDING, Act, Asked, Reading

SOURCES = {DecisionKind.PICK: "pick", DecisionKind.CORRECT: "correction"}
# trl cuts or drops what is longer, unless it is told otherwise: about so many characters.
LONG_PROMPT = 4 * 1024

Tags = frozenset[int]  # as they became by merges
Key = tuple[Tags, Tags]  # this one was preferred to that one

_canonical = json.JSONEncoder().encode


@dataclass
class Counts:
    """What a release holds, and what was left out for which reason."""

    used: Counter[str] = field(default_factory=Counter)
    by_slot: Counter[str] = field(default_factory=Counter)
    by_reviewer: Counter[str] = field(default_factory=Counter)
    by_model: Counter[str] = field(default_factory=Counter)
    by_prompt_version: Counter[str] = field(default_factory=Counter)
    by_split: Counter[str] = field(default_factory=Counter)
    decisions_left_out: Counter[str] = field(default_factory=Counter)
    pairs_left_out: Counter[str] = field(default_factory=Counter)
    answers_left_out: Counter[str] = field(default_factory=Counter)
    digest: Any = field(default_factory=hashlib.sha256)
    versions: set[int] = field(default_factory=set)
    systems: set[str] = field(default_factory=set)

    def as_dict(self) -> dict[str, Any]:
        """by_slot: picks, by the place on the page of what was picked. The rest counts pairs."""
        names = ("documents", "decisions", "pairs", "answers", "picks", "corrections", "settled")
        more = ("none_fits", "merged", "conflicts_kept", "long_prompts")
        pairs = self.used["pairs"]
        return {
            **{name: self.used[name] for name in (*names, *more)},
            "mean_tags_chosen": round(self.used["tags_chosen"] / pairs, 3) if pairs else None,
            "mean_tags_rejected": round(self.used["tags_rejected"] / pairs, 3) if pairs else None,
            "by_slot": dict(sorted(self.by_slot.items())),
            "by_reviewer": dict(sorted(self.by_reviewer.items())),
            "by_model": dict(sorted(self.by_model.items())),
            "by_prompt_version": dict(sorted(self.by_prompt_version.items())),
            "by_split": dict(sorted(self.by_split.items())),
            "left_out": {
                "decisions": dict(sorted(self.decisions_left_out.items())),
                "pairs": dict(sorted(self.pairs_left_out.items())),
                "answers": dict(sorted(self.answers_left_out.items())),
            },
        }


def wanted(project: Project) -> int:
    """How many decisions will be read."""
    return Decision.objects.filter(document__project=project, **STANDING).count()


class Selection:
    """One reading of a project's decisions. Memory does not grow with their number.

    read: decisions so far; `told` hears of it, some hundred documents at a time. counts: whole
    when `lessons` has ended.
    """

    def __init__(
        self, project: Project, filters: Filters, told: Callable[[int], None] = lambda read: None
    ) -> None:
        self.project, self.filters, self.told = project, filters, told
        self.read = 0
        self.counts = Counts()
        self._reading = Reading(project)
        self._ends = project.tags.ends()
        self._alike = self_consistency(project)
        self._pseudonyms: dict[int, str] = {}
        self._span = (filters.start, filters.end)
        self._people = [_keys_of(names) for names in (filters.reviewers, filters.without_reviewers)]

    def lessons(self) -> Iterator[Lesson]:
        """Yield them in the order of the documents' arrival, each document's in one go.

        A document is read whole, so that those who disagree on it meet. The policy says what
        comes of two who preferred opposite things: "majority" keeps the side with more votes, and
        neither where both have as many; "unanimous" takes only documents on which all gave one
        set; "all" keeps every vote, opposite ones as well. What a curator settled is the
        last word under all of them, and what contradicts it makes nothing.
        """
        for documents in self._reading.chunks():
            self.read += sum(map(len, documents))
            self.told(self.read)
            for acts in documents:
                yield from self._of_document(acts)

    def _of_document(self, acts: list[Act]) -> Iterator[Lesson]:
        views = []
        for act in acts:
            if act.is_gold and not self.filters.with_gold:
                self.counts.decisions_left_out["gold"] += 1
            else:
                views.append(self._view(act))
        final = [view for view in views if view.is_final]
        reviews = [view.today for view in views if not view.is_final]
        kept = []
        for view in views:
            view.n_reviewers = len(reviews)
            if reviews:
                view.agreement = reviews.count(view.today) / len(reviews)
            reason = self._why_not(view, views, final)
            if reason:
                self.counts.decisions_left_out[reason] += 1
            else:
                kept.append(view)
        found = [
            lesson
            for view, pairs in self._without_conflicts(kept, final)
            if (lesson := self._lesson(view, pairs, kept)) is not None
        ]
        if found:
            self.counts.used["documents"] += 1
        yield from found

    def _view(self, act: Act) -> View:
        gave = given(act.asked.sets, act.picked, act.own) if act.asked else act.own
        return View(act, gave, today(gave.tags, self._ends), act.kind == DecisionKind.SETTLE)

    def _why_not(self, view: View, views: list[View], final: list[View]) -> str:
        """Why nothing is made of a decision; "" where something is."""
        act, wanted = view.act, self.filters
        asked, (start, end), (only, without) = act.asked, self._span, self._people
        if (start and act.created_at < start) or (end and act.created_at >= end):
            return "time"
        if (wanted.reviewers and act.reviewer not in only) or act.reviewer in without:
            return "reviewer"
        if asked is None or asked.model == WORDS_COUNTED:
            return "no_model"
        if wanted.models and not {asked.model, asked.rival_model} & set(wanted.models):
            return "model"
        if wanted.prompt_versions and asked.prompt_version not in wanted.prompt_versions:
            return "prompt_version"
        if any(one.today != view.today for one in final):
            return "overruled"
        if wanted.policy == "unanimous" and any(one.today != view.today for one in views):
            return "not_unanimous"
        if not view.is_final and view.agreement < wanted.min_agreement:
            return "agreement"
        alike = self._alike.get(act.reviewer, 1.0)
        if not view.is_final and alike < wanted.min_self_consistency:
            return "self_consistency"
        if not asked.vocabulary.known.issuperset(view.gave.tags):
            return "tag_not_in_prompt"
        return ""

    def _without_conflicts(
        self, kept: list[View], final: list[View]
    ) -> list[tuple[View, list[TagSet]]]:
        """What each decision's set beat, without pairs that say the same or the opposite of others.

        Only votes of those who are `kept` count.
        """
        settled = [set(view.act.own.tags) for view in final]
        found = [(view, self._beaten(view, settled)) for view in kept]
        votes: dict[Key, set[int]] = defaultdict(set)
        for view, pairs in found:
            for _loser, key in pairs:
                votes[key].add(view.act.reviewer)
        seen: set[tuple[object, Key]] = set()
        staying = []
        for view, pairs in found:
            losers: list[TagSet] = []
            prompt = view.prompt
            for loser, key in pairs:
                against = len(votes.get((key[1], key[0]), ()))
                majority = len(votes[key]) - against if against else 1
                reason = self._why_no_pair(view, loser, key, majority)
                if not reason and self.filters.policy != "all" and (prompt, key) in seen:
                    reason = "repeated"
                if not reason and self.filters.one_pair and losers:
                    reason = "one_pair"
                if reason:
                    self.counts.pairs_left_out[reason] += 1
                    continue
                self.counts.used["conflicts_kept"] += bool(against)
                seen.add((prompt, key))
                losers.append(loser)
            staying.append((view, losers))
        return staying

    def _beaten(self, view: View, settled: list[set[int]]) -> list[tuple[TagSet, Key]]:
        losers = beaten(view.gave, view.asked.sets, settled)
        return [(loser, (view.today, today(loser.tags, self._ends))) for loser in losers]

    def _why_no_pair(self, view: View, loser: TagSet, key: Key, majority: int) -> str:
        """majority: the votes for it less those for its opposite."""
        if key[0] == key[1]:
            return "same_now"
        if self.filters.on_policy and not (view.gave.said and loser.said):
            return "off_policy"
        if not view.asked.vocabulary.known.issuperset(loser.tags):
            return "tag_not_in_prompt"
        if self.filters.policy != "all" and majority <= 0:
            return "conflict"
        return ""

    def _lesson(self, view: View, losers: list[TagSet], kept: list[View]) -> Lesson | None:
        act, asked, gave = view.act, view.asked, view.gave
        reason = self._why_not_taught(view, kept)
        if reason:
            self.counts.answers_left_out[reason] += 1
        rejected = [_rejected(act.key, asked, gave, loser) for loser in losers]
        if not gave.tags and (not reason or reason == "off_policy"):
            rejected = self._none_fits(asked, kept)
        taught = bool(gave.tags) and not reason
        if not rejected and not taught:
            return None
        split = split_of(act.sha256)
        numbers = self._reading.numbers
        lesson = Lesson(
            messages=asked.messages,
            chosen=gave.names,
            rejected=rejected,
            document=act.external_id,
            split=split,
            taught=taught,
            numbered=[
                (numbers[tag], name) for tag, name in zip(gave.tags, gave.names, strict=True)
            ],
            columns=self._columns(view, split),
        )
        self._count(view, losers, lesson)
        return lesson

    def _why_not_taught(self, view: View, kept: list[View]) -> str:
        """Why its set is no answer to learn by itself; "" where it is one."""
        if self.filters.on_policy and not view.gave.said:
            return "off_policy"
        if self.filters.policy == "all" or kept == [view]:
            return ""
        votes = Counter(one.today for one in kept)
        if any(votes[other] >= votes[view.today] for other in votes if other != view.today):
            return "no_majority"
        first = next(one for one in kept if one.today == view.today and one.prompt == view.prompt)
        return "" if first is view else "repeated"

    def _none_fits(self, asked: Asked, kept: list[View]) -> list[Rejected]:
        """All that were shown, but what somebody else chose."""
        chosen = {one.today for one in kept}
        return [
            Rejected(one.names)
            for one in asked.sets
            if today(one.tags, self._ends) not in chosen
            and not (self.filters.on_policy and one.composed)
            and asked.vocabulary.known.issuperset(one.tags)
        ]

    def _columns(self, view: View, split: str) -> dict[str, Any]:
        act, asked = view.act, view.asked
        alike = self._alike.get(act.reviewer)
        trust = 1.0 if view.is_final else view.agreement
        return {
            "decision_id": act.key,
            "document_id": act.external_id,
            "split": split,
            "source": SOURCES.get(act.kind, "settled"),  # type: ignore[call-overload]
            "chosen_rank": view.gave.rank,
            "chosen_by": _giver(view.gave, asked),
            "reviewer": self._pseudonym(act.reviewer),
            "n_reviewers": view.n_reviewers,
            "agreement": round(view.agreement, 4),
            "self_consistency": None if alike is None else round(alike, 4),
            "weight": round(trust * (1.0 if alike is None else alike), 4),
            "candidate_model": asked.model,
            "prompt_version": asked.prompt_version,
            "vocabulary_version": asked.vocabulary.sha256[:12],
            "created_at": act.created_at.isoformat(timespec="seconds"),
        }

    def _pseudonym(self, reviewer: int) -> str:
        """The same in every release of this project, and nobody's name."""
        if reviewer not in self._pseudonyms:
            self._pseudonyms[reviewer] = pseudonym(self.project, reviewer)
        return self._pseudonyms[reviewer]

    def _count(self, view: View, losers: list[TagSet], lesson: Lesson) -> None:
        counts, act, asked, gave, many = self.counts, view.act, view.asked, view.gave, len(losers)
        merged = self._reading.merged
        used = counts.used
        used["decisions"] += 1
        used["answers"] += lesson.taught
        used["pairs"] += many
        used["merged"] += sum(
            not merged.isdisjoint(gave.tags) or not merged.isdisjoint(loser.tags)
            for loser in losers
        )
        used["tags_chosen"] += many * len(gave.tags)
        used["tags_rejected"] += sum(len(loser.tags) for loser in losers)
        if act.kind == DecisionKind.PICK:
            used["picks"] += 1
            if gave.rank in act.shown:
                counts.by_slot[str(act.shown.index(gave.rank) + 1)] += 1
        elif not gave.tags:
            used["none_fits"] += 1
        else:
            used["settled" if view.is_final else "corrections"] += 1
        characters = len(asked.system.text) + len(asked.user_message)
        used["long_prompts"] += many if characters > LONG_PROMPT else 0
        counts.by_reviewer[self._pseudonym(act.reviewer)] += many
        counts.by_model[asked.model] += many
        counts.by_prompt_version[asked.prompt_version] += many
        counts.by_split[lesson.split] += many
        counts.versions.add(asked.vocabulary.key)
        counts.systems.add(asked.system.sha256)
        rejected = [one.tags for one in lesson.rejected]
        row = [act.key, str(act.uuid), act.kind, lesson.chosen, *rejected]
        counts.digest.update(_canonical(row).encode())


@dataclass(eq=False, slots=True)
class View:
    """A decision as it is read. gave: its set; today: the same as it became by merges."""

    act: Act
    gave: TagSet
    today: Tags
    is_final: bool
    agreement: float = 1.0
    n_reviewers: int = 0

    @property
    def asked(self) -> Asked:
        """What it was about; decisions without it are left out before anybody asks."""
        if self.act.asked is None:
            raise ValueError(f"{self.act} is about no proposal.")
        return self.act.asked

    @property
    def prompt(self) -> object:
        """Equal for decisions on answers to the same messages."""
        return self.asked.system.pk, self.asked.user_message


def _rejected(decision: int, asked: Asked, gave: TagSet, loser: TagSet) -> Rejected:
    columns = {
        "pair_id": f"{decision}-{loser.rank}",
        "rejected_rank": loser.rank,
        "rejected_by": _giver(loser, asked),
        "on_policy": gave.said and loser.said,
    }
    return Rejected(loser.names, columns)


def _giver(one: TagSet, asked: Asked) -> str:
    """Who gave a set: a model by its name, a person, or what put answers together."""
    if not one.rank:
        return "person"
    if one.composed:
        return "composed"
    return asked.rival_model if one.giver == Giver.RIVAL else asked.model


def _keys_of(usernames: Sequence[str]) -> frozenset[int]:
    if not usernames:
        return frozenset()
    return frozenset(User.objects.filter(username__in=usernames).values_list("pk", flat=True))


def pseudonym(project: Project, reviewer: int) -> str:
    return "r-" + salted_hmac("release", f"{project.pk}:{reviewer}").hexdigest()[:12]


def self_consistency(project: Project) -> dict[int, float]:
    """By reviewer: the share of the documents that they saw twice and decided alike."""
    repeats = Repeat.objects.filter(second__isnull=False, first__document__project=project)
    rows = list(repeats.values_list("reviewer", "first", "second"))
    again = Q(repeat__second__isnull=False) | Q(repeat_of__isnull=False)
    sets = Decision.objects.filter(again, document__project=project).tag_sets()
    alike = defaultdict(list)
    for reviewer, first, second in rows:
        alike[reviewer].append(sets.get(first) == sets.get(second))
    return {reviewer: sum(found) / len(found) for reviewer, found in alike.items()}
