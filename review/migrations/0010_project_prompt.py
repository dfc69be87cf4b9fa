"""A project says by which version of the prompt its documents are asked about.

As a plain ADD COLUMN, which both databases know: on SQLite Django would make the table anew, and
the triggers that read it (migration 0003) do not let it be renamed.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("review", "0009_served_model"),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE review_project ADD COLUMN prompt varchar(100) DEFAULT '' NOT NULL",
            "ALTER TABLE review_project DROP COLUMN prompt",
            state_operations=[
                migrations.AddField(
                    model_name="project",
                    name="prompt",
                    field=models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="How a model server is asked; empty: as is measured to be best. "
                        "The embedded model keeps to the prompt that its adapter was trained with.",
                        max_length=100,
                    ),
                ),
            ],
        ),
    ]
