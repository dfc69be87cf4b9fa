"""What a person chose. Decisions are only ever added; which of them stand is kept beside them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .document import Document
from .project import MOST_TAGS
from .proposal import Candidate, Proposal
from .vocabulary import Tag


class DecisionKind(models.TextChoices):
    PICK = "pick", _("Picked a candidate")
    CORRECT = "correct", _("Gave a set of their own")
    NONE = "none", _("None fits")
    SKIP = "skip", _("Skipped")
    UNDO = "undo", _("Took a decision back")
    SETTLE = "settle", _("Settled by a curator")


class SkipReason(models.TextChoices):
    FIELD = "field", _("Not my field")
    UNREADABLE = "unreadable", _("Unreadable")
    LANGUAGE = "language", _("Wrong language")
    DUPLICATE = "duplicate", _("A duplicate")
    OTHER = "other", _("Something else")


# Those that say something of the document's tags, and so count as a review.
REVIEWS = (DecisionKind.PICK, DecisionKind.CORRECT, DecisionKind.NONE)


class Purpose(models.TextChoices):
    """What a standing decision is for."""

    REVIEW = "review", "One of the document's reviews"
    REPEAT = "repeat", "The same document decided again, to compare"
    GOLD = "gold", "A document whose answer is known, to measure who decides"
    FINAL = "final", "A curator's word, which ends the matter"
    MACHINE = "machine", "Let through unseen: nobody has reviewed it"


# The account in whose name documents are let through unseen: no person can have this name.
MACHINE = "(auto-accept)"


class DecisionQuerySet(models.QuerySet["Decision"]):
    def standing(self) -> DecisionQuerySet:
        """The reviews that nobody took back: without repeats, gold, and what curators settled."""
        return self.filter(standing__purpose=Purpose.REVIEW)

    def final(self) -> DecisionQuerySet:
        """What curators settled, and nobody took back: at most one for a document."""
        return self.filter(standing__purpose=Purpose.FINAL)

    def by_people(self) -> DecisionQuerySet:
        """Without those that let a document through unseen."""
        return self.exclude(reviewer__username=MACHINE)

    def tag_sets(self) -> dict[int, frozenset[int]]:
        """By decision: the ids of the tags that it gives the document; "none fits" gives none.

        A tag that was merged since counts as the one that it became.
        """
        found: dict[int, set[int]] = {}
        merged: set[int] = set()
        places = self.values_list(
            "pk",
            "candidate__placed_tags__tag",
            "candidate__placed_tags__tag__merged_into",
            "placed_tags__tag",
            "placed_tags__tag__merged_into",
        )
        for decision, picked, became, given, given_became in places:  # never both
            tag = picked if picked is not None else given
            found.setdefault(decision, set()).update([] if tag is None else [tag])
            if became is not None or given_became is not None:
                merged.add(tag)
        ends = Tag.objects.filter(pk__in=merged).ends() if merged else {}
        return {
            decision: frozenset(ends.get(tag, tag) for tag in tags)
            for decision, tags in found.items()
        }


class Decision(models.Model):
    """One act of one reviewer on one document.

    A pick names its candidate, a correction its own tags (`placed_tags`), a skip its reason,
    an undo the decision that it takes back. A curator settles a dispute by tags of their own
    (`placed_tags`; none of them where no tag fits). All but the undo know the proposal that
    was on the page, and the order of its candidates there. A document that is let through
    unseen is picked by the account MACHINE: nobody saw its candidates, so it makes no pairs.
    """

    document = models.ForeignKey(Document, on_delete=models.PROTECT, related_name="decisions")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions"
    )
    kind = models.CharField(max_length=10, choices=DecisionKind.choices)
    proposal = models.ForeignKey(
        Proposal, null=True, blank=True, on_delete=models.PROTECT, related_name="decisions"
    )
    candidate = models.ForeignKey(
        Candidate, null=True, blank=True, on_delete=models.PROTECT, related_name="decisions"
    )
    undoes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="undone_by"
    )
    skip_reason = models.CharField(max_length=10, choices=SkipReason.choices, blank=True)
    note = models.TextField(blank=True)
    shown = models.JSONField(
        default=list, help_text="The candidates' ranks in the order of the page: [2, 1, 3]."
    )
    milliseconds = models.PositiveIntegerField(help_text="From the page's first sight to the act.")
    key = models.UUIDField(unique=True, help_text="One per page: a repeated POST adds nothing.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DecisionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="decision_fits_its_kind",
                condition=(
                    Q(kind=DecisionKind.PICK, candidate__isnull=False, undoes=None)
                    | Q(kind=DecisionKind.UNDO, candidate=None, undoes__isnull=False)
                    | Q(kind=DecisionKind.SKIP, candidate=None, undoes=None) & ~Q(skip_reason="")
                    | Q(
                        kind__in=[DecisionKind.CORRECT, DecisionKind.NONE, DecisionKind.SETTLE],
                        candidate=None,
                        undoes=None,
                    )
                ),
            ),
        ]
        indexes = [
            models.Index(fields=["document", "reviewer"], name="decision_by_document"),
            # The bar above the desk counts a person's decisions of today.
            models.Index(fields=["reviewer", "created_at"], name="decision_by_reviewer"),
            # The API's list: since when.
            models.Index(fields=["created_at", "id"], name="decision_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.reviewer}: {self.kind} on {self.document_id}"

    @property
    def tags(self) -> list[Tag]:
        """The set that it gives the document, in its order; empty for all but PICK and CORRECT."""
        placed = self.candidate if self.candidate is not None else self
        return [place.tag for place in placed.placed_tags.all()]


class DecisionTag(models.Model):
    """The place of a tag in a corrected set. The database refuses a fourth and a repeat."""

    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="placed_tags")
    tag = models.ForeignKey(Tag, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["decision", "tag"], name="decision_tag_once"),
            models.UniqueConstraint(fields=["decision", "position"], name="decision_place_once"),
            models.CheckConstraint(
                name="decision_at_most_3_tags",
                condition=Q(position__gte=1, position__lte=MOST_TAGS),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position}: {self.tag}"


class Standing(models.Model):
    """That a reviewer has decided on a document, and by which decision; gone when it is undone.

    It says nothing that the decisions do not say. It is here for its constraints: nobody
    decides twice on one document, and no document is settled twice, whatever races with
    whatever.
    """

    document = models.ForeignKey(Document, on_delete=models.PROTECT, related_name="standings")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="standings"
    )
    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="standing")
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.REVIEW)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["reviewer", "document", "purpose"], name="one_standing_decision_each"
            ),
            models.UniqueConstraint(
                fields=["document"], condition=Q(purpose=Purpose.FINAL), name="settled_once"
            ),
        ]

    def __str__(self) -> str:
        return str(self.decision)


class Repeat(models.Model):
    """A document that comes back to the same reviewer later, to see whether they decide alike.

    It is leased on its own: the document itself may be reviewed by then, and stays so.
    """

    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="repeats"
    )
    first = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="repeat")
    second = models.OneToOneField(
        Decision, null=True, blank=True, on_delete=models.PROTECT, related_name="repeat_of"
    )
    due_at = models.DateTimeField(help_text="Not before this moment.")
    lease_token = models.UUIDField(null=True, blank=True, unique=True)
    lease_started_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["reviewer", "due_at"], name="repeat_due", condition=Q(second__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"again: {self.first}"
