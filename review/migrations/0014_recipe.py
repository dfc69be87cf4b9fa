"""A model is asked by the recipe of a run, where one was adopted.

Columns that may be empty: both databases add them to the table as it stands.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("review", "0013_candidate_composed")]

    operations = [
        migrations.AddField(
            model_name="servedmodel",
            name="recipe",
            field=models.JSONField(
                blank=True,
                help_text="The fields of llm/recipe.py's Recipe; empty: the default.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="servedmodel",
            name="adopted_from",
            field=models.ForeignKey(
                blank=True,
                help_text="The run whose recipe it is; empty also where that was deleted.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="review.evaluation",
            ),
        ),
        migrations.AddField(
            model_name="servedmodel",
            name="adopted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
