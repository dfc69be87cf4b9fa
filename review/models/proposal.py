"""What a model answered, and everything that shaped the answer."""

from __future__ import annotations

import random

from django.db import models
from django.db.models import Q

from .document import Document
from .project import MOST_TAGS
from .vocabulary import Tag, VocabularyVersion

# In a proposal's `model`: none was asked. See pipeline/stand_in.py.
WORDS_COUNTED = "words counted (no model was there)"


class SystemMessage(models.Model):
    """A system message, stored once: the proposals of one vocabulary version share it."""

    sha256 = models.CharField(max_length=64, unique=True)
    text = models.TextField()

    def __str__(self) -> str:
        return self.sha256[:8]


class Proposal(models.Model):
    """One run of the model over one document. Rows are not changed, but for `current`.

    A run that ended without an answer is kept too: it has an `error` and no candidates.
    Tokens and seconds are summed over all calls of the run.
    """

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="proposals")
    current = models.BooleanField(
        default=False, help_text="The one that reviewers see; at most one for a document."
    )
    endpoint = models.CharField(max_length=500, help_text="The server's address.")
    model = models.CharField(max_length=200)
    rival_model = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="The other model whose answers are among the candidates; empty: none was asked.",
    )
    prompt_version = models.CharField(max_length=100)
    vocabulary_version = models.ForeignKey(VocabularyVersion, on_delete=models.PROTECT)
    system_message = models.ForeignKey(SystemMessage, on_delete=models.PROTECT)
    user_message = models.TextField(help_text="With the part of the document that was sent.")
    document_cut = models.BooleanField(
        default=False, help_text="The model was shown only a part of the text."
    )
    calls = models.JSONField(
        default=list, help_text="Every call: temperature, seed, raw replies, tokens, seconds."
    )
    tokens_in = models.PositiveIntegerField(default=0)
    tokens_cached = models.PositiveIntegerField(default=0, help_text="Of those in, from a cache.")
    tokens_out = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0)
    unknown_tags = models.PositiveIntegerField(
        default=0, help_text="Tags in the replies that are not in the vocabulary: dropped."
    )
    asked_again = models.PositiveSmallIntegerField(
        default=0, help_text="How often the model was asked again: unusable or equal answers."
    )
    candidate_count = models.PositiveSmallIntegerField(
        default=0, help_text="Their ranks are 1 to this number."
    )
    note = models.TextField(blank=True, help_text="E.g. why there are fewer than three sets.")
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["document"], condition=Q(current=True), name="one_current_proposal"
            ),
        ]
        indexes = [
            models.Index(
                fields=["model", "document"],
                name="proposal_by_model",
                condition=Q(current=True),
            ),
            models.Index(fields=["created_at"], name="proposal_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.document_id} by {self.model}, prompt {self.prompt_version}"

    @property
    def messages(self) -> list[dict[str, str]]:
        """What the model was sent, to the byte: the system message, then the user's."""
        system = self.system_message.text  # seed-1 has none
        first = [{"role": "system", "content": system}] if system else []
        return [*first, {"role": "user", "content": self.user_message}]

    def order_for(self, reviewer_id: int, again: bool = False) -> list[int]:
        """The candidates' ranks in the order in which this reviewer sees them.

        Shuffled, so that the first is not favoured; drawn from (reviewer, document,
        proposal), so that the page may be loaded again and the order still be known.
        again: when they come back as a repeat; it is another order, where there is another.
        """
        order = list(range(1, self.candidate_count + 1))
        seed = f"{reviewer_id}:{self.document_id}:{self.pk}"
        draw = random.Random(seed)  # noqa: S311 -- a fair order, not a secret
        draw.shuffle(order)
        first = list(order)
        while again and len(order) > 1 and order == first:
            draw.shuffle(order)
        return order


class Giver(models.TextChoices):
    """Whose a candidate is, where two models were asked."""

    OWN = "own", "The proposal's model"
    RIVAL = "rival", "The rival"
    BOTH = "both", "Both said the same"


class Candidate(models.Model):
    """One tag set of a proposal: an ordered tuple of one to `max_tags` tags."""

    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="candidates")
    rank = models.PositiveSmallIntegerField(help_text="1 to 3: the order of the model's answers.")
    raw_reply = models.TextField(help_text="The reply that it was read from, as it came.")
    temperature = models.FloatField()
    seed = models.BigIntegerField(null=True, blank=True)
    confidence = models.FloatField(null=True, blank=True)
    composed = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Put together from how likely each tag was: the model did not say this set, "
        "and it is no sample of its own for training.",
    )
    giver = models.CharField(
        max_length=5,
        choices=Giver.choices,
        blank=True,
        default="",
        db_default="",
        help_text="Empty where one model was asked.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["proposal", "rank"], name="candidate_rank_unique"),
            models.CheckConstraint(
                name="candidate_rank_1_to_3", condition=Q(rank__gte=1, rank__lte=3)
            ),
        ]

    def __str__(self) -> str:
        return ", ".join(tag.name for tag in self.tags)

    @property
    def tags(self) -> list[Tag]:
        """In the order of the set. Prefetch `placed_tags__tag` to save queries."""
        return [placed.tag for placed in self.placed_tags.all()]


class CandidateTag(models.Model):
    """The place of a tag in a candidate. The database itself refuses a fourth and a repeat."""

    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE, related_name="placed_tags")
    tag = models.ForeignKey(Tag, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["candidate", "tag"], name="candidate_tag_once"),
            models.UniqueConstraint(fields=["candidate", "position"], name="candidate_place_once"),
            models.CheckConstraint(
                name="candidate_at_most_3_tags",
                condition=Q(position__gte=1, position__lte=MOST_TAGS),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position}: {self.tag}"
