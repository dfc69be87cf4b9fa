"""Webhooks may be told of releases. The names of events are no matter of the database: nothing
is done there, and so SQLite does not rebuild a table that triggers name.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("review", "0016_budget")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="delivery",
                    name="event",
                    field=models.CharField(
                        choices=[
                            ("document.reviewed", "A document is reviewed"),
                            ("document.failed", "A document has failed"),
                            ("vocabulary.changed", "The tag list has changed"),
                            ("release.ready", "A release is ready"),
                            ("webhook.test", "A test"),
                        ],
                        max_length=30,
                    ),
                ),
            ],
        ),
    ]
