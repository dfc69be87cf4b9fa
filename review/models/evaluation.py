"""Measurements: how good proposals were over labelled documents, kept to be compared."""

from __future__ import annotations

from django.db import models

from .project import Project


class Evaluation(models.Model):
    """One run of `manage.py evaluate`: what was asked, and what it came to. Never changed.

    recipe: the fields of llm/recipe.py's Recipe; empty for a baseline without a model. metrics:
    by the names of insight/quality.py, with what it cost; of a repeated run the means. The texts
    are not kept: `source_sha256` says which file it was, or which labels of a project.
    """

    project = models.ForeignKey(
        Project,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="evaluations",
        help_text="Whose curators see it; empty: those of all projects.",
    )
    name = models.CharField(max_length=200, help_text="What was measured, for the tables.")
    baseline = models.CharField(max_length=20, blank=True, help_text="names, tfidf, seed-prompt.")
    endpoint = models.CharField(max_length=500, blank=True, help_text="The server's address.")
    model = models.CharField(max_length=200, blank=True)
    recipe = models.JSONField(default=dict, blank=True)
    max_tags = models.PositiveSmallIntegerField()
    seed = models.BigIntegerField(
        help_text="Of the folds and draws; models have seeds of their own."
    )
    repeats = models.PositiveSmallIntegerField(default=1, help_text="Passes over the documents.")
    source = models.CharField(max_length=500, help_text="The labelled file, or the project.")
    source_sha256 = models.CharField(max_length=64, help_text="Of the texts and their labels.")
    training = models.CharField(max_length=500, blank=True, help_text="Where a baseline learned.")
    documents = models.PositiveIntegerField()
    vocabulary = models.JSONField(help_text="The names of the tags to choose from.")
    version = models.CharField(max_length=100, help_text="Of Tagger.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    metrics = models.JSONField()

    class Meta:
        indexes = [models.Index(fields=["project", "-id"], name="evaluation_latest")]

    def __str__(self) -> str:
        return f"{self.pk}: {self.name}"


class EvaluatedDocument(models.Model):
    """One document in one pass: its labels, and what was proposed. The tags are names.

    best, acceptable: lists. candidates: a list of lists, the first candidate first; empty where
    there was no answer, and `error` says why.
    """

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="judged")
    repeat = models.PositiveSmallIntegerField(help_text="The pass, from 0.")
    place = models.PositiveIntegerField(help_text="Its place among the documents, from 0.")
    external_id = models.CharField(max_length=500)
    title = models.CharField(max_length=500, blank=True)
    best = models.JSONField()
    acceptable = models.JSONField(default=list)
    candidates = models.JSONField(default=list)
    tokens_in = models.PositiveIntegerField(default=0)
    tokens_cached = models.PositiveIntegerField(default=0, help_text="Of those in, from a cache.")
    tokens_out = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0)
    asked_again = models.PositiveSmallIntegerField(default=0)
    invented = models.PositiveIntegerField(
        default=0, help_text="Tags in the replies that are not in the vocabulary."
    )
    parse_failures = models.PositiveSmallIntegerField(
        default=0, help_text="Replies in which no tags could be found."
    )
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["repeat", "place"]
        constraints = [
            models.UniqueConstraint(
                fields=["evaluation", "repeat", "place"], name="evaluated_once_a_pass"
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.external_id
