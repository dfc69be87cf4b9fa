"""A candidate says whether the model said it, or it was put together from likelihoods.

As a plain ADD COLUMN, as in migration 0010.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("review", "0012_batch")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE review_candidate ADD COLUMN composed bool DEFAULT false NOT NULL",
            "ALTER TABLE review_candidate DROP COLUMN composed",
            state_operations=[
                migrations.AddField(
                    model_name="candidate",
                    name="composed",
                    field=models.BooleanField(
                        db_default=False,
                        default=False,
                        help_text="Put together from how likely each tag was: the model did not "
                        "say this set, and it is no sample of its own for training.",
                    ),
                ),
            ],
        ),
    ]
