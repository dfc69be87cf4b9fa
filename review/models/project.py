"""A project: one vocabulary, its documents, and the people who review them."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext as _

MOST_TAGS = 3  # a project may ask for fewer, never for more
MOST_GOLD_EVERY = 1000


def not_every_one(value: int) -> None:
    """Raises ValidationError for 1: nothing but gold would be handed out."""
    if value == 1:
        raise ValidationError(_("0 for none, or 2 and more."))


class Project(models.Model):
    name = models.CharField(max_length=200, unique=True)
    guidelines = models.TextField(
        blank=True, help_text="Shown to reviewers and sent to the model, word for word."
    )
    max_tags = models.PositiveSmallIntegerField(
        default=MOST_TAGS, help_text="The most tags that one document gets: 1 to 3."
    )
    reviews_needed = models.PositiveSmallIntegerField(
        default=1, help_text="How many different people decide on each document."
    )
    repeat_share = models.FloatField(
        default=0.02,
        help_text="The share of a person's documents that come back to them later, in another "
        "order, to see whether they decide alike: 0 to 0.5.",
    )
    prompt = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text="How a model server is asked; empty: as is measured to be best. The embedded "
        "model keeps to the prompt that its adapter was trained with.",
    )
    gold_every = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        validators=[not_every_one, MaxValueValidator(MOST_GOLD_EVERY)],
        help_text="Of so many documents that a person is handed about one is gold: a curator knows "
        "its answer, and the person is measured by it. 0: none; 20: one in twenty.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="project_max_tags_1_to_3",
                condition=Q(max_tags__gte=1, max_tags__lte=MOST_TAGS),
                violation_error_message="A document gets 1 to 3 tags.",
            ),
            models.CheckConstraint(
                name="project_reviews_needed_at_least_1",
                condition=Q(reviews_needed__gte=1),
                violation_error_message="At least one person must decide.",
            ),
            models.CheckConstraint(
                name="project_repeat_share_at_most_half",
                condition=Q(repeat_share__gte=0, repeat_share__lte=0.5),
                violation_error_message="Between none (0) and half (0.5) of the documents.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
