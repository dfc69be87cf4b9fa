"""The history of the tag list, what it is counted by, and a tag's broader tag."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('review', '0006_intake'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Counted',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('proposal', models.BigIntegerField(default=0)),
                ('decision', models.BigIntegerField(default=0)),
                ('at', models.DateTimeField(help_text='When it was counted last.', null=True)),
            ],
        ),
        migrations.CreateModel(
            name='TagChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('before', models.JSONField(null=True)),
                ('after', models.JSONField()),
            ],
        ),
        migrations.CreateModel(
            name='TagUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('proposed', models.PositiveBigIntegerField(default=0, help_text='Proposals with it in a set.')),
                ('picked', models.BigIntegerField(default=0, help_text='Picks of a set with it.')),
                ('corrected_in', models.BigIntegerField(default=0, help_text='Given by a person where no set on the page had it.')),
                ('corrected_out', models.BigIntegerField(default=0, help_text='Left out by a person who gave another set, where one had it.')),
                ('last_used_at', models.DateTimeField(help_text='In a set that a person gave.', null=True)),
            ],
        ),
        migrations.CreateModel(
            name='VocabularyChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verb', models.CharField(choices=[('add', 'Added'), ('describe', 'Described'), ('rename', 'Renamed'), ('merge', 'Merged'), ('split', 'Split'), ('retire', 'Retired'), ('restore', 'Restored'), ('import', 'Imported'), ('revert', 'Reverted')], max_length=10)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.AddField(
            model_name='tag',
            name='parent',
            field=models.ForeignKey(blank=True, help_text='The broader tag, for people and files; models are not told.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='children', to='review.tag'),
        ),
        migrations.AddConstraint(
            model_name='tag',
            constraint=models.CheckConstraint(condition=models.Q(('merged_into', None), models.Q(('merged_into', models.F('id')), _negated=True), _connector='OR'), name='tag_not_into_itself', violation_error_message='A tag is not merged into itself.'),
        ),
        migrations.AddField(
            model_name='tagchange',
            name='tag',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='review.tag'),
        ),
        migrations.AddField(
            model_name='taguse',
            name='tag',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='use', to='review.tag'),
        ),
        migrations.AddField(
            model_name='vocabularychange',
            name='curator',
            field=models.ForeignKey(blank=True, help_text='Empty for a command on the server.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='vocabularychange',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='review.project'),
        ),
        migrations.AddField(
            model_name='vocabularychange',
            name='reverts',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reverted_by', to='review.vocabularychange'),
        ),
        migrations.AddField(
            model_name='vocabularychange',
            name='version',
            field=models.ForeignKey(help_text='What models are shown since.', on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='review.vocabularyversion'),
        ),
        migrations.AddField(
            model_name='tagchange',
            name='change',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tags', to='review.vocabularychange'),
        ),
        migrations.AddIndex(
            model_name='vocabularychange',
            index=models.Index(fields=['project', '-id'], name='vocabulary_change_latest'),
        ),
        migrations.AddConstraint(
            model_name='tagchange',
            constraint=models.UniqueConstraint(fields=('change', 'tag'), name='tag_changed_once'),
        ),
    ]
