"""Documents whose answer is known, handed out among the others to measure who decides.

The project's rate is a plain ADD COLUMN, as in migration 0010. The triggers that keep the tags of
the documents page learn to leave such decisions alone, as they leave repeats: nothing that they
look at changes, and on PostgreSQL two of them at once would meet in that table.
"""

from importlib import import_module

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import review.models.project

WITHOUT = "NOT IN ('repeat', 'gold')"
BEFORE = "<> 'repeat'"


def postgresql(when):
    return [
        statement
        for event, row in (("INSERT", "NEW"), ("DELETE", "OLD"))
        for statement in (
            f"DROP TRIGGER review_given_{event.lower()} ON review_standing",
            f"CREATE TRIGGER review_given_{event.lower()} AFTER {event} ON review_standing "
            f"FOR EACH ROW WHEN ({row}.purpose {when}) EXECUTE FUNCTION review_given()",
        )
    ]


def sqlite(when):
    before = import_module("review.migrations.0011_auto_accept")
    return [statement.replace(BEFORE, when) for statement in before.sqlite(before.NOW)]


def forwards(apps, schema_editor):
    made = postgresql if schema_editor.connection.vendor == "postgresql" else sqlite
    for statement in made(WITHOUT):
        schema_editor.execute(statement)


def backwards(apps, schema_editor):
    made = postgresql if schema_editor.connection.vendor == "postgresql" else sqlite
    for statement in made(BEFORE):
        schema_editor.execute(statement)
    schema_editor.execute("ALTER TABLE review_project DROP COLUMN gold_every")


class Migration(migrations.Migration):
    dependencies = [
        ("review", "0020_swept"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="standing",
                    name="purpose",
                    field=models.CharField(
                        choices=[
                            ("review", "One of the document's reviews"),
                            ("repeat", "The same document decided again, to compare"),
                            ("gold", "A document whose answer is known, to measure who decides"),
                            ("final", "A curator's word, which ends the matter"),
                            ("machine", "Let through unseen: nobody has reviewed it"),
                        ],
                        default="review",
                        max_length=10,
                    ),
                ),
            ],
        ),
        migrations.RunSQL(
            "ALTER TABLE review_project ADD COLUMN gold_every smallint DEFAULT 0 NOT NULL "
            "CHECK (gold_every >= 0)",
            migrations.RunSQL.noop,  # in `backwards`: the linter takes it for a step forwards
            state_operations=[
                migrations.AddField(
                    model_name="project",
                    name="gold_every",
                    field=models.PositiveSmallIntegerField(
                        db_default=0,
                        default=0,
                        help_text="Of so many documents that a person is handed about one is gold: "
                        "a curator knows its answer, and the person is measured by it. 0: none; "
                        "20: one in twenty.",
                        validators=[
                            review.models.project.not_every_one,
                            django.core.validators.MaxValueValidator(1000),
                        ],
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Gold",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("current", models.BooleanField(default=True, help_text="What counts now; at most one for a document.")),
                ("withdrawn", models.BooleanField(default=False, help_text="It is gold no more.")),
                ("best", models.JSONField(help_text="The right set: [25, 1]; [] where no tag fits.")),
                ("acceptable", models.JSONField(default=list, help_text="Sets that are no error either: [[25], [25, 7]].")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("by", models.ForeignKey(blank=True, help_text="Empty for a command on the server.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("document", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="golds", to="review.document")),
            ],
            options={
                "constraints": [models.UniqueConstraint(condition=models.Q(("current", True)), fields=("document",), name="one_current_gold")],
            },
        ),
        migrations.CreateModel(
            name="GoldTurn",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("lease_token", models.UUIDField(blank=True, null=True, unique=True)),
                ("lease_started_at", models.DateTimeField(blank=True, null=True)),
                ("before", models.ForeignKey(help_text="The document of the queue that it was handed out in place of.", null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="review.document")),
                ("decision", models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name="gold_turn", to="review.decision")),
                ("document", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="gold_turns", to="review.document")),
                ("reviewer", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="gold_turns", to=settings.AUTH_USER_MODEL)),
            ],
            options={
                "indexes": [models.Index(condition=models.Q(("decision__isnull", True)), fields=["reviewer"], name="gold_turn_open")],
                "constraints": [models.UniqueConstraint(fields=("reviewer", "document"), name="gold_once_each"), models.UniqueConstraint(fields=("reviewer", "before"), name="gold_once_before")],
            },
        ),
        migrations.RunPython(forwards, backwards),
    ]
