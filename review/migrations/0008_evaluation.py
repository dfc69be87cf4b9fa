"""Measurements of how good proposals are: manage.py evaluate."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('review', '0007_tag_list'),
    ]

    operations = [
        migrations.CreateModel(
            name='Evaluation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='What was measured, for the tables.', max_length=200)),
                ('baseline', models.CharField(blank=True, help_text='names, tfidf, seed-prompt.', max_length=20)),
                ('endpoint', models.CharField(blank=True, help_text="The server's address.", max_length=500)),
                ('model', models.CharField(blank=True, max_length=200)),
                ('recipe', models.JSONField(blank=True, default=dict)),
                ('max_tags', models.PositiveSmallIntegerField()),
                ('seed', models.BigIntegerField(help_text='Of the folds and draws; models have seeds of their own.')),
                ('repeats', models.PositiveSmallIntegerField(default=1, help_text='Passes over the documents.')),
                ('source', models.CharField(help_text='The labelled file, or the project.', max_length=500)),
                ('source_sha256', models.CharField(help_text='Of the texts and their labels.', max_length=64)),
                ('training', models.CharField(blank=True, help_text='Where a baseline learned.', max_length=500)),
                ('documents', models.PositiveIntegerField()),
                ('vocabulary', models.JSONField(help_text='The names of the tags to choose from.')),
                ('version', models.CharField(help_text='Of Tagger.', max_length=100)),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField()),
                ('metrics', models.JSONField()),
                ('project', models.ForeignKey(blank=True, help_text='Whose curators see it; empty: those of all projects.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='evaluations', to='review.project')),
            ],
        ),
        migrations.CreateModel(
            name='EvaluatedDocument',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('repeat', models.PositiveSmallIntegerField(help_text='The pass, from 0.')),
                ('place', models.PositiveIntegerField(help_text='Its place among the documents, from 0.')),
                ('external_id', models.CharField(max_length=500)),
                ('title', models.CharField(blank=True, max_length=500)),
                ('best', models.JSONField()),
                ('acceptable', models.JSONField(default=list)),
                ('candidates', models.JSONField(default=list)),
                ('tokens_in', models.PositiveIntegerField(default=0)),
                ('tokens_cached', models.PositiveIntegerField(default=0, help_text='Of those in, from a cache.')),
                ('tokens_out', models.PositiveIntegerField(default=0)),
                ('seconds', models.FloatField(default=0)),
                ('asked_again', models.PositiveSmallIntegerField(default=0)),
                ('invented', models.PositiveIntegerField(default=0, help_text='Tags in the replies that are not in the vocabulary.')),
                ('parse_failures', models.PositiveSmallIntegerField(default=0, help_text='Replies in which no tags could be found.')),
                ('error', models.TextField(blank=True)),
                ('evaluation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='judged', to='review.evaluation')),
            ],
            options={
                'ordering': ['repeat', 'place'],
            },
        ),
        migrations.AddIndex(
            model_name='evaluation',
            index=models.Index(fields=['project', '-id'], name='evaluation_latest'),
        ),
        migrations.AddConstraint(
            model_name='evaluateddocument',
            constraint=models.UniqueConstraint(fields=('evaluation', 'repeat', 'place'), name='evaluated_once_a_pass'),
        ),
    ]
