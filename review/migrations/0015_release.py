"""Releases, the models tuned on them, and which of two models a candidate is of.

The columns as plain ADD COLUMN, as in migration 0010.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('review', '0014_recipe'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE review_proposal ADD COLUMN rival_model varchar(200) DEFAULT '' NOT NULL",
            "ALTER TABLE review_proposal DROP COLUMN rival_model",
            state_operations=[
                migrations.AddField(
                    model_name='proposal',
                    name='rival_model',
                    field=models.CharField(blank=True, db_default='', default='', help_text='The other model whose answers are among the candidates; empty: none was asked.', max_length=200),
                ),
            ],
        ),
        migrations.RunSQL(
            "ALTER TABLE review_candidate ADD COLUMN giver varchar(5) DEFAULT '' NOT NULL",
            "ALTER TABLE review_candidate DROP COLUMN giver",
            state_operations=[
                migrations.AddField(
                    model_name='candidate',
                    name='giver',
                    field=models.CharField(blank=True, choices=[('own', "The proposal's model"), ('rival', 'The rival'), ('both', 'Both said the same')], db_default='', default='', help_text='Empty where one model was asked.', max_length=5),
                ),
            ],
        ),
        migrations.CreateModel(
            name='Release',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(help_text='1, 2, 3 … in its project; never given again.')),
                ('note', models.CharField(blank=True, help_text='What it is for.', max_length=500)),
                ('filters', models.JSONField(default=dict, help_text="The fields of pipeline/release's Filters.")),
                ('formats', models.JSONField(default=list, help_text='Names of writers/: each is a folder of it.')),
                ('state', models.CharField(choices=[('waiting', 'Waiting to be made'), ('making', 'Being made'), ('ready', 'Ready'), ('failed', 'Failed')], default='waiting', max_length=10)),
                ('reason', models.TextField(blank=True, help_text='Why it failed, in a sentence.')),
                ('decisions_done', models.PositiveIntegerField(default=0, help_text='Read so far.')),
                ('decisions_wanted', models.PositiveIntegerField(default=0, help_text='To be read.')),
                ('counts', models.JSONField(default=dict, help_text='What it holds and what was left out: as in its manifest.')),
                ('files', models.JSONField(default=list, help_text='[{name, rows, bytes, sha256}]')),
                ('manifest_sha256', models.CharField(blank=True, max_length=64)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('downloaded_at', models.DateTimeField(blank=True, help_text='For the first time.', null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('lease_token', models.UUIDField(blank=True, null=True)),
                ('lease_expires_at', models.DateTimeField(blank=True, null=True)),
                ('asked_by', models.ForeignKey(blank=True, help_text='Empty for a command.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='releases', to='review.project')),
            ],
        ),
        migrations.CreateModel(
            name='Training',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Under which it is asked.', max_length=200, unique=True)),
                ('base', models.CharField(default='embedded', help_text='“embedded”, or a Hugging Face name.', max_length=500)),
                ('start', models.CharField(blank=True, help_text='The adapter that it went on from; empty: none.', max_length=200)),
                ('options', models.JSONField(default=dict, help_text='Epochs, rates, beta, …: as was trained.')),
                ('state', models.CharField(choices=[('waiting', 'Waiting for a trainer'), ('running', 'Training'), ('ready', 'Trained'), ('stopped', 'Stopped'), ('failed', 'Failed')], default='waiting', max_length=10)),
                ('stop_asked', models.BooleanField(default=False)),
                ('reason', models.TextField(blank=True, help_text='Why it failed, in a sentence.')),
                ('progress', models.JSONField(default=list, help_text='[{phase, step, steps, loss, margin, accuracy}], thinned to some hundred.')),
                ('seconds_left', models.FloatField(blank=True, null=True)),
                ('figures', models.JSONField(default=dict, help_text='Documents, pairs, seconds, peak_memory_mb, the last losses.')),
                ('adapter_sha256', models.CharField(blank=True, help_text='Of adapter.gguf.', max_length=64)),
                ('base_url', models.CharField(blank=True, help_text='Where it is served; empty: by the embedded server.', max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('lease_token', models.UUIDField(blank=True, null=True)),
                ('lease_expires_at', models.DateTimeField(blank=True, null=True)),
                ('asked_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('measured', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='review.evaluation')),
                ('measured_base', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='review.evaluation')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='trainings', to='review.release')),
            ],
        ),
        migrations.CreateModel(
            name='Promotion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('why', models.JSONField(default=dict, help_text='The numbers that were on the page.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='promotions', to='review.project')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('tuned', models.ForeignKey(blank=True, help_text='Empty: what the settings name.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='promotions', to='review.training')),
            ],
        ),
        migrations.CreateModel(
            name='InUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('rival_is_base', models.BooleanField(default=False, help_text='What the settings name is tried beside the tuned one.')),
                ('project', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='in_use', to='review.project')),
                ('rival', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='review.training')),
                ('tuned', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='review.training')),
            ],
        ),
        migrations.AddIndex(
            model_name='release',
            index=models.Index(condition=models.Q(('state__in', ('waiting', 'making'))), fields=['id'], name='release_unmade'),
        ),
        migrations.AddConstraint(
            model_name='release',
            constraint=models.UniqueConstraint(fields=('project', 'number'), name='release_number_unique'),
        ),
        migrations.AddIndex(
            model_name='training',
            index=models.Index(condition=models.Q(('state__in', ('waiting', 'running'))), fields=['id'], name='training_due'),
        ),
        migrations.AddIndex(
            model_name='promotion',
            index=models.Index(fields=['project', '-id'], name='promotion_newest'),
        ),
        migrations.AddConstraint(
            model_name='inuse',
            constraint=models.CheckConstraint(condition=models.Q(('rival', None), ('tuned', None), models.Q(('rival', models.F('tuned')), _negated=True), _connector='OR'), name='rival_is_another'),
        ),
    ]
